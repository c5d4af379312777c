//! A refusal, as an adapter reports it.

use std::{fmt, time::Duration};

/// A request was refused, as far as the implementation tells.
///
/// # Examples
/// ```
/// use evenkeel_tck::limit::{Denied, Reason};
/// use std::time::Duration;
///
/// let denied = Denied::new(Reason::Busy).until(Duration::from_millis(800));
/// assert_eq!(denied.retry_after, Some(Duration::from_millis(800)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Denied {
    /// Why.
    pub reason: Reason,
    /// When to come back, from now.
    pub retry_after: Option<Duration>,
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The permits are not there now, or it does not say.
    Busy,
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
    /// For this reason.
    #[must_use]
    pub const fn new(reason: Reason) -> Self {
        Self { reason, retry_after: None }
    }

    /// With the time after which to come back, for implementations that tell.
    #[must_use]
    pub const fn until(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.reason {
            Reason::Busy => "busy",
            Reason::NeverFits => "it never fits",
            Reason::QueueFull => "the queue is full",
            Reason::Deadline => "after the deadline",
            Reason::Closed => "closed",
        })?;
        self.retry_after.map_or(Ok(()), |wait| write!(f, ", come back in {wait:?}"))
    }
}
