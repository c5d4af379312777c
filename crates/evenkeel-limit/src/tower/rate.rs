//! The rate of calls.

use std::{
    fmt,
    hash::Hash,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{Cost, LimitError, cost_of};
use crate::{
    error::Denied,
    keyed::{Decision, Keyed},
    rate_limiter::{RateLimiter, acquire::AcquireInner, core},
    sync::entry::Mode,
};

/// Wraps services in a [`RateLimit`].
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
pub struct RateLimitLayer<Request> {
    enter: Enter<Request>,
    cost: Cost<Request>,
    mode: Mode,
}

/// Takes permits for a request, or gives the turn in which to wait for them.
type Enter<Request> = Arc<dyn Fn(&Request, u32, Mode) -> Entry + Send + Sync>;
type Entry = Result<Option<AcquireInner<Arc<RateLimiter>>>, Denied>;

impl<Request> RateLimitLayer<Request> {
    /// Takes one permit of this limiter for each request, and lets it wait for that.
    #[must_use]
    pub fn new(limiter: Arc<RateLimiter>) -> Self {
        let enter = move |_: &Request, permits, mode| enter(Arc::clone(&limiter), permits, mode);
        Self { enter: Arc::new(enter), cost: None, mode: Mode::Wait }
    }

    /// Takes one permit of the key of each request.
    #[must_use]
    pub fn keyed<K>(limiter: Arc<Keyed<K>>, key: impl Fn(&Request) -> K + Send + Sync + 'static) -> Self
    where
        K: Hash + Eq + Clone + Send + Sync + 'static,
    {
        let enter = move |request: &Request, permits, mode| match limiter.decide(
            &key(request),
            permits,
            Some(mode),
        ) {
            Decision::Granted => Ok(None),
            Decision::Denied(denied) => Err(denied),
            Decision::Limiter(limiter) => enter(limiter, permits, mode),
        };
        Self { enter: Arc::new(enter), cost: None, mode: Mode::Wait }
    }

    /// Takes as many permits for a request as it costs.
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
}

fn enter(limiter: Arc<RateLimiter>, permits: u32, mode: Mode) -> Entry {
    match mode {
        Mode::Try => limiter.try_acquire_many(permits).map(|()| None),
        Mode::Wait => {
            let request = core::Request { permits, deadline: None, bounded: true };
            Ok(Some(AcquireInner::new(limiter, request)))
        }
    }
}

impl<S, Request> Layer<S> for RateLimitLayer<Request> {
    type Service = RateLimit<S, Request>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit { inner, layer: self.clone() }
    }
}

/// A service of which the calls take permits of a limiter.
///
/// It is ready when the inner service is. A clone has the same limiter.
pub struct RateLimit<S, Request> {
    inner: S,
    layer: RateLimitLayer<Request>,
}

impl<S: Service<Request> + Clone, Request> Service<Request> for RateLimit<S, Request> {
    type Response = S::Response;
    type Error = LimitError<S::Error>;
    type Future = RateLimited<S, Request>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(LimitError::Service)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The service that was polled ready is the one to call; its clone need not be ready.
        let clone = self.inner.clone();
        let mut service = mem::replace(&mut self.inner, clone);
        let RateLimitLayer { enter, cost, mode } = &self.layer;
        let state = match enter(&request, cost_of(cost, &request), *mode) {
            Ok(None) => State::Calling { future: service.call(request) },
            Ok(Some(turn)) => State::Waiting { turn, service, request: Some(request) },
            Err(denied) => State::Denied { denied },
        };
        RateLimited { state }
    }
}

pin_project! {
    /// The future of a call of [`RateLimit`].
    ///
    /// # Errors
    ///
    /// [`LimitError`]: the refusal of the limiter, or the error of the service.
    ///
    /// # Panics
    ///
    /// When polled after it was ready, or if it has to wait outside of a tokio runtime with timers.
    ///
    /// # Cancel safety
    ///
    /// Dropping it while it waits leaves the limiter as if it had never come, and nothing is called; dropping it later
    /// drops the call, and its permits are spent.
    #[must_use = "futures do nothing unless awaited"]
    pub struct RateLimited<S: Service<Request>, Request> {
        #[pin]
        state: State<S, Request>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S: Service<Request>, Request> {
        Denied { denied: Denied },
        Waiting { turn: AcquireInner<Arc<RateLimiter>>, service: S, request: Option<Request> },
        Calling { #[pin] future: S::Future },
    }
}

impl<S: Service<Request>, Request> Future for RateLimited<S, Request> {
    type Output = Result<S::Response, LimitError<S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let future = match state.as_mut().project() {
                StateProjection::Denied { denied } => return Poll::Ready(Err(LimitError::Denied(*denied))),
                StateProjection::Calling { future } => return future.poll(cx).map_err(LimitError::Service),
                StateProjection::Waiting { turn, service, request } => {
                    ready!(turn.poll(cx)).map_err(LimitError::Denied)?;
                    service.call(request.take().expect("it is taken once, on the way to `Calling`"))
                }
            };
            state.set(State::Calling { future });
        }
    }
}

impl<Request> Clone for RateLimitLayer<Request> {
    fn clone(&self) -> Self {
        Self { enter: Arc::clone(&self.enter), cost: self.cost.clone(), mode: self.mode }
    }
}

impl<S: Clone, Request> Clone for RateLimit<S, Request> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), layer: self.layer.clone() }
    }
}

impl<Request> fmt::Debug for RateLimitLayer<Request> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer").finish_non_exhaustive()
    }
}

impl<S: fmt::Debug, Request> fmt::Debug for RateLimit<S, Request> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S: Service<Request>, Request> fmt::Debug for RateLimited<S, Request> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimited").finish_non_exhaustive()
    }
}
