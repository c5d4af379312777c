//! The names of other crates, for programs that used them.

pub mod backoff;
