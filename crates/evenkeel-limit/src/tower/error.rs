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

impl<E: Into<Box<dyn Error + Send + Sync>>> LimitError<E> {
    /// Returns the [`Denied`] or the error of the service in a box, as the layers of tower do: with `map_err` behind each of
    /// several limits, the error above them is one type, and no `LimitError` of a `LimitError`.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{ConcurrencyLimiter, Denied, RateLimiter, tower::{LimitError, LimitLayer}};
    /// use std::sync::Arc;
    /// use tower::{BoxError, ServiceBuilder, ServiceExt};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let service = ServiceBuilder::new()
    ///     .map_err(LimitError::boxed)
    ///     .layer(LimitLayer::rate(Arc::new(RateLimiter::per_second(1))).reject())
    ///     .map_err(LimitError::boxed)
    ///     .layer(LimitLayer::concurrency(Arc::new(ConcurrencyLimiter::new(64))))
    ///     .service_fn(async |page: u32| Ok::<_, BoxError>(page));
    /// service.clone().oneshot(1).await.unwrap();
    /// let error: BoxError = service.oneshot(2).await.unwrap_err();
    /// assert!(error.downcast_ref::<Denied>().unwrap().retry_after.is_some());
    /// # }
    /// ```
    #[must_use]
    pub fn boxed(self) -> Box<dyn Error + Send + Sync> {
        match self {
            Self::Denied(denied) => denied.into(),
            Self::Service(error) => error.into(),
        }
    }
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
