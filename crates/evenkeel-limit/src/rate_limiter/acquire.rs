//! Requests for permits: taken now or not at all, or waited for.

use std::{
    cell::Cell,
    future::Future,
    ops::Deref,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::time::Instant;

use super::{RateLimiter, core::Request};
use crate::{
    error::Denied,
    sync::{edges::CallPlace, entry::Stage},
};

impl RateLimiter {
    /// Waits for one permit.
    ///
    /// Turns come in the order in which the futures were first polled. A task that acquires in a loop while there are
    /// permits lets other tasks run after 128 of them, as with tokio's own futures: each permit takes a part of the task's
    /// [cooperative budget](tokio::task::coop). With a deadline, set by
    /// [`by`](Acquire::by), the future returns a `Result`.
    ///
    /// # Panics
    ///
    /// When polled, if the limiter is closed, or if it has to wait outside of a tokio runtime with timers, or in one that
    /// has been shut down: all waiters of that runtime are woken, and panic if they are polled in no other. Nothing is
    /// taken then. For a limiter that is going to be closed use [`acquire_many(1)`](Self::acquire_many), which returns an
    /// error instead.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the limiter as if it had never been polled: it leaves the queue, the waiters behind it
    /// move up, and a permit that was granted and not yet observed goes back, up to the burst.
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
    #[doc(alias("until_ready", "wait"))]
    #[inline]
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn acquire(&self) -> Acquire<'_> {
        self.acquire_from(CallPlace::here())
    }

    /// Does the same for a call from this place.
    #[inline]
    pub(crate) fn acquire_from(&self, call: CallPlace) -> Acquire<'_> {
        Acquire(AcquireInner::new(self, 1, false, call))
    }

    /// Waits for `permits` at once.
    ///
    /// Later requests do not overtake it, however small they are.
    ///
    /// # Errors
    ///
    /// [`NeverFits`](crate::Reason::NeverFits) if `permits` is more than the burst, and may not become
    /// [debt](Self::oversize_as_debt); [`QueueFull`](crate::Reason::QueueFull) if it had to wait and
    /// [as many as may](Self::max_waiters) do; [`Closed`](crate::Reason::Closed). It fails at once, or when the limiter is
    /// changed while it waits.
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
    #[inline]
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn acquire_many(&self, permits: u32) -> AcquireMany<'_> {
        self.acquire_many_from(permits, CallPlace::here())
    }

    /// Does the same for a call from this place.
    #[inline]
    pub(crate) fn acquire_many_from(&self, permits: u32, call: CallPlace) -> AcquireMany<'_> {
        AcquireMany(AcquireInner::new(self, permits, true, call))
    }

    /// Takes one permit now or not at all.
    ///
    /// # Errors
    ///
    /// [`Busy`](crate::Reason::Busy) if there is none or others wait, with the time after which to try again;
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
    #[doc(alias = "check")]
    #[inline]
    pub fn try_acquire(&self) -> Result<(), Denied> {
        self.try_acquire_many(1)
    }

    /// Takes `permits` now or none at all.
    ///
    /// # Errors
    ///
    /// [`Busy`](crate::Reason::Busy) if there are fewer or others wait, with the time after which to try
    /// again; [`NeverFits`](crate::Reason::NeverFits) if `permits` is more than the burst, and may not become
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
    #[inline]
    pub fn try_acquire_many(&self, permits: u32) -> Result<(), Denied> {
        self.core().try_acquire(permits)
    }
}

/// The future of [`RateLimiter::acquire`]: one permit.
///
/// # Cancel safety
///
/// That of [`RateLimiter::acquire`].
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
/// That of [`RateLimiter::acquire`].
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
    /// Waits no longer than until `deadline`, as [`AcquireMany::by`] does, and fails where [`RateLimiter::acquire`] would
    /// panic or wait beyond [`max_waiters`](RateLimiter::max_waiters).
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
    /// let denied = limiter.acquire().by(start + Duration::from_millis(999)).await.unwrap_err();
    /// assert_eq!((denied.reason, start.elapsed()), (Reason::Deadline, Duration::ZERO));
    /// assert!(limiter.acquire().by(start + Duration::from_secs(1)).await.is_ok());
    /// # }
    /// ```
    pub fn by(self, deadline: Instant) -> AcquireMany<'a> {
        let mut inner = self.0;
        inner.request.bounded = true;
        AcquireMany(inner).by(deadline)
    }
}

impl AcquireMany<'_> {
    /// Waits no longer than until `deadline`: fails with [`Deadline`](crate::Reason::Deadline) as soon as it is known that
    /// the turn comes later.
    ///
    /// That is at the first poll, or when the limiter becomes slower while the future waits. Permits that are there are
    /// granted, whatever the deadline is. A deadline that is set after the first poll has no effect.
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

    // Most of it is the look at tokio's budget, for which the compiler would make it a call.
    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let decision = ready!(self.0.poll(cx));
        assert!(
            decision.is_ok(),
            "`acquire` of a limiter that is closed; `acquire_many(1)` is refused instead"
        );
        Poll::Ready(())
    }
}

impl Future for AcquireMany<'_> {
    type Output = Result<(), Denied>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx)
    }
}

/// A request of a limiter that is borrowed or shared.
#[derive(Debug)]
pub(crate) struct AcquireInner<L: Deref<Target = RateLimiter>> {
    pub(crate) limiter: L,
    pub(crate) request: Request,
    stage: Stage,
}

impl<L: Deref<Target = RateLimiter>> AcquireInner<L> {
    /// Creates a request, for which `max_waiters` counts if it is `bounded`.
    #[inline]
    pub(crate) fn new(limiter: L, permits: u32, bounded: bool, call: CallPlace) -> Self {
        let request = Request { permits, deadline: None, bounded, call };
        Self { limiter, request, stage: Stage::New }
    }

    #[inline(always)]
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Denied>> {
        // The request is copied only where it leaves the fast path: to read it back whole stalls the processor, which
        // has just written its fields one by one.
        let (core, request) = (self.limiter.core(), &self.request);
        let waits = Cell::new(false);
        let take = || match request.permits {
            1 => core.take_one().map_err(|likely| waits.set(likely)).ok().map(Ok),
            _ => None,
        };
        self.stage.poll(
            cx,
            take,
            |stage, waker| core.enter(*request, waits.get(), waker, stage),
            |stage, key, waker| core.poll(key, waker, stage),
        )
    }
}

impl<L: Deref<Target = RateLimiter>> Drop for AcquireInner<L> {
    #[inline]
    fn drop(&mut self) {
        if let Stage::Queued(key) = self.stage {
            self.limiter.core().leave(key);
        }
    }
}
