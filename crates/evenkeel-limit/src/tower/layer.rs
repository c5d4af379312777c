//! The layers: of a rate, also by key, and of a concurrency limit.

use std::{fmt, hash::Hash, sync::Arc};

use tower_layer::Layer;

use super::service::{Acquire, Admission, Config, Limited};
use crate::{
    concurrency::ConcurrencyLimiter,
    keyed::{Decision, Keyed},
    rate_limiter::{RateLimiter, acquire::AcquireInner},
    sync::entry::Mode,
};

/// Limits the rate of the calls of a service.
///
/// # Why not just use `tower::limit::RateLimitLayer`?
///
/// It counts in fixed windows, so that twice the number passes around the end of one; its service is not `Clone`, so
/// that each connection has a limit of its own or a buffer is needed; and it knows neither keys nor costs.
///
/// # Examples
///
/// ```
/// use evenkeel_limit::{RateLimiter, tower::RateLimitLayer};
/// use std::{io, sync::Arc};
/// use tower::{ServiceBuilder, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let layer = RateLimitLayer::new(Arc::new(RateLimiter::per_second(10)));
/// let service = ServiceBuilder::new().layer(layer).service_fn(async |page: u32| io::Result::Ok(page));
/// assert_eq!(service.oneshot(7).await.unwrap(), 7);
/// # }
/// ```
pub struct RateLimitLayer<Request>(Config<Request>);

impl<Request> RateLimitLayer<Request> {
    /// Takes one permit of this limiter for each request; a request waits for it.
    #[must_use]
    pub fn new(limiter: Arc<RateLimiter>) -> Self {
        Self(Config::new(move |_, permits, mode| admit(Arc::clone(&limiter), permits, mode)))
    }

    /// Takes one permit of the key of each request.
    #[must_use]
    pub fn keyed<K>(limiter: Arc<Keyed<K>>, key: impl Fn(&Request) -> K + Send + Sync + 'static) -> Self
    where
        K: Hash + Eq + Clone + Send + Sync + 'static,
    {
        Self(Config::new(move |request, permits, mode| {
            match limiter.decide(&key(request), permits, Some(mode)) {
                Decision::Granted => Admission::Decided(Ok(None)),
                Decision::Denied(denied) => Admission::Decided(Err(denied)),
                Decision::Limiter(limiter) => admit(limiter, permits, mode),
            }
        }))
    }

    /// Takes as many permits for a request as it costs.
    #[must_use]
    pub fn cost(mut self, cost: impl Fn(&Request) -> u32 + Send + Sync + 'static) -> Self {
        self.0.cost = Some(Arc::new(cost));
        self
    }

    /// Refuses a request that would have to wait.
    #[must_use]
    pub fn reject(mut self) -> Self {
        self.0.mode = Mode::Try;
        self
    }
}

fn admit(limiter: Arc<RateLimiter>, permits: u32, mode: Mode) -> Admission {
    match mode {
        Mode::Wait => Admission::Waits(Acquire::Rate(AcquireInner::new(limiter, permits))),
        Mode::Try => Admission::Decided(limiter.try_acquire_many(permits).map(|()| None)),
    }
}

/// Limits how many calls of a service run at the same time.
///
/// # Why not just use `tower::limit::ConcurrencyLimitLayer`?
///
/// Do, if the limit is a number that stays. It does not refuse, knows no weights, cannot be resized or adapt, and holds
/// its permit until the future of the response is dropped.
///
/// # Examples
///
/// ```
/// use evenkeel_limit::{ConcurrencyLimiter, tower::ConcurrencyLimitLayer};
/// use std::{io, sync::Arc};
/// use tower::{ServiceBuilder, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let layer = ConcurrencyLimitLayer::new(Arc::new(ConcurrencyLimiter::new(64))).reject();
/// let service = ServiceBuilder::new().layer(layer).service_fn(async |page: u32| io::Result::Ok(page));
/// assert_eq!(service.oneshot(7).await.unwrap(), 7);
/// # }
/// ```
pub struct ConcurrencyLimitLayer<Request>(Config<Request>);

impl<Request> ConcurrencyLimitLayer<Request> {
    /// Holds a permit of weight 1 during each call; a request waits for it.
    #[must_use]
    pub fn new(limiter: Arc<ConcurrencyLimiter>) -> Self {
        Self(Config::new(move |_, weight, mode| match mode {
            Mode::Wait => Admission::Waits(Acquire::Concurrency(limiter.acquire_owned(weight))),
            Mode::Try => Admission::Decided(limiter.try_acquire_owned(weight).map(Some)),
        }))
    }

    /// Holds a permit of this weight during a call.
    #[must_use]
    pub fn cost(mut self, weight: impl Fn(&Request) -> u32 + Send + Sync + 'static) -> Self {
        self.0.cost = Some(Arc::new(weight));
        self
    }

    /// Refuses a request that would have to wait.
    #[must_use]
    pub fn reject(mut self) -> Self {
        self.0.mode = Mode::Try;
        self
    }
}

impl<S, Request> Layer<S> for RateLimitLayer<Request> {
    type Service = Limited<S, Request>;

    fn layer(&self, inner: S) -> Self::Service {
        Limited { inner, config: self.0.clone() }
    }
}

impl<S, Request> Layer<S> for ConcurrencyLimitLayer<Request> {
    type Service = Limited<S, Request>;

    fn layer(&self, inner: S) -> Self::Service {
        Limited { inner, config: self.0.clone() }
    }
}

impl<Request> Clone for RateLimitLayer<Request> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<Request> Clone for ConcurrencyLimitLayer<Request> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<Request> fmt::Debug for RateLimitLayer<Request> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer").finish_non_exhaustive()
    }
}

impl<Request> fmt::Debug for ConcurrencyLimitLayer<Request> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyLimitLayer").finish_non_exhaustive()
    }
}
