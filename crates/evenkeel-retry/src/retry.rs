//! The future of [`Policy::run`](crate::Policy::run), and its options for one call.
//!
//! It alternates between two states, the wait before an attempt and the attempt; each decision is made by
//! [`Attempts`]. The operation is dropped before its error is classified, so that nothing it holds is held during the wait.
//!
//! Most calls succeed at their first poll, so that poll has a path of its own: it makes the deposit, polls the operation and
//! returns its value. It is inlined at every caller, and all else is in `poll_on`, out of line. This path finds no state of
//! the call to drop: a call that has a state from the start, for its deadline or its description, begins at `Waiting`.

use std::{
    any::type_name,
    fmt,
    future::Pending,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::{Attempts, Failed, GaveUp, RetryError, Verdict, edges::CallPlace, verdict::Repeat};

/// A failure that is about to be retried, as [`Retry::observe`] shows it.
///
/// # Examples
/// ```
/// use evenkeel_retry::{Policy, RetryEvent};
/// use std::{io, time::Duration};
///
/// fn log(retry: RetryEvent<'_, io::Error>) {
///     println!("attempt {} failed, again in {:?}", retry.attempt, retry.delay);
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let policy = Policy::fixed(Duration::from_secs(1));
/// policy.run(async || io::Result::Ok(())).observe(log).await.unwrap();
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct RetryEvent<'a, E> {
    /// The error; `None` if the attempt timed out.
    pub error: Option<&'a E>,
    /// The number of the attempt that failed, from 1.
    pub attempt: u32,
    /// The wait that follows.
    pub delay: Duration,
}

