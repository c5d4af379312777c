use std::{
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::{
    Attempt, BudgetPermit, Failed, GaveUp, IdempotencyKey, Policy, RetryError, Verdict, backoff, wait::Wait,
};

/// A zero delay needs no timer, but a loop of them must let other tasks run.
const ROUNDS_BEFORE_YIELD: u32 = 128;

/// A series of attempts under a [`Policy`], driven by the caller's own loop.
///
/// For operations that borrow mutably from their surroundings, which no closure handed to
/// [`Policy::run`] can lend out again and again: a connection, a transaction, `&mut self`. The loop is `Send` where
/// its operations are, also inside `tokio::spawn` and `async_trait` methods.
///
/// # Examples
/// ```
/// use evenkeel_retry::{Policy, RetryError};
/// use std::{io, time::Duration};
///
/// static POLICY: Policy = Policy::exponential(Duration::from_millis(10), Duration::from_secs(1));
///
/// # struct Connection(u32);
/// # impl Connection {
/// #     async fn query(&mut self, _: &str) -> io::Result<u32> {
/// #         self.0 += 1;
/// #         if self.0 < 3 { Err(io::Error::other("busy")) } else { Ok(self.0) }
/// #     }
/// # }
/// async fn count(connection: &mut Connection) -> Result<u32, RetryError<io::Error>> {
///     let mut tries = POLICY.start();
///     loop {
///         match tries.attempt(connection.query("select count(*) from users")).await {
///             Ok(count) => break Ok(count),
///             Err(failed) => tries.backoff(failed.when(|e| e.kind() == io::ErrorKind::Other)).await?,
///         }
///     }
/// }
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() { assert_eq!(count(&mut Connection(0)).await.unwrap(), 3); }
/// ```
#[must_use = "a series does nothing until `attempt` is called"]
pub struct Tries<'p> {
    policy: &'p Policy,
    attempts: u32,
    seed: Option<u64>,
    /// When the total time is over, if ever; known once the first attempt was asked about, pending or failed.
    deadline: Option<Option<Instant>>,
    /// When the next attempt's time is over, if ever; known if it was asked for.
    limit: Option<Option<Instant>>,
    first_failure: Option<Instant>,
    /// The next attempt's token, given back if it never begins.
    permit: Option<BudgetPermit>,
    wait: Wait,
}

impl<'p> Tries<'p> {
    pub(crate) fn new(policy: &'p Policy) -> Self {
        Self {
            policy,
            attempts: 0,
            seed: policy.seed,
            deadline: None,
            limit: None,
            first_failure: None,
            permit: None,
            wait: Wait::default(),
        }
    }

    /// How many attempts were started.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// What the next attempt will be; its time begins now.
    #[must_use]
    pub fn next_attempt(&mut self) -> Attempt {
        self.describe(self.attempts.saturating_add(1))
    }

    /// Runs one attempt within the policy's time limits.
    ///
    /// # Errors
    /// [`Failed`]: the operation's error, or that its time was over; hand it to [`backoff`](Self::backoff).
    ///
    /// # Cancel safety
    /// Dropping the future drops the operation. The attempt counts if it was polled.
    pub fn attempt<F, T, E>(&mut self, operation: F) -> AttemptFuture<'_, 'p, F>
    where
        F: Future<Output = Result<T, E>>,
    {
        AttemptFuture { tries: self, started: false, operation }
    }

    /// Waits for the next attempt's time, or gives up.
    ///
    /// # Errors
    /// [`RetryError`] if there is to be no other attempt: it says why, and holds the last error.
    ///
    /// # Cancel safety
    /// Dropping the future ends the wait; the failure that was handed in is dropped with it.
    pub const fn backoff<E>(&mut self, failed: Failed<E>) -> BackoffFuture<'_, 'p, E> {
        BackoffFuture { tries: self, failed: Some(failed) }
    }

    /// Counts an attempt; false if the total time is over.
    pub(crate) fn begin(&mut self) -> bool {
        if let Some(Some(deadline)) = self.deadline
            && self.attempts > 0
            && Instant::now() >= deadline
        {
            return false;
        }
        if let Some(permit) = self.permit.take() {
            permit.spend();
        }
        if self.attempts == 0
            && let Some(budget) = &self.policy.budget
        {
            budget.deposit();
        }
        self.attempts = self.attempts.saturating_add(1);
        self.wait.for_nothing();
        true
    }

