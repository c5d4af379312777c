//! Waiting for permits.

use std::{
    future::Future,
    ops::Deref,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{task::coop::poll_proceed, time::Instant};

use super::{RateLimiter, core::Request};
use crate::{error::Denied, sync::wait_queue::Key};

impl RateLimiter {
    /// Waits for one permit.
    ///
    /// Turns are given in the order in which the futures were first polled. A task that asks again and again while there
    /// are permits lets others run now and then, as with tokio's own futures.
    ///
    /// # Panics
    ///
    /// When polled, if the limiter is closed, or if it has to wait outside of a tokio runtime with timers, or in one that
    /// has been shut down: others who wait there are woken, and panic if they are polled nowhere else.
    /// Nothing is taken then. A limiter that is going to be closed is better asked for
    /// [`acquire_many(1)`](Self::acquire_many), which has an error for that.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the limiter as if it had never come: its place in the queue is given up,
    /// those behind it move up, and a permit that was granted and not yet seen goes back, up to the burst.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::RateLimiter;
    /// use std::sync::Arc;
    /// use tokio::time::{Duration, Instant};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let limiter = Arc::new(RateLimiter::per_second(10).burst(1));
    /// let start = Instant::now();
    /// let tasks = [0, 1, 2].map(|i| {
    ///     let limiter = Arc::clone(&limiter);
    ///     tokio::spawn(async move {
    ///         limiter.acquire().await;
    ///         (i, start.elapsed())
    ///     })
    /// });
    /// for task in tasks {
    ///     let (i, when) = task.await.unwrap();
    ///     assert_eq!(when, Duration::from_millis(100 * i));
    /// }
    /// # }
    /// ```
    pub fn acquire(&self) -> Acquire<'_> {
        Acquire::new(self)
    }

    /// Waits for `permits` at once.
    ///
    /// Later requests do not overtake it, however small they are.
    ///
    /// # Errors
    ///
    /// [`NeverFits`](crate::Reason::NeverFits) if `permits` is more than the burst, and may not become
    /// [debt](Self::oversize_as_debt); [`QueueFull`](crate::Reason::QueueFull) if it had to wait and
    /// [too many](Self::max_waiters) do; [`Closed`](crate::Reason::Closed). At once, or when the limiter is changed
    /// while it waits.
    ///
    /// # Panics
    ///
    /// When polled, if it has to wait outside of a tokio runtime with timers. Nothing is taken then.
    ///
    /// # Cancel safety
    ///
    /// That of [`acquire`](Self::acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{RateLimiter, Reason};
    /// use tokio::time::{Duration, Instant};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), evenkeel_limit::Denied> {
    /// let bytes = RateLimiter::per_second(1_000_000).burst(64 * 1024).start_empty();
    /// let start = Instant::now();
    /// bytes.acquire_many(50_000).await?;
    /// assert_eq!(start.elapsed(), Duration::from_millis(50));
    ///
    /// let denied = bytes.acquire_many(100_000).await.unwrap_err();
    /// assert_eq!(denied.reason, Reason::NeverFits);
    /// # Ok(())
    /// # }
    /// ```
    pub fn acquire_many(&self, permits: u32) -> AcquireMany<'_> {
        AcquireMany::new(self, permits)
    }

    /// Waits for one permit, if its turn comes by `deadline`, and is refused at once if not.
    ///
    /// The same as [`acquire_many(1)`](Self::acquire_many) with a deadline [set](AcquireMany::by).
    ///
    /// # Errors
    ///
    /// [`Deadline`](crate::Reason::Deadline) if the turn would come later, and those of
    /// [`acquire_many`](Self::acquire_many).
    ///
    /// # Panics
    ///
    /// When polled, if it has to wait outside of a tokio runtime with timers. Nothing is taken then.
    ///
    /// # Cancel safety
    ///
    /// That of [`acquire`](Self::acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{RateLimiter, Reason};
    /// use tokio::time::{Duration, Instant};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let limiter = RateLimiter::per_second(1).start_empty();
    /// let start = Instant::now();
    /// let denied = limiter.acquire_by(start + Duration::from_millis(999)).await.unwrap_err();
    /// assert_eq!((denied.reason, start.elapsed()), (Reason::Deadline, Duration::ZERO));
    /// assert!(limiter.acquire_by(start + Duration::from_secs(1)).await.is_ok());
    /// # }
    /// ```
    pub fn acquire_by(&self, deadline: Instant) -> AcquireMany<'_> {
        self.acquire_many(1).by(deadline)
    }

    /// Takes one permit now or not at all.
    ///
    /// # Errors
    ///
    /// [`Busy`](crate::Reason::Busy) if there is none or others wait, with the time after which to come back;
    /// [`Closed`](crate::Reason::Closed).
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::RateLimiter;
    /// use tokio::time::{Duration, sleep};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let limiter = RateLimiter::per_second(4).burst(1);
    /// assert!(limiter.try_acquire().is_ok());
    ///
    /// let denied = limiter.try_acquire().unwrap_err();
    /// sleep(denied.retry_after.unwrap()).await;
    /// assert!(limiter.try_acquire().is_ok());
    /// # }
    /// ```
    pub fn try_acquire(&self) -> Result<(), Denied> {
        self.try_acquire_many(1)
    }

    /// Takes `permits` now or none at all.
    ///
    /// # Errors
    ///
    /// [`Busy`](crate::Reason::Busy) if there are fewer or others wait, with the time after which to come
    /// back; [`NeverFits`](crate::Reason::NeverFits) if `permits` is more than the burst, and may not become
    /// [debt](Self::oversize_as_debt); [`Closed`](crate::Reason::Closed).
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{RateLimiter, Reason};
    ///
    /// let limiter = RateLimiter::per_second(1).burst(10);
    /// assert!(limiter.try_acquire_many(7).is_ok());
    /// assert_eq!(limiter.try_acquire_many(7).unwrap_err().reason, Reason::Busy);
    /// assert_eq!(limiter.try_acquire_many(11).unwrap_err().reason, Reason::NeverFits);
    /// ```
    pub fn try_acquire_many(&self, permits: u32) -> Result<(), Denied> {
        self.core().try_acquire(permits)
    }
}

