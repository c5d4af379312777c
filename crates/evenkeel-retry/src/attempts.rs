//! The engine of all retries: a series of attempts under one policy, and the state of one call.
//!
//! # How it works
//!
//! The future [`Retry`](crate::Retry), the caller's own loop and the tower service take the same steps: begin an attempt,
//! poll it, decide after its failure, wait for the delay.
//!
//! [`Attempts`] is small, because most calls succeed at once: the policy, the number of attempts, and a pointer. The rest
//! is in [`CallState`], which is boxed when an attempt is first pending, first fails or is asked for its description. So
//! a success allocates nothing, reads no clock and draws no random number.
//!
//! One timer serves the time limit of an attempt and the delay after it, since only one of them runs at a time.
//!
//! Invariants:
//! - A token of the budget is in `permit` during the delay. The next attempt spends it; a call that is dropped or gives
//!   up before returns it, by dropping it.
//! - A delay that would end at or after the deadline is never begun: the call gives up instead.
//! - `limit` is set only between the description of an attempt and its start, so that both name the same deadline.
//!
//! All of it is behind `&mut self`, so no two threads meet here. Two orders matter. An operation is polled before its time
//! limit: if both are ready, its result counts. A caller may drop an attempt that is pending, and begin another: `begin`
//! clears the state that the dropped attempt left.

mod attempt_future;
mod lazy_state;

use std::{
    any::type_name,
    fmt,
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use evenkeel_base::far_future;
use tokio::time::Instant;

use self::{attempt_future::AttemptFuture, lazy_state::LazyState};
#[cfg(feature = "inspect")]
use crate::inspect::Wait;
use crate::{
    Attempt, Budget, Failed, GaveUp, IdempotencyKey, Jitter, Policy, RetryError, Verdict,
    call_state::{CallState, WaitKind, earlier},
    edges::{CallPlace, WaitEntry},
    error::nanos,
    telemetry,
    verdict::Repeat,
};

/// A zero delay needs no timer, but a loop of them must let other tasks run.
const ROUNDS_BEFORE_YIELD: u32 = 128;

/// A series of attempts under a [`Policy`], driven by the caller's own loop.
///
/// For operations that borrow mutably from their surroundings, which no closure passed to [`Policy::run`] can lend again
/// and again: a connection, a transaction, `&mut self`. The loop is `Send` where its operations are, also inside
/// `tokio::spawn` and `async_trait` methods.
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
///     let mut attempts = POLICY.start();
///     loop {
///         match attempts.attempt(connection.query("select count(*) from users")).await {
///             Ok(count) => break Ok(count),
///             Err(failed) => attempts.backoff(failed.when(|e| e.kind() == io::ErrorKind::Other)).await?,
///         }
///     }
/// }
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() { assert_eq!(count(&mut Connection(0)).await.unwrap(), 3); }
/// ```
#[must_use = "a series does nothing until `attempt` is called"]
// The fields that are zero at first lie together, so that one instruction writes them: a success is cheap enough to show it.
#[repr(C)]
pub struct Attempts<'p> {
    policy: &'p Policy,
    state: LazyState,
    attempts: u32,
    pub(crate) repeat: Repeat,
}

