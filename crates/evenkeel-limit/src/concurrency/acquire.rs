//! Requests for permits: taken now or not at all, or waited for.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

#[cfg(feature = "inspect")]
use tokio::task::coop::poll_proceed;
use tokio::time::{Instant, Sleep, sleep_until};

#[cfg(not(feature = "inspect"))]
use super::core::Core;
#[cfg(feature = "inspect")]
use super::{held::CoreRef, hold::Hold, inspect::SharedCore};
use super::{held::LimiterRef, limiter::ConcurrencyLimiter, permit::Permit, state::Grant};
use crate::{
    error::{Denied, Reason},
    sync::{edges::CallPlace, entry::Stage, wait_queue::Key},
};

impl ConcurrencyLimiter {
    /// Waits for a permit of weight 1.
    ///
    /// Permits are granted in the order in which the futures were first polled.
    ///
    /// # Errors
    ///
    /// The errors of [`acquire_many`](Self::acquire_many).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the limiter as if it had never been polled: the waiters behind it move up, and a permit
    /// that was granted and not observed yet goes to the next one.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::ConcurrencyLimiter;
    /// use tokio::time::{Duration, Instant, sleep};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// static LIMITER: ConcurrencyLimiter = ConcurrencyLimiter::new(2);
    ///
    /// let start = Instant::now();
    /// let call = async || {
    ///     let _permit = LIMITER.acquire().await.unwrap();
    ///     sleep(Duration::from_millis(10)).await;
    /// };
    /// tokio::join!(call(), call(), call());
    /// assert_eq!(start.elapsed(), Duration::from_millis(20));
    /// # }
    /// ```
    #[inline]
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn acquire(&self) -> AcquirePermit<'_> {
        self.acquire_many(1)
    }

    /// Waits for a permit of this weight.
    ///
    /// Later requests do not overtake it, however light they are. A weight above an adaptive limit's current value, but not
    /// above its maximum, runs alone.
    ///
    /// # Errors
    ///
    /// [`NeverFits`](crate::Reason::NeverFits) if `weight` is above the limit; [`QueueFull`](crate::Reason::QueueFull)
    /// if it had to wait and [too many](Self::max_waiters) do; [`Closed`](crate::Reason::Closed). It fails at once, or when
    /// the limiter is changed while it waits.
    ///
    /// # Cancel safety
    ///
    /// That of [`acquire`](Self::acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{ConcurrencyLimiter, Reason};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let megabytes = ConcurrencyLimiter::new(512);
    /// assert!(megabytes.acquire_many(300).await.is_ok());
    /// assert_eq!(megabytes.acquire_many(600).await.unwrap_err().reason, Reason::NeverFits);
    /// # }
    /// ```
    #[inline]
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn acquire_many(&self, weight: u32) -> AcquirePermit<'_> {
        self.acquire_many_from(weight, CallPlace::here())
    }

    /// Does the same for a call from this place.
    #[inline]
    pub(crate) fn acquire_many_from(&self, weight: u32, call: CallPlace) -> AcquirePermit<'_> {
        AcquirePermit::new(LimiterRef::Borrowed(self), weight, call)
    }

    /// Waits for a permit of this weight that can move to another task.
    ///
    /// # Errors
    ///
    /// The errors of [`acquire_many`](Self::acquire_many).
    ///
    /// # Cancel safety
    ///
    /// That of [`acquire`](Self::acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::ConcurrencyLimiter;
    /// use std::sync::Arc;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), evenkeel_limit::Denied> {
    /// let limiter = Arc::new(ConcurrencyLimiter::new(2));
    /// let permit = limiter.acquire_owned(1).await?;
    /// tokio::spawn(async move { drop(permit) }).await.unwrap();
    /// # Ok(())
    /// # }
    /// ```
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn acquire_owned(self: &Arc<Self>, weight: u32) -> AcquirePermit<'static> {
        self.acquire_owned_from(weight, CallPlace::here())
    }

    /// Does the same for a call from this place.
    pub(crate) fn acquire_owned_from(
        self: &Arc<Self>,
        weight: u32,
        call: CallPlace,
    ) -> AcquirePermit<'static> {
        AcquirePermit::new(LimiterRef::Owned(Arc::clone(self)), weight, call)
    }

    /// Takes a permit of weight 1 now or not at all.
    ///
    /// # Errors
    ///
    /// The errors of [`try_acquire_many`](Self::try_acquire_many).
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{ConcurrencyLimiter, Reason};
    ///
    /// let limiter = ConcurrencyLimiter::new(1);
    /// let permit = limiter.try_acquire()?;
    /// assert_eq!(limiter.try_acquire().unwrap_err().reason, Reason::Busy);
    /// # Ok::<(), evenkeel_limit::Denied>(())
    /// ```
    #[inline]
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn try_acquire(&self) -> Result<Permit<'_>, Denied> {
        self.try_acquire_many(1)
    }

    /// Takes a permit of this weight now or not at all.
    ///
    /// # Errors
    ///
    /// [`Busy`](crate::Reason::Busy) if it does not fit now or others wait; [`NeverFits`](crate::Reason::NeverFits) if
    /// `weight` is above the limit; [`Closed`](crate::Reason::Closed).
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::ConcurrencyLimiter;
    ///
    /// let limiter = ConcurrencyLimiter::new(10);
    /// let permit = limiter.try_acquire_many(7)?;
    /// assert!(limiter.try_acquire_many(4).is_err());
    /// # Ok::<(), evenkeel_limit::Denied>(())
    /// ```
    #[inline]
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn try_acquire_many(&self, weight: u32) -> Result<Permit<'_>, Denied> {
        self.try_acquire_many_from(weight, CallPlace::here())
    }

    /// Does the same for a call from this place.
    #[inline]
    pub(crate) fn try_acquire_many_from(&self, weight: u32, call: CallPlace) -> Result<Permit<'_>, Denied> {
        #[cfg(feature = "inspect")]
        if let Some(core) = self.core.made()
            && let Some(hold) = core.take_fast(weight, call)
        {
            return Ok(Permit::of(CoreRef::Borrowed(core), hold));
        }
        let grant = self.core.try_take(weight, call)?;
        Ok(Permit::new(LimiterRef::Borrowed(self), grant, call))
    }

    /// Takes a permit of this weight that can move to another task, now or not at all.
    ///
    /// # Errors
    ///
    /// The errors of [`try_acquire_many`](Self::try_acquire_many).
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::ConcurrencyLimiter;
    /// use std::sync::Arc;
    ///
    /// let limiter = Arc::new(ConcurrencyLimiter::new(2));
    /// let permit = limiter.try_acquire_owned(2)?;
    /// std::thread::spawn(move || drop(permit)).join().unwrap();
    /// assert!(limiter.try_acquire_owned(2).is_ok());
    /// # Ok::<(), evenkeel_limit::Denied>(())
    /// ```
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn try_acquire_owned(self: &Arc<Self>, weight: u32) -> Result<Permit<'static>, Denied> {
        self.try_acquire_owned_from(weight, CallPlace::here())
    }

    /// Does the same for a call from this place.
    pub(crate) fn try_acquire_owned_from(
        self: &Arc<Self>,
        weight: u32,
        call: CallPlace,
    ) -> Result<Permit<'static>, Denied> {
        #[cfg(feature = "inspect")]
        if let Some(core) = self.core.made()
            && let Some(hold) = core.take_fast(weight, call)
        {
            return Ok(Permit::of(CoreRef::Owned(Arc::clone(core)), hold));
        }
        let grant = self.core.try_take(weight, call)?;
        Ok(Permit::new(LimiterRef::Owned(Arc::clone(self)), grant, call))
    }
}

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
    request: PermitRequest<'a>,
    deadline: Option<Instant>,
    /// The timer of the deadline, once it waits.
    sleep: Option<Pin<Box<Sleep>>>,
    stage: Stage,
}