/// The future of [`RateLimiter::acquire`]: one permit.
///
/// # Cancel safety
///
/// Dropping it leaves the limiter as if it had never come, as said [there](RateLimiter::acquire).
///
/// # Examples
///
/// ```
/// use evenkeel_limit::{Acquire, RateLimiter};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let limiter = RateLimiter::per_second(100);
/// let permit: Acquire<'_> = limiter.acquire();
/// permit.await;
/// # }
/// ```
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Acquire<'a>(AcquireInner<&'a RateLimiter>);

/// The future of [`RateLimiter::acquire_many`]: several permits at once.
///
/// # Cancel safety
///
/// Dropping it leaves the limiter as if it had never come, as said [there](RateLimiter::acquire).
///
/// # Examples
///
/// ```
/// use evenkeel_limit::{AcquireMany, RateLimiter};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let limiter = RateLimiter::per_second(100);
/// let permits: AcquireMany<'_> = limiter.acquire_many(30);
/// assert!(permits.await.is_ok());
/// # }
/// ```
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct AcquireMany<'a>(AcquireInner<&'a RateLimiter>);

impl<'a> Acquire<'a> {
    pub(crate) fn new(limiter: &'a RateLimiter) -> Self {
        Self(AcquireInner::new(limiter, Request { permits: 1, deadline: None, bounded: false }))
    }
}

impl<'a> AcquireMany<'a> {
    pub(crate) fn new(limiter: &'a RateLimiter, permits: u32) -> Self {
        Self(AcquireInner::new(limiter, Request { permits, deadline: None, bounded: true }))
    }

    /// Waits no longer than until `deadline`: if the turn comes later it is refused, as soon as that is known.
    ///
    /// That is at the first poll. A limiter that becomes slower while it waits refuses it then. Permits that
    /// are there are granted, whatever the deadline is.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{RateLimiter, Reason};
    /// use tokio::time::{Duration, Instant};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let limiter = RateLimiter::per_second(10).start_empty();
    /// let deadline = Instant::now() + Duration::from_millis(500);
    ///
    /// let denied = limiter.acquire_many(6).by(deadline).await.unwrap_err();
    /// assert_eq!(denied.reason, Reason::Deadline);
    /// assert_eq!(denied.retry_after, Some(Duration::from_millis(600)));
    /// assert!(limiter.acquire_many(5).by(deadline).await.is_ok());
    /// # }
    /// ```
    pub fn by(mut self, deadline: Instant) -> Self {
        self.0.request.deadline = Some(deadline);
        self
    }
}

impl Future for Acquire<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let turn = ready!(self.0.poll(cx));
        assert!(turn.is_ok(), "`acquire` of a limiter that is closed; `acquire_many(1)` is refused instead");
        Poll::Ready(())
    }
}

impl Future for AcquireMany<'_> {
    type Output = Result<(), Denied>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx)
    }
}

/// One request, on its way through the core.
#[derive(Debug)]
pub(crate) struct AcquireInner<L: Deref<Target = RateLimiter>> {
    pub(crate) limiter: L,
    pub(crate) request: Request,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Outside,
    Queued(Key),
    Done,
}

impl<L: Deref<Target = RateLimiter>> AcquireInner<L> {
    pub(crate) fn new(limiter: L, request: Request) -> Self {
        Self { limiter, request, stage: Stage::Outside }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Denied>> {
        let core = self.limiter.core();
        let poll = match self.stage {
            Stage::Outside => {
                // A loop over permits that are there has to let other tasks run.
                let proceed = ready!(poll_proceed(cx));
                match core.enter(self.request, cx.waker()) {
                    Ok(Some(key)) => {
                        self.stage = Stage::Queued(key);
                        Poll::Pending
                    }
                    entered => {
                        proceed.made_progress();
                        Poll::Ready(entered.map(|_| ()))
                    }
                }
            }
            Stage::Queued(key) => core.poll(key, cx.waker()),
            Stage::Done => panic!("polled after it was ready"),
        };
        if poll.is_ready() {
            self.stage = Stage::Done;
        }
        poll
    }
}

impl<L: Deref<Target = RateLimiter>> Drop for AcquireInner<L> {
    fn drop(&mut self) {
        if let Stage::Queued(key) = self.stage {
            self.limiter.core().leave(key);
        }
    }
}