impl<'p> Attempts<'p> {
    #[inline]
    pub(crate) const fn new(policy: &'p Policy) -> Self {
        Self { policy, attempts: 0, repeat: Repeat::Always, state: LazyState(None) }
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
    /// let mut attempts = policy.start().deadline(Instant::now() + Duration::from_secs(2));
    /// let failed = attempts.attempt(pending::<Result<(), io::Error>>()).await.unwrap_err();
    /// assert_eq!(attempts.backoff(failed).await.unwrap_err().reason, GaveUp::Deadline);
    /// # }
    /// ```
    pub fn deadline(mut self, at: Instant) -> Self {
        let deadline = self.state().project().deadline;
        *deadline = earlier(*deadline, Some(at));
        self
    }

    /// Returns the time at which the series ends: the earlier of the policy's total time and its [`deadline`](Self::deadline).
    ///
    /// `None` if it has neither. It bounds waits of your own in the loop, of which the series knows nothing: for a permit,
    /// a turn, a connection. The total time begins now, if it has not begun before.
    ///
    /// # Examples
    /// ```
    /// # use evenkeel_retry::Policy;
    /// # use std::time::Duration;
    /// use tokio::{sync::Semaphore, time::{Instant, timeout_at}};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let policy = Policy::fixed(Duration::from_secs(1)).total_timeout(Duration::from_secs(5));
    /// let queue = Semaphore::new(0);
    ///
    /// let start = Instant::now();
    /// let mut attempts = policy.start();
    /// let end = attempts.ends_at().expect("the policy has a total time");
    /// assert!(timeout_at(end, queue.acquire()).await.is_err());
    /// assert_eq!(start.elapsed(), Duration::from_secs(5));
    /// # }
    /// ```
    ///
    /// With evenkeel-limit the wait for a turn is `limiter.acquire().by(end).await?`.
    #[must_use]
    pub fn ends_at(&mut self) -> Option<Instant> {
        self.end_of_call(Instant::now())
    }

    /// Returns the number of attempts that were started, from the last healthy one on if [`Policy::reset_after`] is set.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Describes the next attempt; its time begins now.
    #[must_use]
    pub fn next_attempt(&mut self) -> Attempt {
        self.describe(self.attempts.saturating_add(1))
    }

    /// Runs one attempt within the policy's time limits.
    ///
    /// # Errors
    /// [`Failed`]: the operation's error, or that its time was over; pass it to [`backoff`](Self::backoff).
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
    /// let mut attempts = policy.start();
    /// assert_eq!(attempts.attempt(async { io::Result::Ok(42) }).await.unwrap(), 42);
    /// # }
    /// ```
    pub fn attempt<F, T, E>(&mut self, operation: F) -> impl Future<Output = Result<T, Failed<E>>>
    where
        F: Future<Output = Result<T, E>>,
    {
        // Not an `async` block, which would hold the operation twice: as its argument, and pinned.
        AttemptFuture { attempts: self, started: false, operation }
    }

    /// Waits for the next attempt's time, or gives up.
    ///
    /// # Errors
    /// [`RetryError`] if there is to be no other attempt: it says why, and holds the last error.
    ///
    /// # Cancel safety
    /// Dropping the future ends the wait, and drops the failure that was passed in.
    ///
    /// # Panics
    /// When the future is polled after it was ready.
    ///
    /// # Examples
    /// ```
    /// # use evenkeel_retry::Policy;
    /// # use std::{io, time::Duration};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # let policy = Policy::fixed(Duration::from_secs(1));
    /// let mut attempts = policy.start();
    /// let failed = attempts.attempt(async { Err::<(), _>(io::Error::other("busy")) }).await.unwrap_err();
    /// let gave_up = attempts.backoff(failed.when(|e| e.kind() == io::ErrorKind::TimedOut)).await.unwrap_err();
    /// assert_eq!(gave_up.attempts, 1);
    /// # }
    /// ```
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn backoff<E>(&mut self, failed: Failed<E>) -> impl Future<Output = Result<(), RetryError<E>>> {
        // `None` when it is over. Not an `async` block, which would not be `Unpin`.
        let (mut attempts, mut failed) = (Some(self), Some(failed));
        // Not in the state of the call, which outlives this wait.
        let (call, mut entry) = (CallPlace::here(), WaitEntry::NONE);
        poll_fn(move |cx| {
            let this = attempts.take().expect("`Attempts::backoff` was polled after it was ready");
            if let Some(failed) = failed.take() {
                if let Err(reason) = this.decide(failed.verdict, failed.may_repeat) {
                    return Poll::Ready(Err(this.gave_up(reason, failed.error)));
                }
                entry = this.wait_entry(call, failed.error.map(|_| type_name::<E>()));
            }
            let waited = this.state().poll_wait(cx).map(Ok);
            if waited.is_pending() {
                attempts = Some(this);
                entry.polled_here();
            } else {
                entry = WaitEntry::NONE;
            }
            waited
        })
    }

    /// As [`backoff`](Self::backoff), and gives up when `cancel` is ready, a stop signal for example, as
    /// [`Retry::until`](crate::Retry::until) does.
    ///
    /// The failure is judged first: one that is final is told as what it is, also behind the signal. With a wait around
    /// `backoff` that looks at the signal alone, it would be lost.
    ///
    /// # Errors
    /// As `backoff`; with [`GaveUp::Cancelled`] if there would have been another attempt.
    ///
    /// # Cancel safety
    /// As that of `backoff`; `cancel` is dropped as well.
    ///
    /// # Panics
    /// When the future is polled after it was ready, and if `cancel` panics.
    ///
    /// # Examples
    /// ```
    /// # use evenkeel_retry::{GaveUp, Policy};
    /// # use std::{future::ready, io, time::Duration};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # let policy = Policy::fixed(Duration::from_secs(60));
    /// # let stopped = || ready(());
    /// let mut attempts = policy.start();
    /// let failed = attempts.attempt(async { Err::<(), _>(io::Error::other("busy")) }).await.unwrap_err();
    /// match attempts.backoff_until(failed, stopped()).await {
    ///     Ok(()) => unreachable!("there is no other attempt behind the stop"),
    ///     Err(error) if error.reason == GaveUp::Cancelled => assert_eq!(error.last.unwrap().to_string(), "busy"),
    ///     Err(error) => panic!("it failed for good: {error}"),
    /// }
    /// # }
    /// ```
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn backoff_until<E, U: Future>(
        &mut self,
        failed: Failed<E>,
        cancel: U,
    ) -> impl Future<Output = Result<(), RetryError<E>>> {
        let call = CallPlace::here();
        async move {
            if let Err(reason) = self.decide(failed.verdict, failed.may_repeat) {
                return Err(self.gave_up(reason, failed.error));
            }
            let mut cancel = pin!(cancel);
            let mut entry = self.wait_entry(call, failed.error().map(|_| type_name::<E>()));
            let is_cancelled = poll_fn(|cx| {
                if cancel.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(true);
                }
                let waited = self.state().poll_wait(cx);
                if waited.is_pending() {
                    entry.polled_here();
                }
                waited.map(|()| false)
            });
            if is_cancelled.await { Err(self.gave_up(GaveUp::Cancelled, failed.error)) } else { Ok(()) }
        }
    }

