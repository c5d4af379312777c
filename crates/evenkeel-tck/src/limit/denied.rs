//! A refusal, as an adapter reports it.

use std::{fmt, time::Duration};

/// A request was refused, as far as the implementation tells.
///
/// # Examples
/// ```
/// use evenkeel_tck::limit::Denied;
/// use std::time::Duration;
///
/// let denied = Denied::Busy(Some(Duration::from_millis(800)));
/// assert_eq!(denied.to_string(), "busy, come back in 800ms");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Denied {
    /// The permits are not there now, or it does not say why; with the time after which to come back, for
    /// implementations that tell.
    Busy(Option<Duration>),
    /// The request exceeds the number of permits that can ever be there at once.
    NeverFits,
    /// Too many wait already.
    QueueFull,
    /// Its turn comes after its deadline.
    Deadline,
    /// The limiter is closed.
    Closed,
}

impl Denied {
    /// When to come back, from now.
    pub(crate) fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Busy(retry_after) => retry_after,
            _ => None,
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy(Some(wait)) => write!(f, "busy, come back in {wait:?}"),
            Self::Busy(None) => f.write_str("busy"),
            Self::NeverFits => f.write_str("it never fits"),
            Self::QueueFull => f.write_str("the queue is full"),
            Self::Deadline => f.write_str("after the deadline"),
            Self::Closed => f.write_str("closed"),
        }
    }
}
