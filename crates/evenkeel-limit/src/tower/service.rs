//! The service of the layer, and the future of its calls.

use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    error::LimitError,
    layer::{Acquire, Admission, LimitLayer},
};
use crate::{concurrency::Permit, error::Denied};

/// The service of a [`LimitLayer`]: its calls take permits of a limiter, and a clone has the same limiter.
///
/// It is ready when the inner service is. A permit of a concurrency limit goes back as soon as the response is ready, or
/// the call is dropped. A limit that [adapts](crate::ConcurrencyLimiter::adaptive) counts each response as a success, and learns
/// nothing from errors: with the [gradient](crate::Adaptive::gradient) it finds the capacity, with
/// [`aimd`](crate::Adaptive::aimd) it only grows.
pub struct Limited<S, Request> {
    inner: S,
    layer: LimitLayer<Request>,
}

impl<S, Request> Layer<S> for LimitLayer<Request> {
    type Service = Limited<S, Request>;

    fn layer(&self, inner: S) -> Self::Service {
        Limited { inner, layer: self.clone() }
    }
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
        let state = match self.layer.admit(&request) {
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

impl<S: Clone, Request> Clone for Limited<S, Request> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), layer: self.layer.clone() }
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