    /// Waits for the next attempt's time, and counts it; false if the total time is over.
    ///
    /// Must not be called after an attempt that succeeded.
    #[inline]
    pub(crate) fn poll_begin(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if let Some(state) = &mut self.state.0 {
            ready!(state.as_mut().poll_wait(cx));
        }
        Poll::Ready(self.begin())
    }

    /// Counts an attempt; false if the total time is over.
    #[inline]
    pub(crate) fn begin(&mut self) -> bool {
        if let Some(state) = &mut self.state.0
            && !state.as_mut().begin()
        {
            return false;
        }
        self.count();
        true
    }

    fn count(&mut self) {
        match self.attempts {
            0 => {
                self.deposit();
                self.attempts = 1;
            }
            attempts => self.attempts = attempts.saturating_add(1),
        }
    }

    /// Counts the first attempt of a call that has made its deposit.
    pub(crate) fn count_first(&mut self) {
        self.attempts = self.attempts.max(1);
    }

    /// Adds the share of a call to the budget.
    #[inline]
    pub(crate) fn deposit(&self) {
        if let Some(budget) = &self.policy.budget {
            deposit(budget);
        }
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
        // Before the time limit: a result that is there is never thrown away.
        match operation.poll(cx) {
            Poll::Ready(Ok(value)) => Poll::Ready(Ok(value)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(Failed::new(Some(error)))),
            Poll::Pending => {
                ready!(self.poll_limit(cx));
                Poll::Ready(Err(Failed::new(None)))
            }
        }
    }

    /// Waits for the time limit of the attempt, which is set when the attempt is first pending.
    #[cold]
    #[inline(never)]
    pub(crate) fn poll_limit(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.state.0.is_none() && self.policy.is_untimed() {
            return Poll::Pending;
        }
        if self.state().pending_since.is_none() {
            let now = Instant::now();
            let state = self.state().project();
            *state.pending_since = Some(now);
            let limit = match state.limit.take() {
                Some(limit) => limit,
                None => self.end_of_attempt(now),
            };
            if let Some(limit) = limit {
                self.state().wait_until(limit);
            }
        }
        let state = self.state();
        match state.wait {
            WaitKind::Timer => state.poll_wait(cx),
            _ => Poll::Pending,
        }
    }

    /// Decides after a failure: returns the delay, or the reason to give up.
    #[cold]
    #[inline(never)]
    pub(crate) fn decide(&mut self, verdict: Verdict, may_repeat: bool) -> Result<Duration, GaveUp> {
        let (reset_after, now) = (self.policy.reset_after, Instant::now());
        let repeat = if may_repeat { self.repeat } else { Repeat::IfNotSent };
        if self.state().record_failure(reset_after, now) {
            self.attempts = 0;
            self.count();
        }
        let deadline = self.end_of_call(now);
        self.may_retry(verdict, repeat, deadline, now)?;
        let delay = self.delay(verdict);
        let next = now.checked_add(delay);
        if deadline.is_some_and(|deadline| next.is_none_or(|next| next >= deadline)) {
            return Err(GaveUp::Deadline);
        }
        let (attempts, budget) = (self.attempts, &self.policy.budget);
        let mut state = self.state();
        if let Some(budget) = budget {
            *state.as_mut().project().permit = Some(budget.try_withdraw().ok_or(GaveUp::Budget)?);
        }
        if delay.is_zero() {
            let yields = attempts.is_multiple_of(ROUNDS_BEFORE_YIELD);
            *state.project().wait = if yields { WaitKind::Yield } else { WaitKind::Nothing };
        } else {
            state.wait_until(next.unwrap_or_else(|| far_future(now)));
        }
        telemetry::retry(attempts, delay);
        Ok(delay)
    }

