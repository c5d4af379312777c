//! Retry as a `tower` layer, over the same engine.
//!
//! ```
//! use evenkeel_retry::{Policy, Verdict, tower::RetryLayer};
//! use std::{io, time::Duration};
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! static POLICY: Policy = Policy::exponential(Duration::from_millis(100), Duration::from_secs(10));
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let retry = RetryLayer::new(
//!     &POLICY,
//!     |request: &String| Some(request.clone()),
//!     |error: &io::Error| Verdict::from(error.kind() == io::ErrorKind::ConnectionReset),
//! );
//! let mut service =
//!     ServiceBuilder::new().layer(retry).service_fn(async |request: String| io::Result::Ok(request.len()));
//! let length = service.ready().await.unwrap().call(String::from("hello")).await;
//! assert_eq!(length.unwrap(), 5);
//! # }
//! ```
//!
//! The classifier names the type of the error, as nothing has told it yet when the layer is made. Above layers that wrap
//! the error of the service, as limits do, `map_err` of tower behind each of them boxes it, and the type is `&BoxError`.
//!
//! Every response is a success, unless [`RetryLayer::classify_response`] says otherwise. Time limits and
//! budget are the policy's. A policy from a configuration that is read at run time must live as long as the program:
//! `Box::leak(Box::new(policy))`.

mod classify;

use std::{
    any::type_name,
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use self::classify::{Classify, KeepAll};
use crate::{Attempts, GaveUp, Policy, RetryError, Verdict, edges::CallPlace, telemetry, verdict::Repeat};

/// Wraps services in a [`RetryService`]; see the [module](self) for an example.
///
/// # Why not just use `tower::retry`?
/// Its policy is a trait that each user implements, delays, limits and classification included; here they are the
/// data of a [`Policy`], and the error says why the call gave up.
///
/// # Examples
/// ```
/// use evenkeel_retry::{Policy, Verdict, tower::RetryLayer};
/// use std::{io, time::Duration};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// static POLICY: Policy = Policy::fixed(Duration::from_millis(100));
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let retry = RetryLayer::new(&POLICY, |request: &u32| Some(*request), |_: &io::Error| Verdict::Retry);
/// let service = retry.layer(service_fn(async |request: u32| io::Result::Ok(request + 1)));
/// assert_eq!(service.oneshot(41).await.unwrap(), 42);
/// # }
/// ```
#[derive(Clone)]
pub struct RetryLayer<K, C, R = KeepAll> {
    policy: &'static Policy,
    clone: K,
    classify: C,
    classify_response: R,
    call: CallPlace,
}

impl<K, C> RetryLayer<K, C> {
    /// Retries, under this policy, the requests that `clone` can clone and the errors that `classify` says are worth it.
    ///
    /// `clone` is asked before every attempt whether there will be a request for the next one; where it gives none,
    /// that attempt is the last, and its failure ends the call with [`GaveUp::Unrepeatable`].
    #[cfg_attr(feature = "inspect", track_caller)]
    pub const fn new<Request, E>(policy: &'static Policy, clone: K, classify: C) -> Self
    where
        K: Fn(&Request) -> Option<Request>,
        C: Fn(&E) -> Verdict,
    {
        Self { policy, clone, classify, classify_response: KeepAll, call: CallPlace::here() }
    }

    /// Asks `verdict` about every response, too: for failures that a service reports in a response, such as HTTP's 503.
    ///
    /// [`Verdict::Permanent`] is an answer to keep. A response that was to be retried is dropped before the wait; when
    /// the policy gives up instead of waiting, the last one is the answer of the call, and not an error. With feature `http`,
    /// `http::retry_after(response.headers(), now)` returns how long the response asks to wait.
    ///
    /// # Examples
    /// ```
    /// # use evenkeel_retry::{Policy, Verdict, tower::RetryLayer};
    /// # use std::{io, sync::atomic::{AtomicU16, Ordering::Relaxed}, time::Duration};
    /// # use tower::{ServiceBuilder, ServiceExt};
    /// # static POLICY: Policy = Policy::fixed(Duration::from_millis(100));
    /// struct Response { status: u16, retry_after: Option<Duration> }
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let retry = RetryLayer::new(&POLICY, |request: &String| Some(request.clone()), |_: &io::Error| Verdict::Retry)
    ///     .classify_response(|response: &Response| match (response.status, response.retry_after) {
    ///         (429 | 503, Some(wait)) => Verdict::RetryAfter(wait),
    ///         (status, _) => Verdict::from(status >= 500),
    ///     });
    /// # let status = AtomicU16::new(503);
    /// # let status = &status;
    /// let service = ServiceBuilder::new().layer(retry).service_fn(async |_: String| {
    ///     io::Result::Ok(Response { status: status.swap(200, Relaxed), retry_after: Some(Duration::from_secs(2)) })
    /// });
    /// assert_eq!(service.oneshot(String::from("hello")).await.unwrap().status, 200);
    /// # }
    /// ```
    pub fn classify_response<Response, R>(self, verdict: R) -> RetryLayer<K, C, R>
    where
        R: Fn(&Response) -> Verdict,
    {
        let Self { policy, clone, classify, call, .. } = self;
        RetryLayer { policy, clone, classify, classify_response: verdict, call }
    }
}

impl<S, K: Clone, C: Clone, R: Clone> Layer<S> for RetryLayer<K, C, R> {
    type Service = RetryService<S, K, C, R>;

    fn layer(&self, inner: S) -> Self::Service {
        RetryService { inner, layer: self.clone() }
    }
}

/// A service whose calls are repeated under a [`Policy`].
///
/// It is ready when the inner service is; the first attempt of a call uses that readiness, and every other attempt
/// waits for a clone of the inner service to be ready, within the time limit of the attempt. A service that cannot become
/// ready fails without an attempt; for a later attempt of a call, that is an error like any other.
///
/// # Examples
/// ```
/// use evenkeel_retry::{Policy, Verdict, tower::{RetryLayer, RetryService}};
/// use std::{io, time::Duration};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// static POLICY: Policy = Policy::fixed(Duration::from_millis(100));
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let retry = RetryLayer::new(&POLICY, |request: &u32| Some(*request), |_: &io::Error| Verdict::Retry);
/// let service: RetryService<_, _, _> = retry.layer(service_fn(async |request: u32| io::Result::Ok(request + 1)));
/// let other = service.clone();
/// assert_eq!((service.oneshot(1).await.unwrap(), other.oneshot(2).await.unwrap()), (2, 3));
/// # }
/// ```
#[derive(Clone)]
pub struct RetryService<S, K, C, R = KeepAll> {
    inner: S,
    layer: RetryLayer<K, C, R>,
}

impl<S, K, C, R, Request> Service<Request> for RetryService<S, K, C, R>
where
    S: Service<Request> + Clone,
    K: Fn(&Request) -> Option<Request> + Clone,
    C: Fn(&S::Error) -> Verdict + Clone,
    R: Classify<S::Response> + Clone,
{
    type Response = S::Response;
    type Error = RetryError<S::Error>;
    type Future = ResponseFuture<S, Request, K, C, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let failed = |error| RetryError {
            reason: GaveUp::Permanent,
            last: Some(error),
            attempts: 0,
            elapsed: Duration::ZERO,
            total: 0,
        };
        self.inner.poll_ready(cx).map_err(failed)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let spare = (self.layer.clone)(&request);
        // The service that was polled ready is the one to call; its clone need not be ready.
        let clone = self.inner.clone();
        let mut service = mem::replace(&mut self.inner, clone);
        let mut attempts = self.layer.policy.start();
        attempts.repeat = if spare.is_some() { Repeat::Always } else { Repeat::Never };
        let _ = attempts.begin();
        let state = State::Attempt { attempt: Call::Calling { future: service.call(request) } };
        ResponseFuture { service, spare, attempts, layer: self.layer.clone(), state }
    }
}

pin_project! {
    /// The future of a call of [`RetryService`].
    ///
    /// # Errors
    /// [`RetryError`]: why the call gave up, and the last attempt's error by value.
    ///
    /// # Cancel safety
    /// Dropping it drops the attempt in flight, if any, and makes no other.
    ///
    /// # Panics
    /// When polled after it was ready.
    ///
    /// # Examples
    /// ```
    /// use evenkeel_retry::{Policy, Verdict, tower::RetryLayer};
    /// use std::{io, time::Duration};
    /// use tower::{Layer, Service, ServiceExt, service_fn};
    ///
    /// static POLICY: Policy = Policy::fixed(Duration::from_millis(100));
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let retry = RetryLayer::new(&POLICY, |request: &u32| Some(*request), |_: &io::Error| Verdict::Retry);
    /// let mut service = retry.layer(service_fn(async |request: u32| io::Result::Ok(request + 1)));
    /// let response = service.ready().await.unwrap().call(41);
    /// assert_eq!(response.await.unwrap(), 42);
    /// # }
    /// ```
    #[must_use = "futures do nothing unless awaited"]
    pub struct ResponseFuture<S, Request, K, C, R = KeepAll>
    where
        S: Service<Request>,
    {
        service: S,
        spare: Option<Request>,
        attempts: Attempts<'static>,
        layer: RetryLayer<K, C, R>,
        #[pin]
        state: State<S, Request>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, Request>
    where
        S: Service<Request>,
    {
        // The wait before an attempt, with the error of the last one.
        Waiting { last: Option<S::Error> },
        Attempt { #[pin] attempt: Call<S, Request> },
        Done,
    }
}

impl<S, K, C, R, Request> Future for ResponseFuture<S, Request, K, C, R>
where
    S: Service<Request> + Clone,
    K: Fn(&Request) -> Option<Request>,
    C: Fn(&S::Error) -> Verdict,
    R: Classify<S::Response>,
{
    type Output = Result<S::Response, RetryError<S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProjection::Waiting { last } => {
                    let in_time = ready!(this.attempts.poll_begin(cx));
                    let Some(request) = this.spare.take().filter(|_| in_time) else {
                        let late = this.attempts.gave_up(GaveUp::Deadline, last.take());
                        this.state.set(State::Done);
                        return Poll::Ready(Err(late));
                    };
                    *this.spare = (this.layer.clone)(&request);
                    this.attempts.repeat = if this.spare.is_some() { Repeat::Always } else { Repeat::Never };
                    let attempt = Call::Ready { service: this.service.clone(), request: Some(request) };
                    this.state.set(State::Attempt { attempt });
                }
                StateProjection::Attempt { attempt } => {
                    let outcome = ready!(this.attempts.poll_attempt(attempt, cx));
                    this.state.set(State::Done);
                    let (last, verdict) = match outcome {
                        Ok(response) => match this.layer.classify_response.classify(&response) {
                            Verdict::Permanent => return Poll::Ready(Ok(response)),
                            verdict => (Ok(response), verdict),
                        },
                        Err(failed) => {
                            let failed = failed.classify(|error| (this.layer.classify)(error));
                            (Err(failed.error), failed.verdict)
                        }
                    };
                    match (this.attempts.decide(verdict, true), last) {
                        (Ok(_), last) => {
                            let failure = match &last {
                                Ok(_) => Some(type_name::<S::Response>()),
                                Err(error) => error.as_ref().map(|_| type_name::<S::Error>()),
                            };
                            this.attempts.note_wait(this.layer.call, failure);
                            this.state.set(State::Waiting { last: last.err().flatten() });
                        }
                        (Err(reason), Ok(response)) => {
                            telemetry::gave_up(reason, this.attempts.attempts());
                            return Poll::Ready(Ok(response));
                        }
                        (Err(reason), Err(error)) => {
                            return Poll::Ready(Err(this.attempts.gave_up(reason, error)));
                        }
                    }
                }
                StateProjection::Done => panic!("`ResponseFuture` was polled after it was ready"),
            }
        }
    }
}

pin_project! {
    /// Waits until a service is ready, and calls it.
    #[project = CallProjection]
    enum Call<S, Request>
    where
        S: Service<Request>,
    {
        Ready { service: S, request: Option<Request> },
        Calling { #[pin] future: S::Future },
    }
}

impl<S: Service<Request>, Request> Future for Call<S, Request> {
    type Output = Result<S::Response, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let future = match self.as_mut().project() {
                CallProjection::Calling { future } => return future.poll(cx),
                CallProjection::Ready { service, request } => {
                    ready!(service.poll_ready(cx))?;
                    service.call(request.take().expect("it is taken once, on the way to `Calling`"))
                }
            };
            self.set(Self::Calling { future });
        }
    }
}

impl<K, C, R> fmt::Debug for RetryLayer<K, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryLayer").field("policy", self.policy).finish_non_exhaustive()
    }
}

impl<S: fmt::Debug, K, C, R> fmt::Debug for RetryService<S, K, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryService").field("inner", &self.inner).field("layer", &self.layer).finish()
    }
}

impl<S: Service<Request>, Request, K, C, R> fmt::Debug for ResponseFuture<S, Request, K, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("attempts", &self.attempts).finish_non_exhaustive()
    }
}
