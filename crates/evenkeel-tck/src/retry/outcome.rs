//! The result of a call, as an adapter reports it.

use super::Refused;

/// The result of a call: the value of an attempt, or the reason for which there was no other attempt.
pub type Outcome = Result<u32, GaveUp>;

/// A call that gave up, as far as the implementation tells.
///
/// Made from a plain [`Refused`] where an implementation gives back the operation's own error.
///
/// # Examples
/// ```
/// use evenkeel_tck::retry::{GaveUp, Reason};
///
/// let timed_out = GaveUp::new(None).because(Reason::TotalTimeout);
/// assert_eq!(timed_out.reason, Some(Reason::TotalTimeout));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GaveUp {
    /// The error of the last attempt that gave one.
    pub last: Option<Refused>,
    /// Which limit was reached, if the implementation says so.
    pub reason: Option<Reason>,
}

/// Why there was no other attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The error was permanent.
    Permanent,
    /// All attempts were made.
    Attempts,
    /// The total time or the deadline is over, or would be before another attempt.
    TotalTimeout,
    /// The wait that was asked for is too long.
    RetryAfter,
    /// The budget has no retry left.
    Budget,
    /// The operation may have taken effect, and is not safe to repeat.
    AtMostOnce,
    /// A signal said so.
    Stopped,
}

impl GaveUp {
    /// With the error of the last attempt, if the implementation gives it back.
    #[must_use]
    pub const fn new(last: Option<Refused>) -> Self {
        Self { last, reason: None }
    }

    /// With the limit that was reached, for implementations that tell.
    #[must_use]
    pub const fn because(mut self, reason: Reason) -> Self {
        self.reason = Some(reason);
        self
    }
}

impl From<Refused> for GaveUp {
    fn from(error: Refused) -> Self {
        Self::new(Some(error))
    }
}
