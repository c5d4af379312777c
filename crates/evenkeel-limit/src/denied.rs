//! Refusals.

use std::{error::Error, fmt, time::Duration};

/// A request for permits was refused, and took none.
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
/// assert_eq!(denied.to_string(), "rate limit reached: try again in 250ms");
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Denied {
    /// Why.
    pub reason: Reason,
    /// How long from now the same request is refused; after exactly this time it is granted, if nobody comes
    /// or leaves in between. Never zero; `None` if it is never granted.
    pub retry_after: Option<Duration>,
}

/// Why a request for permits was refused.
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
    /// More permits than the burst were asked for: there are never so many at once.
    NeverFits,
}

impl Denied {
    pub(crate) fn busy(wait: Duration) -> Self {
        Self { reason: Reason::Busy, retry_after: Some(wait.max(Duration::from_nanos(1))) }
    }

    pub(crate) const NEVER_FITS: Self = Self { reason: Reason::NeverFits, retry_after: None };
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            Reason::Busy => f.write_str("rate limit reached")?,
            Reason::NeverFits => f.write_str("more permits than the burst: this never fits")?,
        }
        self.retry_after.map_or(Ok(()), |wait| write!(f, ": try again in {wait:?}"))
    }
}

impl Error for Denied {}