/// The part of a request that stays as it is, in one place: the steps of a poll have one pointer to all of it.
struct PermitRequest<'a> {
    limiter: LimiterRef<'a>,
    weight: u32,
    call: CallPlace,
}

impl<'a> PermitRequest<'a> {
    #[inline]
    fn permit(&self, grant: Grant) -> Permit<'a> {
        Permit::new(self.limiter.clone(), grant, self.call)
    }

    fn enter(&self, stage: &mut Stage, waker: &Waker) -> Poll<Result<Permit<'a>, Denied>> {
        let limiter = &*self.limiter;
        let poll = limiter.core.enter(self.weight, limiter.max_waiters, waker, stage, self.call);
        poll.map_ok(|grant| self.permit(grant))
    }

    #[inline(always)]
    fn poll_with(
        &self,
        stage: &mut Stage,
        cx: &mut Context<'_>,
        take: impl FnOnce() -> Option<Permit<'a>>,
    ) -> Poll<Result<Permit<'a>, Denied>> {
        stage.poll(
            cx,
            || take().map(Ok),
            |stage, waker| self.enter(stage, waker),
            |stage, key, waker| self.decision(stage, key, waker),
        )
    }

    // Small, to be inlined where the future is polled: each kind of limiter has a function of its own, with what that needs
    // alone.
    #[cfg(not(feature = "inspect"))]
    #[inline]
    fn poll(&self, stage: &mut Stage, cx: &mut Context<'_>) -> Poll<Result<Permit<'a>, Denied>> {
        self.poll_unrecorded(stage, &self.limiter.core, cx)
    }

    #[cfg(not(feature = "inspect"))]
    #[inline(never)]
    fn poll_unrecorded(
        &self,
        stage: &mut Stage,
        core: &Core,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Permit<'a>, Denied>> {
        // A permit of the fast path is made here, where it is known that it has no measurement.
        self.poll_with(stage, cx, || core.take_fast(self.weight).map(|grant| self.permit(grant)))
    }

    #[cfg(feature = "inspect")]
    #[inline]
    fn poll(&self, stage: &mut Stage, cx: &mut Context<'_>) -> Poll<Result<Permit<'a>, Denied>> {
        if let LimiterRef::Borrowed(limiter) = &self.limiter {
            if let Some(core) = limiter.core.recorded() {
                return self.poll_recorded(stage, core, cx);
            }
            if let Some(core) = limiter.core.unrecorded() {
                return self.poll_unrecorded(stage, core, cx);
            }
        }
        self.poll_any(stage, cx)
    }

    #[cfg(feature = "inspect")]
    #[inline(never)]
    fn poll_unrecorded(
        &self,
        stage: &mut Stage,
        core: &'a SharedCore,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Permit<'a>, Denied>> {
        self.poll_with(stage, cx, || {
            Some(Permit::of(CoreRef::Borrowed(core), core.take_unrecorded(self.weight)?))
        })
    }

    #[cfg(feature = "inspect")]
    #[inline(never)]
    fn poll_recorded(
        &self,
        stage: &mut Stage,
        core: &'a SharedCore,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Permit<'a>, Denied>> {
        match self.poll_next(stage, core, cx) {
            Some(taken) => taken.map(|hold| Ok(Permit::of(CoreRef::Borrowed(core), hold))),
            None => self.poll_slowly(stage, cx),
        }
    }

    /// Polls a request to any limiter.
    #[cfg(feature = "inspect")]
    #[inline(never)]
    fn poll_any(&self, stage: &mut Stage, cx: &mut Context<'_>) -> Poll<Result<Permit<'a>, Denied>> {
        if let LimiterRef::Owned(limiter) = &self.limiter {
            if let Some(core) = limiter.core.recorded() {
                return self.poll_owned_recorded(stage, core, cx);
            }
            if let Some(core) = limiter.core.unrecorded() {
                return self.poll_owned_unrecorded(stage, core, cx);
            }
        }
        self.poll_slowly(stage, cx)
    }

    #[cfg(feature = "inspect")]
    #[inline(never)]
    fn poll_owned_unrecorded(
        &self,
        stage: &mut Stage,
        core: &Arc<SharedCore>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Permit<'a>, Denied>> {
        self.poll_with(stage, cx, || {
            let hold = core.take_unrecorded(self.weight)?;
            Some(Permit::of(CoreRef::Owned(Arc::clone(core)), hold))
        })
    }

    #[cfg(feature = "inspect")]
    #[inline(never)]
    fn poll_owned_recorded(
        &self,
        stage: &mut Stage,
        core: &Arc<SharedCore>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Permit<'a>, Denied>> {
        match self.poll_next(stage, core, cx) {
            Some(taken) => taken.map(|hold| Ok(Permit::of(CoreRef::Owned(Arc::clone(core)), hold))),
            None => self.poll_slowly(stage, cx),
        }
    }

    /// Takes a permit of a limiter with a name in a burst, with the next record of this thread; `None` if there is more to do. That
    /// has functions of its own, so that this needs few registers.
    #[cfg(feature = "inspect")]
    #[inline(always)]
    fn poll_next(&self, stage: &mut Stage, core: &SharedCore, cx: &mut Context<'_>) -> Option<Poll<Hold>> {
        let Stage::New = stage else { return None };
        let weight = self.weight;
        let next = core.next(weight, self.call)?;
        let Poll::Ready(proceed) = poll_proceed(cx) else { return Some(Poll::Pending) };
        // If another task is faster, the request starts again and counts twice: that is rare, and does no harm.
        proceed.made_progress();
        let hold = core.take_next(next, weight)?;
        *stage = Stage::Done;
        Some(Poll::Ready(hold))
    }

    /// Polls a request that may have to wait.
    #[cfg(feature = "inspect")]
    #[inline(never)]
    fn poll_slowly(&self, stage: &mut Stage, cx: &mut Context<'_>) -> Poll<Result<Permit<'a>, Denied>> {
        self.poll_with(stage, cx, || {
            let hold = self.limiter.core.made()?.take_slowly(self.weight, self.call)?;
            Some(Permit::of(self.limiter.core_ref(), hold))
        })
    }

    fn decision(&self, stage: &mut Stage, key: Key, waker: &Waker) -> Poll<Result<Permit<'a>, Denied>> {
        self.limiter.core.poll(key, waker, stage, self.call).map_ok(|grant| self.permit(grant))
    }
}

impl<'a> AcquirePermit<'a> {
    #[inline]
    fn new(limiter: LimiterRef<'a>, weight: u32, call: CallPlace) -> Self {
        let request = PermitRequest { limiter, weight, call };
        Self { request, deadline: None, sleep: None, stage: Stage::New }
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

    /// Leaves the queue if the deadline has passed; if not, its timer wakes the task.
    #[inline(never)]
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<Denied> {
        let (Stage::Queued(key), Some(deadline)) = (&self.stage, self.deadline) else { return Poll::Pending };
        let key = *key;
        let sleep = self.sleep.get_or_insert_with(|| {
            #[cfg(feature = "inspect")]
            self.request.limiter.core.note_deadline(key, deadline);
            Box::pin(sleep_until(deadline))
        });
        ready!(sleep.as_mut().poll(cx));
        self.stage = Stage::Done;
        self.request.limiter.core.leave(key, true);
        Poll::Ready(Denied::without_time(Reason::Deadline))
    }
}

impl<'a> Future for AcquirePermit<'a> {
    type Output = Result<Permit<'a>, Denied>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { request, stage, .. } = &mut *self;
        match request.poll(stage, cx) {
            Poll::Pending => self.poll_deadline(cx).map(Err),
            ready => ready,
        }
    }
}

impl Drop for AcquirePermit<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Stage::Queued(key) = self.stage {
            self.request.limiter.core.leave(key, false);
        }
    }
}

impl fmt::Debug for AcquirePermit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { request: PermitRequest { weight, .. }, deadline, stage, .. } = self;
        let mut debug = f.debug_struct("AcquirePermit");
        debug
            .field("weight", weight)
            .field("deadline", deadline)
            .field("stage", stage)
            .finish_non_exhaustive()
    }
}
