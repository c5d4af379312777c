//! The names of other crates, for those who come from them.

pub mod backoff;
