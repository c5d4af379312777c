//! The state of a limiter, as seen from outside.

use std::time::Duration;

use crate::rate::Rate;

/// What a limiter has done, and what it can do now.
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
    /// Permits there are now; those who wait come first. `u32::MAX` if there is no limit.
    pub available: u32,
    /// The time until there are as many as the burst, if nobody comes meanwhile.
    pub full_in: Duration,
    /// The time until a [pause](crate::RateLimiter::penalize) ends; zero if there is none.
    pub paused_for: Duration,
    /// Futures that wait for their turn.
    pub waiting: usize,
    /// Requests that got their permits.
    pub granted: u64,
    /// Requests that were [`Denied`](crate::Denied).
    pub refused: u64,
    /// Whether it has been closed.
    pub closed: bool,
}
