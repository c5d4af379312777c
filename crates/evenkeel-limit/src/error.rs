//! The error of a request for permits.

use std::{error::Error, fmt, time::Duration};

/// A request for permits was denied, and took none.
///
/// # Examples
///
/// ```
/// use evenkeel_limit::{RateLimiter, Reason};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let limiter = RateLimiter::per_second(4).burst(1);
/// assert!(limiter.try_acquire().is_ok());
///
/// let denied = limiter.try_acquire().unwrap_err();
/// assert_eq!(denied.reason, Reason::Busy);
/// assert_eq!(denied.retry_after, Some(Duration::from_millis(250)));
/// assert_eq!(denied.to_string(), "limit reached: try again in 250ms");
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Denied {
    /// The reason for the denial.
    pub reason: Reason,
    /// The time from now for which the same request is denied; after exactly this time it is granted, if no other request
    /// comes or leaves meanwhile. Never zero; `None` if it is never granted, or if that depends on when others end, as for a
    /// [`ConcurrencyLimiter`](crate::ConcurrencyLimiter).
    pub retry_after: Option<Duration>,
}

/// The reason for which a request for permits was denied.
///
/// # Examples
///
/// ```
/// use evenkeel_limit::{RateLimiter, Reason};
///
/// let limiter = RateLimiter::per_second(1).burst(2).start_empty();
/// let reason = |permits| limiter.try_acquire_many(permits).unwrap_err().reason;
/// assert_eq!((reason(2), reason(3)), (Reason::Busy, Reason::NeverFits));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// There are not enough permits now, or others wait for them.
    Busy,
    /// The request asks for more permits than there can ever be at once.
    NeverFits,
    /// The number of waiters has reached `max_waiters`.
    QueueFull,
    /// The turn of the request would come after the deadline, or did not come before it.
    Deadline,
    /// The limiter has been closed.
    Closed,
}

impl Reason {
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::NeverFits => "never_fits",
            Self::QueueFull => "queue_full",
            Self::Deadline => "deadline",
            Self::Closed => "closed",
        }
    }
}

impl Denied {
    pub(crate) fn busy(wait: Duration) -> Self {
        Self { reason: Reason::Busy, retry_after: Some(wait.max(Duration::from_nanos(1))) }
    }

    /// Returns an error without a time after which to try again.
    pub(crate) const fn without_time(reason: Reason) -> Self {
        Self { reason, retry_after: None }
    }

    pub(crate) const NEVER_FITS: Self = Self::without_time(Reason::NeverFits);
    pub(crate) const CLOSED: Self = Self::without_time(Reason::Closed);

    /// Returns the same error with another reason.
    pub(crate) fn because(self, reason: Reason) -> Self {
        Self { reason, ..self }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            Reason::Busy => f.write_str("limit reached")?,
            Reason::NeverFits => f.write_str("more permits than the limit ever has at once")?,
            Reason::QueueFull => f.write_str("too many wait already")?,
            Reason::Deadline => f.write_str("no turn before the deadline")?,
            Reason::Closed => f.write_str("the limiter is closed")?,
        }
        self.retry_after.map_or(Ok(()), |wait| write!(f, ": try again in {wait:?}"))
    }
}

impl Error for Denied {}
