//! The futures that wait for a permit, and for the end of all work.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    limiter::ConcurrencyLimiter,
    permit::{LimiterRef, Permit},
};
use crate::{
    error::{Denied, Reason},
    sync::{entry::Stage, wait_queue::Key},
};

/// The future of [`ConcurrencyLimiter::acquire`], `acquire_many` and `acquire_owned`.
///
/// # Cancel safety
///
/// Dropping it leaves the limiter as if it had never been polled; see [`acquire`](ConcurrencyLimiter::acquire).
///
/// # Examples
///
/// ```
/// use evenkeel_limit::{AcquirePermit, ConcurrencyLimiter};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let limiter = ConcurrencyLimiter::new(3);
/// let permit: AcquirePermit<'_> = limiter.acquire_many(2);
/// assert_eq!(permit.await.unwrap().weight(), 2);
/// # }
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct AcquirePermit<'a> {
    limiter: LimiterRef<'a>,
    weight: u32,
    deadline: Option<Instant>,
    /// The timer of the deadline, once it waits.
    sleep: Option<Pin<Box<Sleep>>>,
    stage: Stage,
}

impl<'a> AcquirePermit<'a> {
    pub(super) fn new(limiter: LimiterRef<'a>, weight: u32) -> Self {
        Self { limiter, weight, deadline: None, sleep: None, stage: Stage::New }
    }

    /// Waits until `deadline`, and then fails with [`Deadline`](Reason::Deadline).
    ///
    /// # Panics
    ///
    /// The future does when polled, if it has to wait outside of a tokio runtime with timers. Nothing is taken then.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{ConcurrencyLimiter, Reason};
    /// use tokio::time::{Duration, Instant};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), evenkeel_limit::Denied> {
    /// let limiter = ConcurrencyLimiter::new(1);
    /// let _permit = limiter.acquire().await?;
    /// let deadline = Instant::now() + Duration::from_millis(20);
    /// assert_eq!(limiter.acquire().by(deadline).await.unwrap_err().reason, Reason::Deadline);
    /// assert_eq!(Instant::now(), deadline);
    /// # Ok(())
    /// # }
    /// ```
    pub fn by(mut self, deadline: Instant) -> Self {
        (self.deadline, self.sleep) = (Some(deadline), None);
        self
    }

    /// Whether the deadline has passed; if not, its timer wakes the task.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = self.deadline else { return false };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        sleep.as_mut().poll(cx).is_ready()
    }
}

impl<'a> Future for AcquirePermit<'a> {
    type Output = Result<Permit<'a>, Denied>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let (slots, weight) = (this.limiter.slots(), this.weight);
        let poll = this.stage.poll(
            cx,
            |stage, waker| slots.enter(weight, waker, stage),
            |stage, key, waker| slots.poll(key, waker, stage),
        );
        if let Stage::Queued(key) = this.stage
            && this.is_late(cx)
        {
            this.stage = Stage::Done;
            this.limiter.slots().leave(key, true);
            return Poll::Ready(Err(Denied::without_time(Reason::Deadline)));
        }
        poll.map_ok(|grant| Permit::new(this.limiter.clone(), grant))
    }
}

impl Drop for AcquirePermit<'_> {
    fn drop(&mut self) {
        if let Stage::Queued(key) = self.stage {
            self.limiter.slots().leave(key, false);
        }
    }
}

impl fmt::Debug for AcquirePermit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { weight, deadline, stage, .. } = self;
        let mut debug = f.debug_struct("AcquirePermit");
        debug
            .field("weight", weight)
            .field("deadline", deadline)
            .field("stage", stage)
            .finish_non_exhaustive()
    }
}

/// The future of [`ConcurrencyLimiter::drained`].
pub(super) struct Drained<'a> {
    limiter: &'a ConcurrencyLimiter,
    /// Its key in the queue of those that wait for the end.
    key: Option<Key>,
}

impl<'a> Drained<'a> {
    pub(super) fn new(limiter: &'a ConcurrencyLimiter) -> Self {
        Self { limiter, key: None }
    }
}

impl Future for Drained<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let limiter = self.limiter;
        limiter.slots().poll_drained(&mut self.key, cx.waker())
    }
}

impl Drop for Drained<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.limiter.slots().leave_drained(key);
        }
    }
}
