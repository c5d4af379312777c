//! How many calls run at the same time.

use std::{
    fmt, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{Cost, LimitError, cost_of};
use crate::{
    concurrency::{AcquirePermit, ConcurrencyLimiter, Permit},
    error::Denied,
};

/// Wraps services in a [`ConcurrencyLimit`].
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
pub struct ConcurrencyLimitLayer<Request> {
    limiter: Arc<ConcurrencyLimiter>,
    cost: Cost<Request>,
    rejects: bool,
}

impl<Request> ConcurrencyLimitLayer<Request> {
    /// Holds a permit of weight 1 during each call, and lets it wait for that.
    #[must_use]
    pub fn new(limiter: Arc<ConcurrencyLimiter>) -> Self {
        Self { limiter, cost: None, rejects: false }
    }

    /// Holds a permit of this weight during a call.
    #[must_use]
    pub fn cost(mut self, weight: impl Fn(&Request) -> u32 + Send + Sync + 'static) -> Self {
        self.cost = Some(Arc::new(weight));
        self
    }

    /// Refuses a request that would have to wait.
    #[must_use]
    pub fn reject(mut self) -> Self {
        self.rejects = true;
        self
    }
}

impl<S, Request> Layer<S> for ConcurrencyLimitLayer<Request> {
    type Service = ConcurrencyLimit<S, Request>;

    fn layer(&self, inner: S) -> Self::Service {
        ConcurrencyLimit { inner, layer: self.clone() }
    }
}

/// A service of which so many calls run at the same time.
///
/// It is ready when the inner service is. A permit goes back as soon as the response is ready, or the call is dropped;
/// a limit that [adapts](ConcurrencyLimiter::adaptive) takes each response for a success, and learns nothing from
/// errors: by the [gradient](crate::Adaptive::gradient) it finds its place, by [`aimd`](crate::Adaptive::aimd) it only
/// grows. A clone has the same limiter.
pub struct ConcurrencyLimit<S, Request> {
    inner: S,
    layer: ConcurrencyLimitLayer<Request>,
}

impl<S: Service<Request> + Clone, Request> Service<Request> for ConcurrencyLimit<S, Request> {
    type Response = S::Response;
    type Error = LimitError<S::Error>;
    type Future = ConcurrencyLimited<S, Request>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(LimitError::Service)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The service that was polled ready is the one to call; its clone need not be ready.
        let clone = self.inner.clone();
        let mut service = mem::replace(&mut self.inner, clone);
        let ConcurrencyLimitLayer { limiter, cost, rejects } = &self.layer;
        let weight = cost_of(cost, &request);
        let state = if !rejects {
            State::Waiting { turn: limiter.acquire_owned(weight), service, request: Some(request) }
        } else {
            match limiter.try_acquire_owned(weight) {
                Ok(permit) => State::Calling { future: service.call(request), permit: Some(permit) },
                Err(denied) => State::Denied { denied },
            }
        };
        ConcurrencyLimited { state }
    }
}

pin_project! {
    /// The future of a call of [`ConcurrencyLimit`].
    ///
    /// # Errors
    ///
    /// [`LimitError`]: the refusal of the limiter, or the error of the service.
    ///
    /// # Panics
    ///
    /// When polled after it was ready.
    ///
    /// # Cancel safety
    ///
    /// Dropping it while it waits leaves the limiter as if it had never come, and nothing is called; dropping it later
    /// drops the call and gives its permit back.
    #[must_use = "futures do nothing unless awaited"]
    pub struct ConcurrencyLimited<S: Service<Request>, Request> {
        #[pin]
        state: State<S, Request>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S: Service<Request>, Request> {
        Denied { denied: Denied },
        Waiting { turn: AcquirePermit<'static>, service: S, request: Option<Request> },
        Calling { #[pin] future: S::Future, permit: Option<Permit<'static>> },
    }
}

impl<S: Service<Request>, Request> Future for ConcurrencyLimited<S, Request> {
    type Output = Result<S::Response, LimitError<S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let (future, permit) = match state.as_mut().project() {
                StateProjection::Denied { denied } => return Poll::Ready(Err(LimitError::Denied(*denied))),
                StateProjection::Calling { future, permit } => {
                    let result = ready!(future.poll(cx));
                    // Now, and not when this is dropped, which may be much later.
                    if let Some(permit) = permit.take().filter(|_| result.is_ok()) {
                        permit.success();
                    }
                    return Poll::Ready(result.map_err(LimitError::Service));
                }
                StateProjection::Waiting { turn, service, request } => {
                    let permit = ready!(Pin::new(turn).poll(cx)).map_err(LimitError::Denied)?;
                    (service.call(request.take().expect("it is taken once, on the way to `Calling`")), permit)
                }
            };
            state.set(State::Calling { future, permit: Some(permit) });
        }
    }
}

impl<Request> Clone for ConcurrencyLimitLayer<Request> {
    fn clone(&self) -> Self {
        Self { limiter: Arc::clone(&self.limiter), cost: self.cost.clone(), rejects: self.rejects }
    }
}

impl<S: Clone, Request> Clone for ConcurrencyLimit<S, Request> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), layer: self.layer.clone() }
    }
}

impl<Request> fmt::Debug for ConcurrencyLimitLayer<Request> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyLimitLayer").field("limiter", &self.limiter).finish_non_exhaustive()
    }
}

impl<S: fmt::Debug, Request> fmt::Debug for ConcurrencyLimit<S, Request> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyLimit").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S: Service<Request>, Request> fmt::Debug for ConcurrencyLimited<S, Request> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyLimited").finish_non_exhaustive()
    }
}
