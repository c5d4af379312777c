//! The limiter and its methods; the state behind them is in `slots.rs`.

use std::{fmt, sync::Arc};

use super::{
    acquire::{AcquirePermit, Drained},
    adaptive::Adaptive,
    permit::{LimiterRef, Permit},
    slots::Slots,
    snapshot::ConcurrencySnapshot,
};
use crate::error::Denied;

/// Limits how much runs at the same time: first come, first served, by weight, and resizable while it is in use.
///
/// A [`Permit`] is the right to run, and goes back when it is dropped, however the work ends. The weights that run
/// never sum up to more than the limit. Lowering the limit interrupts no work; it only lets no more start.
///
/// With a limit that [adapts](Self::adaptive), permits report how the work went, and the limit follows the capacity of the
/// other side.
///
/// Share it as a `static`, by reference, or in an [`Arc`].
///
/// # Why not just use [`Semaphore`](https://docs.rs/tokio/latest/tokio/sync/struct.Semaphore.html)?
///
/// Do, if the limit is a number that stays, and its queue may grow without bound. A semaphore cannot be lowered below the
/// weight in use, does not report that weight or the number of waiters, does not refuse, waits for ever for a weight above
/// its limit, and does not tell when all work has ended.
///
/// # Examples
///
/// ```
/// use evenkeel_limit::ConcurrencyLimiter;
/// use std::sync::Arc;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), evenkeel_limit::Denied> {
/// let limiter = Arc::new(ConcurrencyLimiter::new(10).max_waiters(1000));
/// for page in 0..100 {
///     let permit = limiter.acquire_owned(1).await?;
///     tokio::spawn(async move {
///         println!("{page}");
///         drop(permit);
///     });
/// }
/// limiter.drained().await;
/// assert_eq!(limiter.snapshot().in_use, 0);
/// # Ok(())
/// # }
/// ```
pub struct ConcurrencyLimiter {
    slots: Slots,
}

impl ConcurrencyLimiter {
    /// Creates a limiter for this total weight at the same time.
    ///
    /// # Panics
    ///
    /// If `limit` is zero; in a `static` that is an error of the compiler.
    #[must_use]
    #[track_caller]
    pub const fn new(limit: u32) -> Self {
        assert!(limit > 0, "a limit of zero permits");
        Self { slots: Slots::new(limit, None) }
    }

    /// Creates a limiter whose limit follows the reports of its permits.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{Adaptive, ConcurrencyLimiter};
    ///
    /// # async fn call() -> Result<(), std::io::ErrorKind> { Err(std::io::ErrorKind::TimedOut) }
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), evenkeel_limit::Denied> {
    /// let limiter = ConcurrencyLimiter::adaptive(Adaptive::aimd(1, 100).initial(20));
    /// let permit = limiter.acquire().await?;
    /// match call().await {
    ///     Ok(()) => permit.success(),
    ///     Err(std::io::ErrorKind::TimedOut) => permit.overload(),
    ///     Err(_) => permit.ignore(),
    /// }
    /// assert_eq!(limiter.snapshot().limit, 18);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub const fn adaptive(adaptive: Adaptive) -> Self {
        Self { slots: Slots::new(adaptive.limit(), Some(adaptive)) }
    }

    /// Sets the maximum number of queued waiters; further requests fail with [`QueueFull`](crate::Reason::QueueFull).
    ///
    /// # Panics
    ///
    /// If `waiters` is zero; in a `static` that is an error of the compiler.
    #[must_use]
    #[track_caller]
    pub const fn max_waiters(mut self, waiters: usize) -> Self {
        assert!(waiters > 0, "a queue for zero waiters");
        self.slots.max_waiters = waiters;
        self
    }

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
    pub fn acquire_many(&self, weight: u32) -> AcquirePermit<'_> {
        AcquirePermit::new(LimiterRef::Borrowed(self), weight)
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
    pub fn acquire_owned(self: &Arc<Self>, weight: u32) -> AcquirePermit<'static> {
        AcquirePermit::new(LimiterRef::Owned(Arc::clone(self)), weight)
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
    pub fn try_acquire_many(&self, weight: u32) -> Result<Permit<'_>, Denied> {
        let grant = self.slots.try_acquire(weight)?;
        Ok(Permit::new(LimiterRef::Borrowed(self), grant))
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
    pub fn try_acquire_owned(self: &Arc<Self>, weight: u32) -> Result<Permit<'static>, Denied> {
        let grant = self.slots.try_acquire(weight)?;
        Ok(Permit::new(LimiterRef::Owned(Arc::clone(self)), grant))
    }

    /// Changes the limit, for waiters, too.
    ///
    /// Waiters for more than the new limit fail with [`NeverFits`](crate::Reason::NeverFits). An adaptive limit goes on
    /// from there, within its bounds.
    ///
    /// # Panics
    ///
    /// If `limit` is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::ConcurrencyLimiter;
    ///
    /// let limiter = ConcurrencyLimiter::new(2);
    /// let permits = [limiter.try_acquire()?, limiter.try_acquire()?];
    /// limiter.set_limit(1);
    /// assert_eq!((limiter.snapshot().limit, limiter.snapshot().in_use), (1, 2));
    /// # Ok::<(), evenkeel_limit::Denied>(())
    /// ```
    #[track_caller]
    pub fn set_limit(&self, limit: u32) {
        assert!(limit > 0, "a limit of zero permits");
        self.slots.set_limit(limit);
    }

    /// Closes the limiter for good: all waiters and all later requests fail with [`Closed`](crate::Reason::Closed). Running
    /// work goes on.
    ///
    /// It takes time in proportion to the number of waiters.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{ConcurrencyLimiter, Reason};
    ///
    /// let limiter = ConcurrencyLimiter::new(2);
    /// limiter.close();
    /// assert_eq!(limiter.try_acquire().unwrap_err().reason, Reason::Closed);
    /// ```
    pub fn close(&self) {
        self.slots.close();
    }

    /// Waits until nothing runs and the queue is empty. After [`close`](Self::close) that stays so.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::ConcurrencyLimiter;
    /// use std::sync::Arc;
    /// use tokio::time::{Duration, Instant, sleep};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), evenkeel_limit::Denied> {
    /// let limiter = Arc::new(ConcurrencyLimiter::new(2));
    /// let permit = limiter.acquire_owned(1).await?;
    /// let start = Instant::now();
    /// tokio::spawn(async move {
    ///     sleep(Duration::from_secs(3)).await;
    ///     drop(permit);
    /// });
    /// limiter.close();
    /// limiter.drained().await;
    /// assert_eq!(start.elapsed(), Duration::from_secs(3));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "futures do nothing unless awaited"]
    pub fn drained(&self) -> impl Future<Output = ()> {
        Drained::new(self)
    }

    /// Returns its numbers now.
    #[must_use]
    pub fn snapshot(&self) -> ConcurrencySnapshot {
        self.slots.snapshot()
    }

    pub(super) fn slots(&self) -> &Slots {
        &self.slots
    }
}

impl fmt::Debug for ConcurrencyLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConcurrencyLimiter").field(&self.snapshot()).finish()
    }
}
