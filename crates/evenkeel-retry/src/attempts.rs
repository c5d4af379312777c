use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::{Attempt, Failed, GaveUp, Policy, RetryError, Verdict, error::nanos, progress::Progress, report};

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
// What is zero at first lies together, and so is written in one step: that can be seen in what a success costs.
#[repr(C)]
pub struct Tries<'p> {
    policy: &'p Policy,
    /// What a call needs that does not succeed at once.
    progress: Later,
    attempts: u32,
    pub(crate) repeat: Repeat,
}

/// Whether the operation may be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
// It leaves no gap behind the number of attempts.
#[repr(u32)]
pub(crate) enum Repeat {
    Always,
    /// Not if it may have taken effect.
    IfNotSent,
    /// There is nothing to make it again with.
    #[cfg(feature = "tower")]
    Never,
}

struct Later(Option<Pin<Box<Progress>>>);

impl Drop for Later {
    #[inline]
    fn drop(&mut self) {
        if self.0.is_some() {
            discard(&mut self.0);
            // It is gone: so the compiler leaves what its fields need out of the way of a call that had none.
            std::mem::forget(self.0.take());
        }
    }
}

#[cold]
#[inline(never)]
fn discard(progress: &mut Option<Pin<Box<Progress>>>) {
    *progress = None;
}

impl<'p> Tries<'p> {
    #[inline]
    pub(crate) const fn new(policy: &'p Policy) -> Self {
        Self { policy, attempts: 0, repeat: Repeat::Always, progress: Later(None) }
    }

    /// Ends the series at this time, unless the policy's total time ends it before; of several the earliest counts.
    ///
    /// An attempt in flight is dropped then, a wait that would not end before is not begun, and neither is an
    /// attempt after it, the first included.
    ///
    /// # Examples
    /// ```
    /// # use evenkeel_retry::{GaveUp, Policy};
    /// # use std::{future::pending, io, time::Duration};
    /// # use tokio::time::Instant;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # let policy = Policy::fixed(Duration::from_millis(10));
    /// let mut tries = policy.start().deadline(Instant::now() + Duration::from_secs(2));
    /// let failed = tries.attempt(pending::<Result<(), io::Error>>()).await.unwrap_err();
    /// assert_eq!(tries.backoff(failed).await.unwrap_err().reason, GaveUp::Deadline);
    /// # }
    /// ```
    pub fn deadline(mut self, at: Instant) -> Self {
        self.progress().end_by(at);
        self
    }

    /// How many attempts were started, from the last healthy one on if [`Policy::reset_after`] is set.
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
    ///
    /// # Examples
    /// ```
    /// # use evenkeel_retry::Policy;
    /// # use std::{io, time::Duration};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # let policy = Policy::fixed(Duration::from_secs(1));
    /// let mut tries = policy.start();
    /// assert_eq!(tries.attempt(async { io::Result::Ok(42) }).await.unwrap(), 42);
    /// # }
    /// ```
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
    ///
    /// # Examples
    /// ```
    /// # use evenkeel_retry::Policy;
    /// # use std::{io, time::Duration};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # let policy = Policy::fixed(Duration::from_secs(1));
    /// let mut tries = policy.start();
    /// let failed = tries.attempt(async { Err::<(), _>(io::Error::other("busy")) }).await.unwrap_err();
    /// let gave_up = tries.backoff(failed.when(|e| e.kind() == io::ErrorKind::TimedOut)).await.unwrap_err();
    /// assert_eq!(gave_up.attempts, 1);
    /// # }
    /// ```
    pub const fn backoff<E>(&mut self, failed: Failed<E>) -> BackoffFuture<'_, 'p, E> {
        BackoffFuture { tries: Some(self), failed: Some(failed) }
    }

    /// Waits for the next attempt's time, and counts it; false if the total time is over.
    ///
    /// Not after an attempt that succeeded.
    #[inline]
    pub(crate) fn poll_begin(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let Some(progress) = &mut self.progress.0 else {
            self.count_first();
            return Poll::Ready(true);
        };
        ready!(progress.as_mut().poll_wait(cx));
        Poll::Ready(self.begin())
    }

    /// Counts an attempt; false if the total time is over.
    #[inline]
    pub(crate) fn begin(&mut self) -> bool {
        if let Some(progress) = &mut self.progress.0
            && !progress.as_mut().begin()
        {
            return false;
        }
        self.count();
        true
    }

    fn count(&mut self) {
        match self.attempts {
            0 => self.count_first(),
            attempts => self.attempts = attempts.saturating_add(1),
        }
    }