    /// Returns an entry for the wait that [`decide`](Self::decide) has begun, for dumps; `failure` is the type of the error.
    pub(crate) fn wait_entry(&self, _call: CallPlace, _failure: Option<&'static str>) -> WaitEntry {
        #[cfg(feature = "inspect")]
        if let Some(until) = self.state.0.as_ref().and_then(|state| state.as_ref().waits_until()) {
            let wait = Wait::new(_call.place, until, self.attempts, _failure);
            let listed = self.policy.title.add(self.policy.budget.as_ref(), wait);
            return WaitEntry { listed: Some(listed) };
        }
        WaitEntry::NONE
    }

    /// Notes the wait that [`decide`](Self::decide) has begun, until it ends.
    pub(crate) fn note_wait(&mut self, call: CallPlace, failure: Option<&'static str>) {
        let entry = self.wait_entry(call, failure);
        if let Some(state) = &mut self.state.0 {
            *state.as_mut().project().entry = entry;
        }
    }

    /// Checks every limit that does not depend on the delay; the first that is reached is the reason.
    fn may_retry(
        &self,
        verdict: Verdict,
        repeat: Repeat,
        deadline: Option<Instant>,
        now: Instant,
    ) -> Result<(), GaveUp> {
        match verdict {
            Verdict::Permanent => Err(GaveUp::Permanent),
            #[cfg(feature = "tower")]
            _ if repeat == Repeat::Never => Err(GaveUp::Unrepeatable),
            Verdict::Retry | Verdict::RetryAfter(_) if repeat == Repeat::IfNotSent => Err(GaveUp::AtMostOnce),
            _ if deadline.is_some_and(|deadline| now >= deadline) => Err(GaveUp::Deadline),
            _ if self.attempts >= self.policy.max_attempts => Err(GaveUp::Attempts),
            Verdict::RetryAfter(asked) if asked > self.policy.max_retry_after => {
                Err(GaveUp::RetryAfter(asked))
            }
            _ => Ok(()),
        }
    }

    /// Returns the delay of the backoff, or the wait that the error asked for if that is longer.
    fn delay(&mut self, verdict: Verdict) -> Duration {
        let policy = self.policy;
        let seed = match policy.backoff.jitter {
            // Jitter draws no number.
            Jitter::None => 0,
            _ => policy.seed.unwrap_or_else(|| self.state().random(0)),
        };
        let delay = policy.backoff.delay(self.attempts, seed);
        match verdict {
            Verdict::RetryAfter(asked) => delay.max(asked),
            _ => delay,
        }
    }

    pub(crate) fn gave_up<E>(&mut self, reason: GaveUp, last: Option<E>) -> RetryError<E> {
        let (elapsed, total) = self.end(reason);
        RetryError { reason, last, attempts: self.attempts, elapsed, total }
    }

    /// Returns the time since the first failure and the total time, in nanoseconds, of a call that gives up.
    pub(crate) fn end(&mut self, reason: GaveUp) -> (Duration, u64) {
        telemetry::gave_up(reason, self.attempts);
        let times = self.state.0.as_mut().map(|state| state.as_mut().end());
        let (elapsed, total) = times.unwrap_or_default();
        (elapsed, nanos(total))
    }

    /// Drops the state of the call.
    pub(crate) fn clear(&mut self) {
        self.state.0 = None;
    }

    /// Tells the compiler that the call has no state, so that it leaves out the drop of one.
    #[inline]
    pub(crate) fn assert_stateless(&mut self) {
        debug_assert!(self.state.0.is_none(), "the state of the call would leak");
        std::mem::forget(self.state.0.take());
    }

    pub(crate) fn this_attempt(&mut self) -> Attempt {
        self.describe(self.attempts)
    }

    fn describe(&mut self, number: u32) -> Attempt {
        let key = [1, 2].map(|half| u128::from(self.state().random(half)));
        let deadline = self.end_of_attempt(Instant::now());
        *self.state().project().limit = Some(deadline);
        Attempt { number, deadline, key: IdempotencyKey(key[0] << 64 | key[1]) }
    }

    /// Returns the time at which the call must end; its total time begins when this is first asked.
    fn end_of_call(&mut self, now: Instant) -> Option<Instant> {
        let total_timeout = self.policy.total_timeout;
        let state = self.state().project();
        state.began.get_or_insert(now);
        earlier(*state.total.get_or_insert_with(|| now.checked_add(total_timeout)), *state.deadline)
    }

    /// Returns the time at which an attempt that begins now must end.
    fn end_of_attempt(&mut self, now: Instant) -> Option<Instant> {
        earlier(now.checked_add(self.policy.attempt_timeout), self.end_of_call(now))
    }

    fn state(&mut self) -> Pin<&mut CallState> {
        self.state.0.get_or_insert_with(|| Box::pin(CallState::new())).as_mut()
    }
}

impl fmt::Debug for Attempts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempts")
            .field("policy", self.policy)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

/// Makes the deposit of a call, out of line: a call without a budget does not pay for its frame.
#[inline(never)]
fn deposit(budget: &Budget) {
    budget.deposit();
}
