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

use crate::{GaveUp, RetryError, Tries, Verdict, tries::Repeat};

/// A failure that is about to be retried, as an observer sees it.
///
/// # Examples
/// ```
/// use evenkeel_retry::{Policy, Retry};
/// use std::{io, time::Duration};
///
/// fn log(retry: Retry<'_, io::Error>) {
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
pub struct Retry<'a, E> {
    /// The error; none if the attempt timed out.
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
    pub struct Run<'p, Op, Fut, E, C, O, U = Pending<()>> {
        operation: Op,
        classify: C,
        observe: O,
        #[pin]
        until: U,
        tries: Tries<'p>,
        #[pin]
        state: State<Fut, E>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<Fut, E> {
        // The wait before an attempt, with what the last one returned.
        Waiting { last: Option<E> },
        Attempt { #[pin] operation: Fut },
        Done { error: PhantomData<E> },
    }
}

impl<Fut, E> State<Fut, E> {
    const DONE: Self = Self::Done { error: PhantomData };
}

impl<'p, Op, Fut, E, C, O> Run<'p, Op, Fut, E, C, O> {
    #[inline]
    pub(crate) fn new(tries: Tries<'p>, operation: Op, classify: C, observe: O) -> Self {
        let until = std::future::pending();
        Self { operation, classify, observe, until, tries, state: State::Waiting { last: None } }
    }
}

/// What a call does with errors unless told otherwise.
pub(crate) const fn retry_all<E>(_: &E) -> Verdict {
    Verdict::Retry
}

/// What a call does with retries unless told otherwise.
pub(crate) const fn unobserved<E>(_: Retry<'_, E>) {}

impl<'p, Op, Fut, E, C, O, U> Run<'p, Op, Fut, E, C, O, U> {
    /// Retries only errors for which `transient` is true; an attempt that timed out is retried. It takes the place of an
    /// earlier `when` or [`classify`](Self::classify).
    pub fn when(
        self,
        mut transient: impl FnMut(&E) -> bool,
    ) -> Run<'p, Op, Fut, E, impl FnMut(&E) -> Verdict, O, U> {
        self.classify(move |error: &E| transient(error).into())
    }

    /// Asks `verdict` about every error; an attempt that timed out is retried. It takes the place of an earlier
    /// [`when`](Self::when) or `classify`.
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
    pub fn classify<C2>(self, verdict: C2) -> Run<'p, Op, Fut, E, C2, O, U>
    where
        C2: FnMut(&E) -> Verdict,
    {
        let Self { operation, observe, until, tries, state, .. } = self;
        Run { operation, classify: verdict, observe, until, tries, state }
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
    pub fn observe<O2>(self, observer: O2) -> Run<'p, Op, Fut, E, C, O2, U>
    where
        O2: FnMut(Retry<'_, E>),
    {
        let Self { operation, classify, until, tries, state, .. } = self;
        Run { operation, classify, observe: observer, until, tries, state }
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
    pub fn until<U2: Future>(self, cancel: U2) -> Run<'p, Op, Fut, E, C, O, U2> {
        let Self { operation, classify, observe, tries, state, .. } = self;
        Run { operation, classify, observe, until: cancel, tries, state }
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
        self.tries = self.tries.deadline(at);
        self
    }

    /// Says that the operation is not safe to repeat: only an error that is [`Verdict::NotSent`] is retried.
    ///
    /// Any other failure, a time-out too, may have taken effect, and ends the call with
    /// [`GaveUp::AtMostOnce`].
    pub const fn at_most_once(mut self) -> Self {
        self.tries.repeat = Repeat::IfNotSent;
        self
    }
}

impl<'p, Op, Fut, T, E, C, O, U> Future for Run<'p, Op, Fut, E, C, O, U>
where
    Op: FnMut(&mut Tries<'p>) -> Fut,
    Fut: Future<Output = Result<T, E>>,
    C: FnMut(&E) -> Verdict,
    O: FnMut(Retry<'_, E>),
    U: Future,
{
    type Output = Result<T, RetryError<E>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut me = self.project();
        loop {
            if let StateProjection::Waiting { last } = me.state.as_mut().project() {
                if me.until.as_mut().poll(cx).is_ready() {
                    let cancelled = me.tries.gave_up(GaveUp::Cancelled, last.take());
                    me.state.set(State::DONE);
                    return Poll::Ready(Err(cancelled));
                }
                if !ready!(me.tries.poll_begin(cx)) {
                    let late = me.tries.gave_up(GaveUp::Deadline, last.take());
                    me.state.set(State::DONE);
                    return Poll::Ready(Err(late));
                }
                let operation = (me.operation)(me.tries);
                me.state.set(State::Attempt { operation });
            }
            let outcome = match me.state.as_mut().project() {
                StateProjection::Attempt { operation } => me.tries.poll_attempt(operation, cx),
                _ => panic!("`Run` was polled after it was ready"),
            };
            let Poll::Ready(outcome) = outcome else { return Poll::Pending };
            // The operation ends before its error is judged: what it held is free during the wait.
            me.state.set(State::DONE);
            match outcome {
                Ok(value) => return Poll::Ready(Ok(value)),
                Err(failed) => {
                    let failed = failed.classify(&mut *me.classify);
                    match me.tries.decide(failed.verdict, failed.may_repeat) {
                        Ok(delay) => {
                            let attempt = me.tries.attempts();
                            (me.observe)(Retry { error: failed.error(), attempt, delay });
                            me.state.set(State::Waiting { last: failed.error });
                        }
                        Err(reason) => return Poll::Ready(Err(me.tries.gave_up(reason, failed.error))),
                    }
                }
            }
        }
    }
}

impl<Op, Fut, E, C, O, U> fmt::Debug for Run<'_, Op, Fut, E, C, O, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("tries", &self.tries).finish_non_exhaustive()
    }
}
