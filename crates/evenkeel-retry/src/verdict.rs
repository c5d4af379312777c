//! Verdicts: which failures are worth another attempt.

use std::time::Duration;

/// The consequence of an error: whether, and when, another attempt is worth it.
///
/// # Examples
/// ```
/// use evenkeel_retry::Verdict;
/// use std::time::Duration;
///
/// fn classify(status: &u16) -> Verdict {
///     match status {
///         429 | 503 => Verdict::RetryAfter(Duration::from_secs(2)),
///         500..600 => Verdict::Retry,
///         _ => Verdict::Permanent,
///     }
/// }
/// assert_eq!(classify(&404), Verdict::Permanent);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Worth another attempt after the policy's delay.
    Retry,
    /// Worth another attempt, but not before this time: the call waits for it, or for the policy's delay if that is
    /// longer. Above [`Policy::max_retry_after`](crate::Policy::max_retry_after) the call gives up.
    RetryAfter(Duration),
    /// Nothing reached the other side, so that even an operation that is not safe to repeat may be tried again.
    NotSent,
    /// Another attempt would fail in the same way.
    Permanent,
}

impl From<bool> for Verdict {
    /// Converts `true` to [`Verdict::Retry`], and `false` to [`Verdict::Permanent`].
    fn from(transient: bool) -> Self {
        if transient { Self::Retry } else { Self::Permanent }
    }
}

/// Whether the operation may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
// As wide as the number of attempts beside it: no padding, which would cost an instruction to skip.
#[repr(u32)]
pub(crate) enum Repeat {
    Always,
    /// Not if it may have taken effect.
    IfNotSent,
    /// No request is left to send again.
    #[cfg(feature = "tower")]
    Never,
}

/// An attempt that failed: with an error, or by running out of time.
///
/// Returned by [`Attempts::attempt`](crate::Attempts::attempt) for [`Attempts::backoff`](crate::Attempts::backoff), which
/// retries it unless [`when`](Self::when) or [`classify`](Self::classify) says otherwise.
///
/// # Examples
/// ```
/// # use evenkeel_retry::Policy;
/// # use std::{io, time::Duration};
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let policy = Policy::fixed(Duration::ZERO).attempt_timeout(Duration::from_secs(1));
/// let failed = policy.start().attempt(std::future::pending::<Result<(), io::Error>>()).await.unwrap_err();
/// assert!(failed.is_timeout());
/// # }
/// ```
#[derive(Debug)]
#[must_use = "hand it to `Attempts::backoff`, which waits or gives up"]
pub struct Failed<E> {
    pub(crate) error: Option<E>,
    pub(crate) verdict: Verdict,
    pub(crate) may_repeat: bool,
}

impl<E> Failed<E> {
    pub(crate) const fn new(error: Option<E>) -> Self {
        Self { error, verdict: Verdict::Retry, may_repeat: true }
    }

    /// Returns the error of the attempt; `None` if it timed out.
    #[must_use]
    pub const fn error(&self) -> Option<&E> {
        self.error.as_ref()
    }

    /// Returns whether the attempt ran out of time.
    #[must_use]
    pub const fn is_timeout(&self) -> bool {
        self.error.is_none()
    }

    /// Retries only errors for which `transient` is true; an attempt that timed out is retried.
    pub fn when(self, transient: impl FnOnce(&E) -> bool) -> Self {
        self.classify(|error| transient(error).into())
    }

    /// Asks `verdict` about the error; an attempt that timed out is retried.
    pub fn classify(mut self, verdict: impl FnOnce(&E) -> Verdict) -> Self {
        if let Some(error) = &self.error {
            self.verdict = verdict(error);
        }
        self
    }

    /// Marks the operation as not safe to repeat: only [`Verdict::NotSent`] is retried.
    pub const fn at_most_once(mut self) -> Self {
        self.may_repeat = false;
        self
    }
}
