use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;

use crate::{Failed, RetryError, Tries, Verdict};

/// A failure that is about to be retried, as an observer sees it.
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
    #[must_use = "futures do nothing unless awaited"]
    pub struct Run<'p, Op, Fut, E, C = fn(&E) -> Verdict, O = fn(Retry<'_, E>)> {
        operation: Op,
        classify: C,
        observe: O,
        tries: Tries<'p>,
        #[pin]
        state: State<Fut>,
        error: std::marker::PhantomData<fn() -> E>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<Fut> {
        Waiting,
        Attempt { #[pin] operation: Fut },
        Done,
    }
}

impl<'p, Op, Fut, E> Run<'p, Op, Fut, E> {
    pub(crate) fn new(tries: Tries<'p>, operation: Op) -> Self {
        let (classify, observe): (fn(&E) -> Verdict, fn(Retry<'_, E>)) = (|_| Verdict::Retry, |_| {});
        Self { operation, classify, observe, tries, state: State::Waiting, error: std::marker::PhantomData }
    }
}

impl<'p, Op, Fut, E, C, O> Run<'p, Op, Fut, E, C, O> {
    /// Retries only errors for which `transient` is true; an attempt that timed out is retried.
    pub fn when(
        self,
        mut transient: impl FnMut(&E) -> bool,
    ) -> Run<'p, Op, Fut, E, impl FnMut(&E) -> Verdict, O> {
        self.classify(move |error: &E| transient(error).into())
    }

    /// Asks `verdict` about every error; an attempt that timed out is retried.
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
    pub fn classify<C2>(self, verdict: C2) -> Run<'p, Op, Fut, E, C2, O>
    where
        C2: FnMut(&E) -> Verdict,
    {
        let Self { operation, observe, tries, state, error, .. } = self;
        Run { operation, classify: verdict, observe, tries, state, error }
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
    pub fn observe<O2>(self, observer: O2) -> Run<'p, Op, Fut, E, C, O2>
    where
        O2: FnMut(Retry<'_, E>),
    {
        let Self { operation, classify, tries, state, error, .. } = self;
        Run { operation, classify, observe: observer, tries, state, error }
    }
}

impl<Op, Fut, T, E, C, O> Future for Run<'_, Op, Fut, E, C, O>
where
    Op: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
    C: FnMut(&E) -> Verdict,
    O: FnMut(Retry<'_, E>),
{
    type Output = Result<T, RetryError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut me = self.project();
        loop {
            let outcome = match me.state.as_mut().project() {
                StateProjection::Waiting => {
                    ready!(me.tries.poll_wait(cx));
                    if me.tries.begin() {
                        me.state.set(State::Attempt { operation: (me.operation)() });
                        continue;
                    }
                    Err(Failed::new(None))
                }
                StateProjection::Attempt { operation } => ready!(me.tries.poll_attempt(operation, cx)),
                StateProjection::Done => panic!("`Run` was polled after it was ready"),
            };
            // The operation ends before its error is judged: what it held is free during the wait.
            me.state.set(State::Done);
            let failed = match outcome {
                Ok(value) => return Poll::Ready(Ok(value)),
                Err(failed) => failed.classify(&mut *me.classify),
            };
            match me.tries.decide(&failed) {
                Ok(delay) => {
                    let attempt = me.tries.attempts();
                    (me.observe)(Retry { error: failed.error(), attempt, delay });
                    me.state.set(State::Waiting);
                }
                Err(reason) => return Poll::Ready(Err(me.tries.gave_up(reason, failed))),
            }
        }
    }
}

impl<Op, Fut, E, C, O> fmt::Debug for Run<'_, Op, Fut, E, C, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("tries", &self.tries).finish_non_exhaustive()
    }
}
