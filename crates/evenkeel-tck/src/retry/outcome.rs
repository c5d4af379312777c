//! The outcome of a call, as an adapter reports it.

use super::Refused;

/// The outcome of a call, as far as the implementation tells.
///
/// Made from a plain `Result` where an implementation gives back the operation's own error.
///
/// # Examples
/// ```
/// use evenkeel_tck::retry::{Outcome, Reason};
///
/// let timed_out = Outcome::gave_up(None).because(Reason::TotalTimeout);
/// assert_eq!((timed_out.result, timed_out.reason), (Err(None), Some(Reason::TotalTimeout)));
/// assert_eq!(Outcome::from(Ok(3)).result, Ok(3));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// The value of an attempt, or the error of the last attempt that gave one.
    pub result: Result<u32, Option<Refused>>,
    /// The reason for which there was no other attempt, if the implementation says so.
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

impl Outcome {
    /// A call that gave up, with the error of the last attempt if the implementation gives it back.
    #[must_use]
    pub const fn gave_up(last: Option<Refused>) -> Self {
        Self { result: Err(last), reason: None }
    }

    /// With the reason for which there was no other attempt, for implementations that tell.
    #[must_use]
    pub const fn because(self, reason: Reason) -> Self {
        Self { reason: Some(reason), ..self }
    }
}

/// The value of an attempt.
impl From<u32> for Outcome {
    fn from(value: u32) -> Self {
        Self { result: Ok(value), reason: None }
    }
}

impl From<Result<u32, Refused>> for Outcome {
    fn from(result: Result<u32, Refused>) -> Self {
        Self { result: result.map_err(Some), reason: None }
    }
}