pin_project! {
    /// The future of [`Policy::run`](crate::Policy::run): calls an operation until it succeeds or the policy gives up.
    ///
    /// # Cancel safety
    /// Dropping it drops the attempt in flight, if any, and makes no other.
    ///
    /// # Panics
    /// When polled after it was ready.
    ///
    /// # Examples
    /// A call that is not awaited does nothing; the compiler says so, and can be told to refuse it:
    /// ```compile_fail
    /// #![deny(unused_must_use)]
    /// # use evenkeel_retry::Policy;
    /// async fn save(policy: &Policy) {
    ///     policy.run(async || std::io::Result::Ok(())).when(|_| true); // forgotten: `.await`
    /// }
    /// ```
    /// ```
    /// #![deny(unused_must_use)]
    /// # use evenkeel_retry::Policy;
    /// async fn save(policy: &Policy) {
    ///     policy.run(async || std::io::Result::Ok(())).when(|_| true).await.unwrap();
    /// }
    /// ```
    #[must_use = "futures do nothing unless awaited"]
    pub struct Retry<'p, Op, Fut, E, C, O, U = Pending<()>> {
        operation: Op,
        classify: C,
        observe: O,
        #[pin]
        until: U,
        attempts: Attempts<'p>,
        call: CallPlace,
        #[pin]
        state: State<Fut, E>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<Fut, E> {
        // Before the first attempt, of a call that has no `CallState`.
        New,
        // The wait before any other attempt, with the error of the last one.
        Waiting { last: Option<E> },
        Attempt { #[pin] operation: Fut },
        Done { error: PhantomData<E> },
    }
}

/// The outcome of a first poll that was no success.
enum First<E> {
    Cancelled,
    Failed(E),
    Pending,
}

/// The parts of a [`RetryError`] that the call does not keep.
struct Parts<E> {
    reason: GaveUp,
    last: Option<E>,
    times: (Duration, u64),
}

impl<E> Parts<E> {
    /// Ends a call that gives up, and drops its `CallState`.
    fn new(reason: GaveUp, last: Option<E>, attempts: &mut Attempts<'_>) -> Self {
        let times = attempts.end(reason);
        attempts.clear();
        Self { reason, last, times }
    }
}

impl<Fut, E> State<Fut, E> {
    const DONE: Self = Self::Done { error: PhantomData };

    #[inline]
    fn begin(mut self: Pin<&mut Self>, operation: Fut) -> Pin<&mut Fut> {
        self.set(Self::Attempt { operation });
        match self.project() {
            StateProjection::Attempt { operation } => operation,
            _ => unreachable!("it was set above"),
        }
    }
}

impl<'p, Op, Fut, E, C, O> Retry<'p, Op, Fut, E, C, O> {
    /// Makes a call without a `CallState`, whose operation does not ask for one.
    #[inline]
    pub(crate) fn new(
        attempts: Attempts<'p>,
        call: CallPlace,
        operation: Op,
        classify: C,
        observe: O,
    ) -> Self {
        let until = std::future::pending();
        Self { operation, classify, observe, until, attempts, call, state: State::New }
    }
}

/// The default of `classify`: every error is retried.
pub(crate) const fn retry_all<E>(_: &E) -> Verdict {
    Verdict::Retry
}

/// The default of `observe`: nothing.
pub(crate) const fn unobserved<E>(_: RetryEvent<'_, E>) {}

impl<'p, Op, Fut, E, C, O, U> Retry<'p, Op, Fut, E, C, O, U> {
    /// Retries only errors for which `transient` is true; an attempt that timed out is retried. Replaces an earlier `when`
    /// or [`classify`](Self::classify).
    pub fn when(
        self,
        mut transient: impl FnMut(&E) -> bool,
    ) -> Retry<'p, Op, Fut, E, impl FnMut(&E) -> Verdict, O, U> {
        self.classify(move |error: &E| transient(error).into())
    }

    /// Asks `verdict` about every error; an attempt that timed out is retried. Replaces an earlier [`when`](Self::when) or
    /// `classify`.
    ///
    /// # Examples
    /// ```
    /// # use evenkeel_retry::{Policy, Verdict};
    /// # use std::time::Duration;
    /// #[derive(Debug)]
    /// enum ApiError { Busy { retry_after: Duration }, BadRequest }
    ///
    /// # async fn call() -> Result<(), ApiError> { Ok(()) }
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # let policy = Policy::fixed(Duration::ZERO);
    /// let done = policy.run(call).classify(|error| match error {
    ///     ApiError::Busy { retry_after } => Verdict::RetryAfter(*retry_after),
    ///     ApiError::BadRequest => Verdict::Permanent,
    /// });
    /// # done.await.unwrap();
    /// # }
    /// ```
    pub fn classify<C2>(self, verdict: C2) -> Retry<'p, Op, Fut, E, C2, O, U>
    where
        C2: FnMut(&E) -> Verdict,
    {
        let Self { operation, observe, until, attempts, call, state, .. } = self;
        Retry { operation, classify: verdict, observe, until, attempts, call, state }
    }

    /// Shows every failure that will be retried to `observer`, before the wait: for logs and counters.
    ///
    /// It is called once for each retry, with the delay that is slept, and never for the last failure.
    ///
    /// # Examples
    /// ```
    /// # use evenkeel_retry::Policy;
    /// # use std::{io, time::Duration};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # let policy = Policy::fixed(Duration::from_secs(1));
    /// let mut lines = Vec::new();
    /// let result = policy
    ///     .run(async || Err::<(), _>(io::Error::other("busy")))
    ///     .observe(|retry| lines.push(format!("{:?}, again in {:?}", retry.error, retry.delay)))
    ///     .await;
    /// assert!(result.is_err());
    /// assert_eq!(lines.len(), 2);
    /// # }
    /// ```
    #[doc(alias = "notify")]
    pub fn observe<O2>(self, observer: O2) -> Retry<'p, Op, Fut, E, C, O2, U>
    where
        O2: FnMut(RetryEvent<'_, E>),
    {
        let Self { operation, classify, until, attempts, call, state, .. } = self;
        Retry { operation, classify, observe: observer, until, attempts, call, state }
    }

    /// Gives up when `cancel` is ready, a stop signal for example: it wakes the wait between attempts.
    ///
    /// An attempt in flight is not cut short; dropping the whole future does that.
    ///
    /// # Examples
    /// ```
    /// # use evenkeel_retry::{GaveUp, Policy};
    /// # use std::{io, time::Duration};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let policy = Policy::fixed(Duration::from_secs(60));
    /// let stopped = tokio::time::sleep(Duration::from_secs(1));
    /// let gave_up = policy.run(async || Err::<(), _>(io::Error::other("busy"))).until(stopped).await.unwrap_err();
    /// assert_eq!(gave_up.reason, GaveUp::Cancelled);
    /// assert_eq!(gave_up.last.unwrap().to_string(), "busy");
    /// # }
    /// ```
    pub fn until<U2: Future>(self, cancel: U2) -> Retry<'p, Op, Fut, E, C, O, U2> {
        let Self { operation, classify, observe, attempts, call, state, .. } = self;
        Retry { operation, classify, observe, until: cancel, attempts, call, state }
    }

    /// Ends the call at this time, unless the policy's total time ends it before; of several the earliest counts.
    ///
    /// As with [`Policy::total_timeout`](crate::Policy::total_timeout) an attempt in flight is dropped then, and a wait
    /// that would not end before is not begun. At a deadline that has passed no attempt is made.
    ///
    /// # Examples
    /// ```
    /// # use evenkeel_retry::{GaveUp, Policy};
    /// # use std::{io, time::Duration};
    /// # use tokio::time::Instant;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let policy = Policy::fixed(Duration::from_secs(2));
    /// let answer_by = Instant::now() + Duration::from_secs(1); // the request that this call is a part of
    /// let gave_up =
    ///     policy.run(async || Err::<(), _>(io::Error::other("busy"))).deadline(answer_by).await.unwrap_err();
    /// assert_eq!((gave_up.reason, gave_up.elapsed), (GaveUp::Deadline, Duration::ZERO));
    /// # }
    /// ```
    pub fn deadline(mut self, at: Instant) -> Self {
        self.attempts = self.attempts.deadline(at);
        self.with_call_state()
    }

    /// Lets the call have a `CallState` from the start.
    pub(crate) fn with_call_state(mut self) -> Self {
        self.state = State::Waiting { last: None };
        self
    }

    /// Marks the operation as not safe to repeat: only an error that is [`Verdict::NotSent`] is retried.
    ///
    /// Any other failure, a time-out too, may have taken effect, and ends the call with
    /// [`GaveUp::AtMostOnce`].
    pub const fn at_most_once(mut self) -> Self {
        self.attempts.repeat = Repeat::IfNotSent;
        self
    }
}

impl<'p, Op, Fut, T, E, C, O, U> Future for Retry<'p, Op, Fut, E, C, O, U>
where
    Op: FnMut(&mut Attempts<'p>) -> Fut,
    Fut: Future<Output = Result<T, E>>,
    C: FnMut(&E) -> Verdict,
    O: FnMut(RetryEvent<'_, E>),
    U: Future,
{
    type Output = Result<T, RetryError<E>>;

    // Always: were it left to the compiler, a second call of the same types would make each of them cost almost twice.
    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.as_mut().project();
        let mut first = None;
        if let StateProjection::New = this.state.as_mut().project() {
            first = Some(if this.until.as_mut().poll(cx).is_ready() {
                First::Cancelled
            } else {
                this.attempts.deposit();
                let operation = (this.operation)(this.attempts);
                match this.state.as_mut().begin(operation).poll(cx) {
                    Poll::Ready(Ok(value)) => {
                        this.state.set(State::DONE);
                        this.attempts.assert_stateless();
                        return Poll::Ready(Ok(value));
                    }
                    Poll::Ready(Err(error)) => First::Failed(error),
                    Poll::Pending => First::Pending,
                }
            });
        }
        let ended = ready!(self.as_mut().poll_on(cx, first));
        let attempts = self.project().attempts;
        attempts.assert_stateless();
        Poll::Ready(ended.map_err(|Parts { reason, last, times: (elapsed, total) }| RetryError {
            reason,
            last,
            attempts: attempts.attempts(),
            elapsed,
            total,
        }))
    }
}

impl<'p, Op, Fut, T, E, C, O, U> Retry<'p, Op, Fut, E, C, O, U>
where
    Op: FnMut(&mut Attempts<'p>) -> Fut,
    Fut: Future<Output = Result<T, E>>,
    C: FnMut(&E) -> Verdict,
    O: FnMut(RetryEvent<'_, E>),
    U: Future,
{
    /// Does the rest of a call, after the first poll or at each later one.
    ///
    /// Out of line, and it returns the parts of an error: so the code of a success is small enough to be inlined
    /// everywhere, and writes its result where it goes. Leaves no `CallState` when it is ready.
    #[cold]
    #[inline(never)]
    fn poll_on(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut first: Option<First<E>>,
    ) -> Poll<Result<T, Parts<E>>> {
        let mut this = self.project();
        if let StateProjection::Attempt { .. } = this.state.as_mut().project() {
            this.attempts.count_first();
        }
        loop {
            let operation = match this.state.as_mut().project() {
                StateProjection::New => {
                    this.state.set(State::DONE);
                    return Poll::Ready(Err(Parts::new(GaveUp::Cancelled, None, this.attempts)));
                }
                StateProjection::Attempt { operation } => operation,
                StateProjection::Waiting { last } => {
                    let reason = match this.until.as_mut().poll(cx) {
                        Poll::Ready(_) => Some(GaveUp::Cancelled),
                        Poll::Pending => (!ready!(this.attempts.poll_begin(cx))).then_some(GaveUp::Deadline),
                    };
                    if let Some(reason) = reason {
                        let last = last.take();
                        this.state.set(State::DONE);
                        return Poll::Ready(Err(Parts::new(reason, last, this.attempts)));
                    }
                    let operation = (this.operation)(this.attempts);
                    this.state.as_mut().begin(operation)
                }
                _ => panic!("`Retry` was polled after it was ready"),
            };
            let outcome = match first.take() {
                Some(First::Failed(error)) => Err(Failed::new(Some(error))),
                Some(First::Pending) => {
                    ready!(this.attempts.poll_limit(cx));
                    Err(Failed::new(None))
                }
                _ => ready!(this.attempts.poll_attempt(operation, cx)),
            };
            // Drops the operation before its error is classified: its resources are free during the wait.
            this.state.set(State::DONE);
            let failed = match outcome {
                Ok(value) => {
                    this.attempts.clear();
                    return Poll::Ready(Ok(value));
                }
                Err(failed) => failed.classify(&mut *this.classify),
            };
            match this.attempts.decide(failed.verdict, failed.may_repeat) {
                Ok(delay) => {
                    let attempt = this.attempts.attempts();
                    let error = failed.error().map(|_| type_name::<E>());
                    this.attempts.note_wait(*this.call, error);
                    (this.observe)(RetryEvent { error: failed.error(), attempt, delay });
                    this.state.set(State::Waiting { last: failed.error });
                }
                Err(reason) => return Poll::Ready(Err(Parts::new(reason, failed.error, this.attempts))),
            }
        }
    }
}

impl<Op, Fut, E, C, O, U> fmt::Debug for Retry<'_, Op, Fut, E, C, O, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry").field("attempts", &self.attempts).finish_non_exhaustive()
    }
}
