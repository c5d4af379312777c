//! The service of both layers, and the future of its calls.

use std::{
    fmt, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::error::LimitError;
use crate::{
    concurrency::{AcquirePermit, Permit},
    error::Denied,
    rate_limiter::{RateLimiter, acquire::AcquireInner},
    sync::entry::Mode,
};

/// The settings of a layer, shared with its services.
pub(super) struct Config<Request> {
    admit: Admit<Request>,
    /// 1 if not set.
    pub(super) cost: Option<Cost<Request>>,
    pub(super) mode: Mode,
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
type Decision = Result<Option<Permit<'static>>, Denied>;

/// The wait for permits.
pub(super) enum Acquire {
    Concurrency(AcquirePermit<'static>),
    Rate(AcquireInner<Arc<RateLimiter>>),
}

impl<Request> Config<Request> {
    pub(super) fn new(admit: impl Fn(&Request, u32, Mode) -> Admission + Send + Sync + 'static) -> Self {
        Self { admit: Arc::new(admit), cost: None, mode: Mode::Wait }
    }

    fn admit(&self, request: &Request) -> Admission {
        let cost = self.cost.as_ref().map_or(1, |cost| cost(request));
        (self.admit)(request, cost, self.mode)
    }
}

impl Acquire {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Decision> {
        match self {
            Self::Concurrency(acquire) => Pin::new(acquire).poll(cx).map_ok(Some),
            Self::Rate(acquire) => acquire.poll(cx).map_ok(|()| None),
        }
    }
}

/// The service of a [`RateLimitLayer`](super::RateLimitLayer) or [`ConcurrencyLimitLayer`](super::ConcurrencyLimitLayer):
/// its calls take permits of a limiter, and a clone has the same limiter.
///
/// It is ready when the inner service is. A permit of a concurrency limit goes back as soon as the response is ready, or
/// the call is dropped. A limit that [adapts](crate::ConcurrencyLimiter::adaptive) counts each response as a success, and learns
/// nothing from errors: with the [gradient](crate::Adaptive::gradient) it finds the capacity, with
/// [`aimd`](crate::Adaptive::aimd) it only grows.
pub struct Limited<S, Request> {
    pub(super) inner: S,
    pub(super) config: Config<Request>,
}

impl<S: Service<Request> + Clone, Request> Service<Request> for Limited<S, Request> {
    type Response = S::Response;
    type Error = LimitError<S::Error>;
    type Future = LimitedCall<S, Request>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(LimitError::Service)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The service that was polled ready is the one to call; its clone need not be ready.
        let clone = self.inner.clone();
        let mut service = mem::replace(&mut self.inner, clone);
        let state = match self.config.admit(&request) {
            Admission::Decided(Ok(permit)) => State::Calling { future: service.call(request), permit },
            Admission::Decided(Err(denied)) => State::Denied { denied },
            Admission::Waits(acquire) => State::Waiting { acquire, service, request: Some(request) },
        };
        LimitedCall { state }
    }
}

pin_project! {
    /// The future of a call through a [`Limited`] service.
    ///
    /// # Errors
    ///
    /// [`LimitError`]: the refusal of the limiter, or the error of the service.
    ///
    /// # Panics
    ///
    /// When polled after it was ready, or if it has to wait for a rate outside of a tokio runtime with timers.
    ///
    /// # Cancel safety
    ///
    /// Dropping it while it waits leaves the limiter as if it had never been polled, and nothing is called. Dropping it
    /// later drops the call: a permit of a concurrency limit goes back, those of a rate are spent.
    #[must_use = "futures do nothing unless awaited"]
    pub struct LimitedCall<S: Service<Request>, Request> {
        #[pin]
        state: State<S, Request>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S: Service<Request>, Request> {
        Denied { denied: Denied },
        Waiting { acquire: Acquire, service: S, request: Option<Request> },
        Calling { #[pin] future: S::Future, permit: Option<Permit<'static>> },
    }
}

impl<S: Service<Request>, Request> Future for LimitedCall<S, Request> {
    type Output = Result<S::Response, LimitError<S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let (future, permit) = match state.as_mut().project() {
                StateProjection::Calling { future, permit } => {
                    let result = ready!(future.poll(cx));
                    // Now, and not when this future is dropped, which may be much later.
                    if let Some(permit) = permit.take().filter(|_| result.is_ok()) {
                        permit.success();
                    }
                    return Poll::Ready(result.map_err(LimitError::Service));
                }
                StateProjection::Denied { denied } => return Poll::Ready(Err(LimitError::Denied(*denied))),
                StateProjection::Waiting { acquire, service, request } => {
                    let permit = ready!(acquire.poll(cx)).map_err(LimitError::Denied)?;
                    (service.call(request.take().expect("it is taken once, on the way to `Calling`")), permit)
                }
            };
            state.set(State::Calling { future, permit });
        }
    }
}

impl<Request> Clone for Config<Request> {
    fn clone(&self) -> Self {
        Self { admit: Arc::clone(&self.admit), cost: self.cost.clone(), mode: self.mode }
    }
}

impl<S: Clone, Request> Clone for Limited<S, Request> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), config: self.config.clone() }
    }
}

impl<S: fmt::Debug, Request> fmt::Debug for Limited<S, Request> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limited").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S: Service<Request>, Request> fmt::Debug for LimitedCall<S, Request> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitedCall").finish_non_exhaustive()
    }
}