    pub(crate) fn poll_attempt<F, T, E>(
        &mut self,
        operation: Pin<&mut F>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, Failed<E>>>
    where
        F: Future<Output = Result<T, E>>,
    {
        match operation.poll(cx) {
            Poll::Ready(Ok(value)) => Poll::Ready(Ok(value)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(Failed::new(Some(error)))),
            Poll::Pending => {
                ready!(self.poll_limit(cx));
                Poll::Ready(Err(Failed::new(None)))
            }
        }
    }

    fn poll_limit(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.wait.is_nothing() {
            let bounded =
                self.policy.attempt_timeout < Duration::MAX || self.policy.total_timeout < Duration::MAX;
            match self.limit.take() {
                Some(Some(limit)) => self.wait.until(limit),
                None if bounded && let Some(limit) = self.limit(Instant::now()) => self.wait.until(limit),
                _ => return Poll::Pending,
            }
        }
        self.wait.poll(cx)
    }

    /// What comes after a failure: the delay, or the reason to give up.
    pub(crate) fn decide<E>(&mut self, failed: &Failed<E>) -> Result<Duration, GaveUp> {
        let now = Instant::now();
        self.first_failure.get_or_insert(now);
        let deadline = self.deadline(now);
        self.limit = None;
        match failed.verdict {
            Verdict::Permanent => return Err(GaveUp::Permanent),
            Verdict::Retry | Verdict::RetryAfter(_) if !failed.may_repeat => return Err(GaveUp::AtMostOnce),
            _ if deadline.is_some_and(|deadline| now >= deadline) => return Err(GaveUp::Deadline),
            _ if self.attempts >= self.policy.max_attempts => return Err(GaveUp::Attempts),
            Verdict::RetryAfter(asked) if asked > self.policy.max_retry_after => {
                return Err(GaveUp::RetryAfter(asked));
            }
            _ => {}
        }
        let mut delay = self.policy.backoff.delay(self.attempts, self.seed());
        if let Verdict::RetryAfter(asked) = failed.verdict {
            delay = delay.max(asked);
        }
        let next = now.checked_add(delay);
        if deadline.is_some_and(|deadline| next.is_none_or(|next| next >= deadline)) {
            return Err(GaveUp::Deadline);
        }
        if let Some(budget) = &self.policy.budget {
            self.permit = Some(budget.try_withdraw().ok_or(GaveUp::Budget)?);
        }
        match next {
            _ if delay.is_zero() && self.attempts.is_multiple_of(ROUNDS_BEFORE_YIELD) => {
                self.wait.for_others()
            }
            _ if delay.is_zero() => self.wait.for_nothing(),
            next => self.wait.until(next.unwrap_or_else(|| far_future(now))),
        }
        Ok(delay)
    }

    pub(crate) fn this_attempt(&mut self) -> Attempt {
        self.describe(self.attempts)
    }

    fn describe(&mut self, number: u32) -> Attempt {
        let seed = self.seed();
        let key =
            u128::from(backoff::random(seed, u32::MAX)) << 64 | u128::from(backoff::random(!seed, u32::MAX));
        let deadline = self.limit(Instant::now());
        self.limit = Some(deadline);
        Attempt { number, deadline, key: IdempotencyKey(key) }
    }

    pub(crate) fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.wait.poll(cx)
    }

    pub(crate) fn gave_up<E>(&self, reason: GaveUp, last: Option<E>) -> RetryError<E> {
        let elapsed = self.first_failure.map_or(Duration::ZERO, |first| first.elapsed());
        RetryError { reason, last, attempts: self.attempts, elapsed }
    }

    fn seed(&mut self) -> u64 {
        *self.seed.get_or_insert_with(|| RandomState::new().build_hasher().finish())
    }

    fn deadline(&mut self, now: Instant) -> Option<Instant> {
        let total = self.policy.total_timeout;
        *self.deadline.get_or_insert_with(|| now.checked_add(total))
    }

    /// When an attempt that begins now must end.
    fn limit(&mut self, now: Instant) -> Option<Instant> {
        let attempt = now.checked_add(self.policy.attempt_timeout);
        let deadline = self.deadline(now);
        attempt.into_iter().chain(deadline).min()
    }
}

/// A delay beyond what `Instant` can express: as far away as makes no difference.
fn far_future(now: Instant) -> Instant {
    now + Duration::from_secs(86_400 * 365 * 30)
}

impl fmt::Debug for Tries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tries")
            .field("policy", self.policy)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of [`Tries::attempt`].
    ///
    /// # Cancel safety
    /// Dropping it drops the operation. The attempt counts if it was polled.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct AttemptFuture<'t, 'p, F> {
        tries: &'t mut Tries<'p>,
        started: bool,
        #[pin]
        operation: F,
    }
}

impl<F, T, E> Future for AttemptFuture<'_, '_, F>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, Failed<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let me = self.project();
        if !*me.started {
            *me.started = true;
            if !me.tries.begin() {
                return Poll::Ready(Err(Failed::new(None)));
            }
        }
        me.tries.poll_attempt(me.operation, cx)
    }
}

/// The future of [`Tries::backoff`].
///
/// # Cancel safety
/// Dropping it ends the wait; the failure that was handed in is dropped with it.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct BackoffFuture<'t, 'p, E> {
    tries: &'t mut Tries<'p>,
    failed: Option<Failed<E>>,
}

// Nothing in it is pinned: the failure is only moved out.
impl<E> Unpin for BackoffFuture<'_, '_, E> {}

impl<E> Future for BackoffFuture<'_, '_, E> {
    type Output = Result<(), RetryError<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(failed) = self.failed.take()
            && let Err(reason) = self.tries.decide(&failed)
        {
            return Poll::Ready(Err(self.tries.gave_up(reason, failed.error)));
        }
        self.tries.poll_wait(cx).map(Ok)
    }
}
