//! The names of the crate `backoff` 0.4, which is no longer maintained (RUSTSEC-2025-0012), on tokio.
//!
//! Put `use evenkeel_retry::compat::backoff;` where the crate was, and code that used its futures compiles as before.
//! These differ, because they are defects there:
//!
//! | | `backoff` 0.4 | here |
//! |---|---|---|
//! | the operation is first called | when the future is made | when it is first polled |
//! | the operation is called again | before the delay, and polled after it | after the delay |
//! | delays with jitter | up to 1.5 times `max_interval` | never above `max_interval` |
//! | an initial interval above `max_interval` | waited | `max_interval` is waited |
//! | `retry_after` | without end, past `max_elapsed_time` | while the backoff has another delay |
//! | `max_elapsed_time` | std's clock | tokio's: paused time moves it |
//! | a factor that is not a number, or a jitter above 1 | no delay at all | taken for 1 |
//! | a factor below 1 | delays that shrink | taken for 1 |
//!
//! Not here: the blocking `retry`, clocks other than tokio's, and executors other than tokio.
//!
//! # Examples
//! ```
//! use evenkeel_retry::compat::backoff::{self, ExponentialBackoff};
//! use std::io;
//!
//! # async fn fetch(_: &str) -> io::Result<u32> { Ok(42) }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let answer = backoff::future::retry(ExponentialBackoff::default(), || async {
//!     Ok(fetch("https://example.test/").await?)
//! });
//! assert_eq!(answer.await.unwrap(), 42);
//! # }
//! ```

#[expect(clippy::module_inception, reason = "so it is in the crate `backoff`")]
pub mod backoff;
mod error;
mod exponential;
pub mod future;
mod notify;

pub use backoff::Backoff;
pub use error::Error;
pub use exponential::{ExponentialBackoff, ExponentialBackoffBuilder};
pub use notify::{NoopNotify, Notify};

/// The numbers of [`ExponentialBackoff::default`].
pub mod default {
    /// Half a second.
    pub const INITIAL_INTERVAL_MILLIS: u64 = 500;
    /// Half of the interval below and above it.
    pub const RANDOMIZATION_FACTOR: f64 = 0.5;
    /// The growth from one interval to the next.
    pub const MULTIPLIER: f64 = 1.5;
    /// A minute.
    pub const MAX_INTERVAL_MILLIS: u64 = 60_000;
    /// A quarter of an hour.
    pub const MAX_ELAPSED_TIME_MILLIS: u64 = 900_000;
}
