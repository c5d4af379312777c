//! The error of an operation.

use std::{error, fmt, time::Duration};

/// The error of an operation: for good, or for now.
///
/// # Examples
/// ```
/// use evenkeel_retry::compat::backoff::Error;
///
/// fn parse(text: &str) -> Result<u32, Error<std::num::ParseIntError>> {
///     text.parse().map_err(Error::permanent)
/// }
/// assert!(matches!(parse("x"), Err(Error::Permanent(_))));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "users match on both variants, as they did with the crate `backoff`"
)]
pub enum Error<E> {
    /// Another attempt would fail in the same way.
    Permanent(E),
    /// Worth another attempt.
    Transient {
        /// The error itself.
        err: E,
        /// The wait before the next attempt; `None` leaves it to the backoff.
        retry_after: Option<Duration>,
    },
}

impl<E> Error<E> {
    /// An error that ends the call.
    pub const fn permanent(err: E) -> Self {
        Self::Permanent(err)
    }

    /// An error that is retried after the backoff's delay.
    pub const fn transient(err: E) -> Self {
        Self::Transient { err, retry_after: None }
    }

    /// An error that is retried after this time.
    pub const fn retry_after(err: E, duration: Duration) -> Self {
        Self::Transient { err, retry_after: Some(duration) }
    }
}

/// So that `?` makes an error transient.
impl<E> From<E> for Error<E> {
    fn from(err: E) -> Self {
        Self::transient(err)
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permanent(err) | Self::Transient { err, .. } => err.fmt(f),
        }
    }
}

impl<E: error::Error> error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Permanent(err) | Self::Transient { err, .. } => err.source(),
        }
    }
}
