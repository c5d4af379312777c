//! The layer: a limit of a rate, also by key, or of how much runs at the same time.

use std::{
    fmt,
    future::Future,
    hash::Hash,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use crate::{
    concurrency::{AcquirePermit, ConcurrencyLimiter, Permit},
    error::Denied,
    keyed::{self, Keyed},
    rate_limiter::{RateLimiter, acquire::AcquireInner},
    sync::{edges::CallPlace, entry::Mode},
};

/// Limits the calls of a service: [how many start in a time](Self::rate), also [by key](Self::keyed), or
/// [how many run at the same time](Self::concurrency). A request waits for its permits, unless the layer
/// [rejects](Self::reject).
///
/// # Why not just use `tower::limit::RateLimitLayer` or `tower::limit::ConcurrencyLimitLayer`?
///
/// Do, if a number that stays limits the concurrency. That layer does not refuse, knows no weights, cannot be resized or
/// adapt, and holds its permit until the future of the response is dropped.
///
/// The rate limit of tower counts in fixed windows, so that twice the number passes around the end of one. Its service is
/// not `Clone`, so that each connection has a limit of its own or a buffer is needed; and it knows neither keys nor costs.
///
/// # Examples
///
/// ```
/// use evenkeel_limit::{ConcurrencyLimiter, RateLimiter, tower::LimitLayer};
/// use std::{io, sync::Arc};
/// use tower::{ServiceBuilder, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let service = ServiceBuilder::new()
///     .layer(LimitLayer::rate(Arc::new(RateLimiter::per_second(10))))
///     .layer(LimitLayer::concurrency(Arc::new(ConcurrencyLimiter::new(64))).reject())
///     .service_fn(async |page: u32| io::Result::Ok(page));
/// assert_eq!(service.oneshot(7).await.unwrap(), 7);
/// # }
/// ```
pub struct LimitLayer<Request> {
    admit: Admit<Request>,
    /// 1 if not set.
    cost: Option<Cost<Request>>,
    mode: Mode,
}

type Cost<Request> = Arc<dyn Fn(&Request) -> u32 + Send + Sync>;
/// Enters the limiter, or that of the key of the request, for its cost.
type Admit<Request> = Arc<dyn Fn(&Request, u32, Mode) -> Admission + Send + Sync>;

/// The result of a request, before its future is polled.
pub(super) enum Admission {
    Decided(Decision),
    Waits(Acquire),
}

/// Granted with the permit of a concurrency limit, or without one of a rate; or denied.
pub(super) type Decision = Result<Option<Permit<'static>>, Denied>;

/// The wait for permits.
pub(super) enum Acquire {
    Concurrency(AcquirePermit<'static>),
    Rate(AcquireInner<Arc<RateLimiter>>),
}

impl<Request> LimitLayer<Request> {
    /// Takes one permit of this limiter for each request.
    #[must_use]
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn rate(limiter: Arc<RateLimiter>) -> Self {
        let call = CallPlace::here();
        Self::new(move |_, permits, mode| admit(Arc::clone(&limiter), permits, mode, call))
    }

    /// Takes one permit of the key of each request.
    #[must_use]
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn keyed<K>(limiter: Arc<Keyed<K>>, key: impl Fn(&Request) -> K + Send + Sync + 'static) -> Self
    where
        K: Hash + Eq + Clone + Send + Sync + 'static,
    {
        let call = CallPlace::here();
        Self::new(move |request, permits, mode| match limiter.decide(&key(request), permits, Some(mode)) {
            keyed::Decision::Granted => Admission::Decided(Ok(None)),
            keyed::Decision::Denied(denied) => Admission::Decided(Err(denied)),
            keyed::Decision::Limiter(limiter) => admit(limiter, permits, mode, call),
        })
    }

    /// Holds a permit of weight 1 during each call.
    #[must_use]
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn concurrency(limiter: Arc<ConcurrencyLimiter>) -> Self {
        let call = CallPlace::here();
        Self::new(move |_, weight, mode| match mode {
            Mode::Wait => Admission::Waits(Acquire::Concurrency(limiter.acquire_owned_from(weight, call))),
            Mode::Try => Admission::Decided(limiter.try_acquire_owned_from(weight, call).map(Some)),
        })
    }

    fn new(admit: impl Fn(&Request, u32, Mode) -> Admission + Send + Sync + 'static) -> Self {
        Self { admit: Arc::new(admit), cost: None, mode: Mode::Wait }
    }

    /// Takes as many permits for a request as it costs, or a permit of this weight.
    #[must_use]
    pub fn cost(mut self, cost: impl Fn(&Request) -> u32 + Send + Sync + 'static) -> Self {
        self.cost = Some(Arc::new(cost));
        self
    }

    /// Refuses a request that would have to wait.
    #[must_use]
    pub fn reject(mut self) -> Self {
        self.mode = Mode::Try;
        self
    }

    pub(super) fn admit(&self, request: &Request) -> Admission {
        let cost = self.cost.as_ref().map_or(1, |cost| cost(request));
        (self.admit)(request, cost, self.mode)
    }
}

fn admit(limiter: Arc<RateLimiter>, permits: u32, mode: Mode, call: CallPlace) -> Admission {
    match mode {
        Mode::Wait => Admission::Waits(Acquire::Rate(AcquireInner::new(limiter, permits, true, call))),
        Mode::Try => Admission::Decided(limiter.try_acquire_many(permits).map(|()| None)),
    }
}

impl Acquire {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Decision> {
        match self {
            Self::Concurrency(acquire) => Pin::new(acquire).poll(cx).map_ok(Some),
            Self::Rate(acquire) => acquire.poll(cx).map_ok(|()| None),
        }
    }
}

impl<Request> Clone for LimitLayer<Request> {
    fn clone(&self) -> Self {
        Self { admit: Arc::clone(&self.admit), cost: self.cost.clone(), mode: self.mode }
    }
}

impl<Request> fmt::Debug for LimitLayer<Request> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitLayer").finish_non_exhaustive()
    }
}
