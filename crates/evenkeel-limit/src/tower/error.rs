//! The error of a call through a layer.

use std::{error::Error, fmt};

use crate::error::Denied;

/// The error of a call through a limit.
///
/// # Examples
///
/// ```
/// use evenkeel_limit::{RateLimiter, Reason, tower::LimitError};
///
/// let limiter = RateLimiter::per_second(1).start_empty();
/// let denied = limiter.try_acquire().unwrap_err();
/// let error: LimitError<std::io::Error> = LimitError::Denied(denied);
/// assert_eq!(error.to_string(), denied.to_string());
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum LimitError<E> {
    /// The limit denied the request; the service was not called.
    Denied(Denied),
    /// The service failed.
    Service(E),
}

impl<E: fmt::Display> fmt::Display for LimitError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(denied) => denied.fmt(f),
            Self::Service(error) => error.fmt(f),
        }
    }
}

impl<E: Error + 'static> Error for LimitError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Denied(_) => None,
            Self::Service(error) => error.source(),
        }
    }
}
