//! The numbers of a rate limiter.

use std::time::Duration;

use crate::rate::Rate;

/// The numbers of a rate limiter at one time.
///
/// # Examples
///
/// ```
/// use evenkeel_limit::RateLimiter;
///
/// let limiter = RateLimiter::per_second(1).burst(3);
/// limiter.try_acquire()?;
///
/// let snapshot = limiter.snapshot();
/// assert_eq!((snapshot.available, snapshot.waiting), (2, 0));
/// assert_eq!((snapshot.granted, snapshot.refused), (1, 0));
/// # Ok::<(), evenkeel_limit::Denied>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The rate in force; `None` if there is no limit.
    pub rate: Option<Rate>,
    /// The most permits there can be at once; `u32::MAX` if there is no limit.
    pub burst: u32,
    /// The permits there are now; waiters get them first. `u32::MAX` if there is no limit.
    pub available: u32,
    /// The time until there are as many as the burst, without further requests.
    pub full_in: Duration,
    /// The time until a [pause](crate::RateLimiter::penalize) ends; zero if there is none.
    pub paused_for: Duration,
    /// The number of waiters.
    pub waiting: usize,
    /// The number of requests that got their permits.
    pub granted: u64,
    /// The number of requests that were [`Denied`](crate::Denied).
    pub refused: u64,
    /// Whether the limiter has been closed.
    pub closed: bool,
}
