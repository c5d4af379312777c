//! The error of a configuration, and the panic of the constructors that take constants.

use std::{error::Error, fmt};

/// The reason why a configuration that is read at run time is refused, by a `try_*` constructor or by serde.
///
/// The constructors without `try_` panic with the same words, at compile time in a `const` or `static`.
///
/// # Examples
/// ```
/// use evenkeel_retry::{Backoff, InvalidPolicy};
/// use std::time::Duration;
///
/// let (a_minute, a_second) = (Duration::from_secs(60), Duration::from_secs(1));
/// assert_eq!(Backoff::try_exponential(a_minute, a_second), Err(InvalidPolicy::InitialAboveCap));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidPolicy {
    /// The initial delay is longer than the cap.
    InitialAboveCap,
    /// The ratio is not 1 and below 1.001, or its denominator is zero.
    Ratio,
    /// Only an exponential backoff has a ratio.
    NoRatio,
    /// The jitter is more than 100 percent.
    Jitter,
    /// The number of attempts is zero.
    NoAttempts,
    /// The healthy period is zero.
    ResetAfter,
    /// The reserve of a budget is zero.
    Reserve,
    /// The quantile is not 1 to 99 percent.
    Quantile,
}

impl InvalidPolicy {
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::InitialAboveCap => "the initial delay is longer than the cap",
            Self::Ratio => "a ratio is 1, or at least 1.001",
            Self::NoRatio => "only an exponential backoff has a ratio",
            Self::Jitter => "jitter of more than 100 percent",
            Self::NoAttempts => "a policy of zero attempts would never try",
            Self::ResetAfter => "after a healthy period of no time it would try for ever",
            Self::Reserve => "a budget of no reserve would never allow a retry",
            Self::Quantile => "a quantile is 1 to 99 percent",
        }
    }
}

impl fmt::Display for InvalidPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl Error for InvalidPolicy {}

/// Unwraps the result of a `try_*` constructor in a `const fn`; panics with the text of the error.
macro_rules! valid {
    ($built:expr) => {
        match $built {
            Ok(value) => value,
            Err(invalid) => panic!("{}", invalid.message()),
        }
    };
}
pub(crate) use valid;
