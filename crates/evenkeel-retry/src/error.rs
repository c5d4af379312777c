//! The error of a call that gave up, and its reason.

use std::{error::Error, fmt, time::Duration};

use evenkeel_base::rounded;
use tokio::time::Instant;

pub(crate) use self::sealed::StdError;

/// The reason why a call gave up.
///
/// # Examples
/// ```
/// use evenkeel_retry::GaveUp;
///
/// let is_their_load = |reason: GaveUp| matches!(reason, GaveUp::RetryAfter(_) | GaveUp::Budget);
/// assert!(is_their_load(GaveUp::Budget) && !is_their_load(GaveUp::Permanent));
/// assert_eq!(GaveUp::Deadline.to_string(), "no time left");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GaveUp {
    /// The error was classified as permanent.
    Permanent,
    /// The maximum number of attempts was made.
    Attempts,
    /// The total time was over, or would have been over before the next attempt.
    Deadline,
    /// The error asked for this wait, longer than [`Policy::max_retry_after`](crate::Policy::max_retry_after).
    RetryAfter(Duration),
    /// The [`Budget`](crate::Budget) allowed no other attempt.
    Budget,
    /// The operation is not safe to repeat, and this attempt may have taken effect.
    AtMostOnce,
    /// The request could not be cloned, so that there was none left to send: see `tower::RetryLayer`.
    Unrepeatable,
    /// The future given to [`Retry::until`](crate::Retry::until) or [`Attempts::backoff_until`](crate::Attempts::backoff_until)
    /// was ready.
    Cancelled,
}

impl GaveUp {
    /// Returns its name in metrics and logs.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Permanent => "permanent",
            Self::Attempts => "attempts",
            Self::Deadline => "deadline",
            Self::RetryAfter(_) => "retry_after",
            Self::Budget => "budget",
            Self::AtMostOnce => "at_most_once",
            Self::Unrepeatable => "unrepeatable",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permanent => f.write_str("the error is permanent"),
            Self::Attempts => f.write_str("no attempts left"),
            Self::Deadline => f.write_str("no time left"),
            Self::Budget => f.write_str("no retry left in the budget"),
            Self::AtMostOnce => f.write_str("it may have taken effect, and is not safe to repeat"),
            Self::Unrepeatable => f.write_str("the request cannot be made again"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::RetryAfter(wait) => write!(f, "asked to wait {wait:?}, too long"),
        }
    }
}

/// The error of a call that gave up: the reason, the attempts, the times, and the last error.
///
/// The error of the last attempt is the `source()`, and is returned by value in `last`. A `RetryError` is an [`Error`]
/// if the last error is one; if it is not (anyhow's, a box, a string), `?` takes it after `.map_err(RetryError::boxed)`,
/// see [`boxed`](Self::boxed), or after `.map_err(RetryError::into_last)`, see [`into_last`](Self::into_last).
///
/// # Examples
/// ```
/// use evenkeel_retry::{GaveUp, Policy};
/// use std::{io, time::Duration};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let policy = Policy::fixed(Duration::from_secs(1)).max_attempts(3);
/// let gave_up = policy.run(async || Err::<(), _>(io::Error::other("busy"))).await.unwrap_err();
///
/// assert_eq!(gave_up.reason, GaveUp::Attempts);
/// assert_eq!(gave_up.to_string(), "gave up after 3 attempts and 2s: no attempts left");
/// assert_eq!(gave_up.last.unwrap().to_string(), "busy");
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryError<E> {
    /// The reason why there was no other attempt.
    pub reason: GaveUp,
    /// The error of the last attempt; `None` if it timed out, or if no time was left to begin it.
    pub last: Option<E>,
    /// The number of attempts that were made, from the last healthy one on if
    /// [`Policy::reset_after`](crate::Policy::reset_after) is set.
    pub attempts: u32,
    /// The time from the first failure until the call gave up.
    pub elapsed: Duration,
    // In nanoseconds, and so in half the space of a `Duration`: a result is as large as its error, and a success is moved.
    pub(crate) total: u64,
}

impl<E> RetryError<E> {
    /// Returns the time that the call took in all.
    ///
    /// It begins when the clock is first read: when an attempt first has to wait, or its description or the end of the
    /// series is asked for; under a policy without any time limit that is after the first failure.
    #[must_use]
    pub const fn total(&self) -> Duration {
        Duration::from_nanos(self.total)
    }

    /// Sets the time at which the call began, for a loop of one's own that has waited before its first attempt.
    ///
    /// # Examples
    /// ```
    /// # use evenkeel_retry::Policy;
    /// # use std::{io, time::Duration};
    /// # use tokio::time::{Instant, sleep};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let start = Instant::now();
    /// sleep(Duration::from_secs(5)).await; // for a place to work at
    /// let policy = Policy::fixed(Duration::from_secs(1)).max_attempts(3);
    /// let gave_up = policy.run(async || Err::<(), _>(io::Error::other("busy"))).await.unwrap_err();
    /// assert_eq!(gave_up.total(), Duration::from_secs(2));
    /// assert_eq!(gave_up.began_at(start).total(), Duration::from_secs(7));
    /// # }
    /// ```
    #[must_use]
    pub fn began_at(mut self, start: Instant) -> Self {
        self.total = nanos(start.elapsed());
        self
    }
}

/// Converts to nanoseconds, at most 584 years of them.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl<E> fmt::Display for RetryError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.attempts == 1 { "" } else { "s" };
        let (total, elapsed) = (rounded(self.total()), rounded(self.elapsed));
        write!(f, "gave up after {} attempt{plural} and {total:?}", self.attempts)?;
        // After one attempt there was no wait that the first failure began.
        if self.attempts > 1 && !elapsed.is_zero() && elapsed != total {
            write!(f, ", {elapsed:?} after the first failure")?;
        }
        write!(f, ": {}", self.reason)?;
        // `GaveUp::Deadline` already says that the attempt was cut, or never begun.
        let timed_out = self.last.is_none() && self.attempts > 0 && self.reason != GaveUp::Deadline;
        if timed_out { f.write_str("; the last attempt timed out") } else { Ok(()) }
    }
}

impl<E: StdError> Error for RetryError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.last.as_ref().map(|error| error as _)
    }
}

mod sealed {
    use std::error::Error;

    /// Every [`Error`]: the bound under which an error that holds another is one itself, with a note for all others.
    // Below a `?` rustc shows the label alone, and the name of the trait.
    #[diagnostic::on_unimplemented(
        message = "`{Self}` is no `std::error::Error`, so that an error which holds it is none either",
        label = "no `std::error::Error`: `.map_err(RetryError::boxed)?` takes it, or `.map_err(RetryError::into_last)?`",
        note = "errors of anyhow, boxes and strings are boxed by `RetryError::boxed` and `HedgeError::boxed`"
    )]
    pub trait StdError: Error + 'static {}

    #[diagnostic::do_not_recommend]
    impl<E: Error + 'static> StdError for E {}
}