    #[inline]
    fn count_first(&mut self) {
        if let Some(budget) = &self.policy.budget {
            budget.deposit();
        }
        self.attempts = 1;
    }

    #[inline]
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

    #[cold]
    #[inline(never)]
    fn poll_limit(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.progress.0.is_none() && self.policy.is_untimed() {
            return Poll::Pending;
        }
        let policy = self.policy;
        self.progress().poll_limit(policy, cx)
    }

    /// What comes after a failure: the delay, or the reason to give up.
    #[cold]
    #[inline(never)]
    pub(crate) fn decide(&mut self, verdict: Verdict, may_repeat: bool) -> Result<Duration, GaveUp> {
        let (policy, now) = (self.policy, Instant::now());
        let repeat = if may_repeat { self.repeat } else { Repeat::IfNotSent };
        if self.progress().failed(policy, now) {
            self.attempts = 0;
            self.count();
        }
        let attempts = self.attempts;
        let decided = self.progress().decide(policy, attempts, now, verdict, repeat);
        if let Ok(delay) = decided {
            report::retry(attempts, delay);
        }
        decided
    }

    // Inlined, so that a result is made where it goes: copying it would be a good part of what a success costs.
    #[inline(always)]
    pub(crate) fn gave_up<E>(&mut self, reason: GaveUp, last: Option<E>) -> RetryError<E> {
        report::gave_up(reason, self.attempts);
        let times = self.progress.0.as_mut().map(|progress| progress.as_mut().end());
        let (elapsed, total) = times.unwrap_or_default();
        RetryError { reason, last, attempts: self.attempts, elapsed, total: nanos(total) }
    }

    pub(crate) fn this_attempt(&mut self) -> Attempt {
        self.describe(self.attempts)
    }

    fn describe(&mut self, number: u32) -> Attempt {
        let policy = self.policy;
        self.progress().describe(policy, number)
    }

    fn progress(&mut self) -> Pin<&mut Progress> {
        self.progress.0.get_or_insert_with(|| Box::pin(Progress::new())).as_mut()
    }
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
    ///
    /// # Examples
    /// ```
    /// use evenkeel_retry::{AttemptFuture, Policy};
    /// # use std::{io, time::Duration};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # let policy = Policy::fixed(Duration::from_secs(1));
    /// let mut tries = policy.start();
    /// let attempt: AttemptFuture<'_, '_, _> = tries.attempt(async { io::Result::Ok(42) });
    /// assert_eq!(attempt.await.unwrap(), 42);
    /// # }
    /// ```
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
        if !*me.started && !me.tries.begin() {
            return Poll::Ready(Err(Failed { verdict: Verdict::NotSent, ..Failed::new(None) }));
        }
        *me.started = true;
        me.tries.poll_attempt(me.operation, cx)
    }
}

/// The future of [`Tries::backoff`].
///
/// # Cancel safety
/// Dropping it ends the wait; the failure that was handed in is dropped with it.
///
/// # Panics
/// When polled after it was ready.
///
/// # Examples
/// ```
/// use evenkeel_retry::{BackoffFuture, Policy};
/// # use std::{io, time::Duration};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// # let policy = Policy::fixed(Duration::from_secs(1));
/// let mut tries = policy.start();
/// let failed = tries.attempt(async { Err::<(), _>(io::Error::other("busy")) }).await.unwrap_err();
/// let wait: BackoffFuture<'_, '_, io::Error> = tries.backoff(failed);
/// wait.await.unwrap();
/// # }
/// ```
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct BackoffFuture<'t, 'p, E> {
    /// None when it is over.
    tries: Option<&'t mut Tries<'p>>,
    failed: Option<Failed<E>>,
}

// Nothing in it is pinned: the failure is only moved out.
impl<E> Unpin for BackoffFuture<'_, '_, E> {}

impl<E> Future for BackoffFuture<'_, '_, E> {
    type Output = Result<(), RetryError<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let me = &mut *self;
        let tries = me.tries.take().expect("`BackoffFuture` was polled after it was ready");
        if let Some(failed) = me.failed.take()
            && let Err(reason) = tries.decide(failed.verdict, failed.may_repeat)
        {
            return Poll::Ready(Err(tries.gave_up(reason, failed.error)));
        }
        let waited = tries.progress().poll_wait(cx).map(Ok);
        if waited.is_pending() {
            me.tries = Some(tries);
        }
        waited
    }
}
