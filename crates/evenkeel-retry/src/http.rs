//! Reads from an HTTP response how long to wait before another attempt.
//!
//! The crate [`evenkeel_retry_after`] lists the headers and their forms; evenkeel-limit's `http::pause` reads the same.

#[doc(inline)]
pub use evenkeel_retry_after::{retry_after, retry_after_within};
