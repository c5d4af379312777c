//! The limiter, its builder, and its changes while it is in use.

use std::fmt;

#[cfg(feature = "inspect")]
use super::inspect::CoreCell;
use super::{adaptive::Adaptive, snapshot::ConcurrencySnapshot};
#[cfg(not(feature = "inspect"))]
use super::{
    core::Core,
    fast_path::FastPath,
    loom::{AtomicU64, Mutex},
    state::State,
};
use crate::{
    error::Denied,
    sync::{
        edges::{CallPlace, WaitRecord},
        wait_queue::Waiter,
    },
};

/// Limits how much runs at the same time: first come, first served, by weight, and resizable while it is in use.
///
/// A [`Permit`](crate::Permit) is the right to run, and goes back when it is dropped, however the work ends. The weights
/// that run never sum up to more than the limit. Lowering the limit interrupts no work; it only lets no more start.
///
/// With a limit that [adapts](Self::adaptive), permits report how the work went, and the limit follows the capacity of the
/// other side.
///
/// Share it as a `static`, by reference, or in an [`Arc`](std::sync::Arc).
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
    pub(super) max_waiters: usize,
    #[cfg(not(feature = "inspect"))]
    pub(super) core: Core,
    #[cfg(feature = "inspect")]
    pub(super) core: CoreCell,
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
        Self::with_limit(limit, None, CallPlace::here())
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
    #[cfg_attr(feature = "inspect", track_caller)]
    pub const fn adaptive(adaptive: Adaptive) -> Self {
        Self::with_limit(adaptive.limit(), Some(adaptive), CallPlace::here())
    }

    #[cfg(feature = "inspect")]
    const fn with_limit(limit: u32, adaptive: Option<Adaptive>, call: CallPlace) -> Self {
        Self { max_waiters: usize::MAX, core: CoreCell::new(limit, adaptive, call) }
    }

    #[cfg(not(feature = "inspect"))]
    const fn with_limit(limit: u32, adaptive: Option<Adaptive>, _: CallPlace) -> Self {
        // It opens at the first use, except for an adaptive limit.
        let fast_path = FastPath::new(AtomicU64::new(FastPath::closed()));
        let core = Core::new(fast_path, Mutex::new(State::new(limit, adaptive)));
        Self { max_waiters: usize::MAX, core }
    }

    /// Names the limiter for the dumps of evenkeel-inspect. Without the feature `inspect` the name is dropped.
    ///
    /// A limiter with a name also records who holds its permits, which costs a tenth of the instructions of a permit where a
    /// thread takes and returns one after the other; see the README of evenkeel-inspect.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::ConcurrencyLimiter;
    ///
    /// static CALLS: ConcurrencyLimiter = ConcurrencyLimiter::new(10).named("calls");
    /// assert!(CALLS.try_acquire().is_ok());
    /// ```
    #[must_use]
    pub const fn named(self, name: &'static str) -> Self {
        #[cfg(feature = "inspect")]
        {
            let mut limiter = self;
            limiter.core.set_name(name);
            limiter
        }
        #[cfg(not(feature = "inspect"))]
        {
            let _ = name;
            self
        }
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
        self.max_waiters = waiters;
        self
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
        self.core.with(|state, wakes| {
            state.limit = match &mut state.adaptive {
                Some(adaptive) => adaptive.set(limit),
                None => limit,
            };
            let ceiling = state.ceiling();
            let verdict = |_, waiter: &Waiter<WaitRecord>| {
                if waiter.permits > ceiling { Err(Denied::NEVER_FITS) } else { Ok(()) }
            };
            state.queue.deny(verdict, |waiter| wakes.push(waiter.waker));
        });
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
        self.core.with(|state, wakes| {
            state.closed = true;
            state.queue.deny(|_, _| Err(Denied::CLOSED), |waiter| wakes.push(waiter.waker));
        });
    }

    /// Keeps the limiter out of dumps, as a part of an object that describes itself.
    #[doc(hidden)]
    #[must_use]
    #[cfg(feature = "inspect")]
    pub const fn unlisted(mut self) -> Self {
        self.core.set_unlisted();
        self
    }

    /// Describes the waiters, for a dump of the object that the limiter is a part of.
    #[doc(hidden)]
    #[must_use]
    #[cfg(feature = "inspect")]
    pub fn waiters(&self, now: tokio::time::Instant) -> Vec<evenkeel_inspect::WaiterEdge> {
        self.core.waiters(now)
    }

    /// Puts the weight of a borrowed permit back that was forgotten: a handle of no size, for evenkeel-pipeline. The limiter
    /// has no name, as there would be a record of the holder.
    #[doc(hidden)]
    #[inline]
    pub fn put_back(&self, weight: u32) {
        self.core.put_back(weight);
    }

    /// Returns its numbers now.
    #[must_use]
    pub fn snapshot(&self) -> ConcurrencySnapshot {
        self.core.with(|state, _| state.snapshot())
    }
}

impl fmt::Debug for ConcurrencyLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConcurrencyLimiter").field(&self.snapshot()).finish()
    }
}
