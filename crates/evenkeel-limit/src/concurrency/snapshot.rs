//! The numbers of a concurrency limit.

/// The numbers of a [`ConcurrencyLimiter`](crate::ConcurrencyLimiter) now.
///
/// # Examples
///
/// ```
/// use evenkeel_limit::ConcurrencyLimiter;
///
/// let limiter = ConcurrencyLimiter::new(10);
/// let permit = limiter.try_acquire_many(4)?;
/// let snapshot = limiter.snapshot();
/// assert_eq!((snapshot.limit, snapshot.in_use, snapshot.waiting), (10, 4, 0));
/// # Ok::<(), evenkeel_limit::Denied>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConcurrencySnapshot {
    /// The weight that may run at once.
    pub limit: u32,
    /// The weight that runs. It is above the limit if the limit was lowered meanwhile.
    pub in_use: u64,
    /// Futures that wait in the queue.
    pub waiting: usize,
    /// Requests that got a permit.
    pub granted: u64,
    /// Requests that were [`Denied`](crate::Denied).
    pub refused: u64,
    /// Whether it has been closed.
    pub closed: bool,
}
