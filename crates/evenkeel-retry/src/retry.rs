//! The future of [`Policy::run`](crate::Policy::run), and its options for one call.
//!
//! It alternates between two states, the wait before an attempt and the attempt; each decision is made by
//! [`Attempts`]. The operation is dropped before its error is classified, so that nothing it holds is held during the wait.

use std::{
    fmt,
    future::Pending,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::{Attempts, GaveUp, RetryError, Verdict, verdict::Repeat};

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
        #[pin]
        state: State<Fut, E>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<Fut, E> {
        // The wait before an attempt, with the error of the last one.
        Waiting { last: Option<E> },
        Attempt { #[pin] operation: Fut },
        Done { error: PhantomData<E> },
    }
}

impl<Fut, E> State<Fut, E> {
    const DONE: Self = Self::Done { error: PhantomData };
}

impl<'p, Op, Fut, E, C, O> Retry<'p, Op, Fut, E, C, O> {
    #[inline]
    pub(crate) fn new(attempts: Attempts<'p>, operation: Op, classify: C, observe: O) -> Self {
        let until = std::future::pending();
        Self { operation, classify, observe, until, attempts, state: State::Waiting { last: None } }
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
        let Self { operation, observe, until, attempts, state, .. } = self;
        Retry { operation, classify: verdict, observe, until, attempts, state }
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
    pub fn observe<O2>(self, observer: O2) -> Retry<'p, Op, Fut, E, C, O2, U>
    where
        O2: FnMut(RetryEvent<'_, E>),
    {
        let Self { operation, classify, until, attempts, state, .. } = self;
        Retry { operation, classify, observe: observer, until, attempts, state }
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
        let Self { operation, classify, observe, attempts, state, .. } = self;
        Retry { operation, classify, observe, until: cancel, attempts, state }
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

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            if let StateProjection::Waiting { last } = this.state.as_mut().project() {
                if this.until.as_mut().poll(cx).is_ready() {
                    let cancelled = this.attempts.gave_up(GaveUp::Cancelled, last.take());
                    this.state.set(State::DONE);
                    return Poll::Ready(Err(cancelled));
                }
                if !ready!(this.attempts.poll_begin(cx)) {
                    let late = this.attempts.gave_up(GaveUp::Deadline, last.take());
                    this.state.set(State::DONE);
                    return Poll::Ready(Err(late));
                }
                let operation = (this.operation)(this.attempts);
                this.state.set(State::Attempt { operation });
            }
            let outcome = match this.state.as_mut().project() {
                StateProjection::Attempt { operation } => this.attempts.poll_attempt(operation, cx),
                _ => panic!("`Retry` was polled after it was ready"),
            };
            let Poll::Ready(outcome) = outcome else { return Poll::Pending };
            // Drops the operation before its error is classified: its resources are free during the wait.
            this.state.set(State::DONE);
            match outcome {
                Ok(value) => return Poll::Ready(Ok(value)),
                Err(failed) => {
                    let failed = failed.classify(&mut *this.classify);
                    match this.attempts.decide(failed.verdict, failed.may_repeat) {
                        Ok(delay) => {
                            let attempt = this.attempts.attempts();
                            (this.observe)(RetryEvent { error: failed.error(), attempt, delay });
                            this.state.set(State::Waiting { last: failed.error });
                        }
                        Err(reason) => return Poll::Ready(Err(this.attempts.gave_up(reason, failed.error))),
                    }
                }
            }
        }
    }
}

impl<Op, Fut, E, C, O, U> fmt::Debug for Retry<'_, Op, Fut, E, C, O, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry").field("attempts", &self.attempts).finish_non_exhaustive()
    }
}
