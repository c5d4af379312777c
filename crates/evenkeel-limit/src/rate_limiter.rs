//! The rate limiter: the type and its builder.
//!
//! Files in reading order: [`acquire`] has the requests and their futures, [`core`] the part that all handles share with
//! its fast path, state and timers, [`reservation`] and `adjust` the other calls; `inspect` tells of it in dumps.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use self::core::{Config, Core};
#[cfg(feature = "inspect")]
use self::inspect::{Family, Listing};
#[cfg(feature = "quanta")]
use crate::clock::Clock;
#[cfg(all(test, feature = "quanta"))]
use crate::clock::Counter;
use crate::{
    algorithm::clock::Tokens,
    rate::Rate,
    sync::{
        edges::{CallPlace, Title},
        loom, timer,
    },
};

// The modules below name `loom` and `timer` by `super::`, so that `loom_tests` can put others in their place.
pub(crate) mod acquire;
mod adjust;
pub(crate) mod core;
mod fast_path;
#[cfg(feature = "inspect")]
pub(crate) mod inspect;
#[cfg(test)]
mod loom_tests;
pub(crate) mod reservation;
mod timers;

/// Lets work through at a rate: first come, first served, each at the instant its permits are there.
///
/// It is a token bucket: permits are earned at the [`Rate`], up to the *burst*, and every request takes some. In no
/// stretch of time are more granted than the burst and those that the rate earns in that time; no rounding adds up, at any
/// rate. The bucket is full at the first use, or empty if built with [`start_empty`](Self::start_empty). The settings of
/// the builder count until the first use.
///
/// Waiters share one FIFO queue. `n` waiters cost one timer and `n` wakes, a waiter that is dropped takes nothing, and no
/// waiter depends on another being polled. A turn comes by the clock: a timer that fires late (tokio's by up to a
/// millisecond) delays one grant, and not those after it.
///
/// Share it as a `static`, by reference, or in an [`Arc`]. It works across runtimes and outside of them; only waiting needs
/// a tokio runtime with timers. Time is that of tokio's clock, and can be paused.
///
/// # Why not just use [`tokio::time::interval`], or a [`Semaphore`](https://docs.rs/tokio/latest/tokio/sync/struct.Semaphore.html)?
///
/// An interval has one owner: behind a lock its ticks go to the caller that polls, and a late tick is made up for in a
/// burst or lost. A semaphore limits how much runs at once, not how much starts in a second.
///
/// # Examples
///
/// ```
/// use evenkeel_limit::RateLimiter;
/// use tokio::time::{Duration, Instant};
///
/// static LIMITER: RateLimiter = RateLimiter::per_second(100).burst(20);
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let start = Instant::now();
/// for _ in 0..120 {
///     LIMITER.acquire().await;
/// }
/// assert_eq!(start.elapsed(), Duration::from_secs(1)); // 20 at once, and 100 in a second
/// # }
/// ```
pub struct RateLimiter {
    rate: Option<Rate>,
    config: Config,
    /// Made at the first use, since a `static` can have neither an `Arc` nor the time.
    core: OnceLock<Arc<Core>>,
    /// Made together with the core.
    #[cfg(feature = "inspect")]
    listing: OnceLock<Listing>,
    #[cfg(feature = "inspect")]
    family: Option<Arc<Family>>,
}

impl RateLimiter {
    /// Returns a limiter with this rate, and a burst of the number it is written with: 100 per second starts with 100 at
    /// once.
    ///
    /// With a [`burst`](Self::burst) of 1 grants keep their distance, however long the limiter was idle.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{Rate, RateLimiter};
    /// use tokio::time::{Duration, Instant, sleep};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let limiter = RateLimiter::new(Rate::per_second(10)).burst(1);
    /// sleep(Duration::from_secs(60)).await;
    ///
    /// let start = Instant::now();
    /// limiter.acquire().await;
    /// limiter.acquire().await;
    /// assert_eq!(start.elapsed(), Duration::from_millis(100));
    /// # }
    /// ```
    #[must_use]
    #[cfg_attr(feature = "inspect", track_caller)]
    pub const fn new(rate: Rate) -> Self {
        Self::with_rate(Some(rate), CallPlace::here())
    }

    /// Returns `RateLimiter::new(Rate::per_second(permits))`.
    ///
    /// # Panics
    ///
    /// If `permits` is zero; in a `static` that is an error of the compiler.
    #[must_use]
    #[track_caller]
    pub const fn per_second(permits: u32) -> Self {
        Self::new(Rate::per_second(permits))
    }

    /// Returns `RateLimiter::new(Rate::per_minute(permits))`, which starts with a minute's permits at once: set a smaller
    /// [`burst`](Self::burst) where the other side does not bear them.
    ///
    /// # Panics
    ///
    /// If `permits` is zero; in a `static` that is an error of the compiler.
    #[must_use]
    #[track_caller]
    pub const fn per_minute(permits: u32) -> Self {
        Self::new(Rate::per_minute(permits))
    }

    /// Returns `RateLimiter::new(Rate::per_hour(permits))`, which starts with an hour's permits at once: set a smaller
    /// [`burst`](Self::burst) where the other side does not bear them.
    ///
    /// # Panics
    ///
    /// If `permits` is zero; in a `static` that is an error of the compiler.
    #[must_use]
    #[track_caller]
    pub const fn per_hour(permits: u32) -> Self {
        Self::new(Rate::per_hour(permits))
    }

    /// Returns a limiter with a sliding window: it grants the number of the rate at most in any stretch of its time.
    ///
    /// A bucket grants up to its burst more than that, see [`burst`](Self::burst): `per(10, minute)` with its burst of 10
    /// may grant 20 in a minute, which a strict window does not allow. The sliding window is for a server that counts the
    /// requests of the last minute and forgives nothing. Permits that were granted at once come back at once, a window later.
    ///
    /// It counts when requests are *granted*, and the server when they *arrive*. If one takes longer on its way than the
    /// next ones do, more than the number arrive within the time. So make the time longer by the difference of the ways: the
    /// server's window and the jitter, for example `Rate::per(10, Duration::from_millis(60_250))` for ten a minute and
    /// a way of 50 to 300 ms.
    ///
    /// The burst is the number of permits in the window. [`set_rate`](Self::set_rate) changes it too, unless a burst was set.
    /// [`fast`](Self::fast) and [`oversize_as_debt`](Self::oversize_as_debt) change nothing. The limiter remembers each
    /// grant as long as it counts, up to some 2000 of them; beyond that, grants within 1/1000 of the time count like the
    /// last of them. Every request takes a lock. To find the turn of a request behind others of different sizes takes time
    /// in proportion to the number of waiters.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{Rate, RateLimiter};
    /// use tokio::time::{Duration, Instant, sleep};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let limiter = RateLimiter::sliding(Rate::per(10, Duration::from_secs(60)));
    /// let start = Instant::now();
    /// limiter.acquire().await;
    /// sleep(Duration::from_secs(59)).await;
    /// for _ in 0..10 {
    ///     limiter.acquire().await;
    /// }
    /// assert_eq!(start.elapsed(), Duration::from_secs(60)); // 9, and the first one is a minute old
    /// limiter.acquire().await;
    /// assert_eq!(start.elapsed(), Duration::from_secs(119));
    /// # }
    /// ```
    #[must_use]
    #[cfg_attr(feature = "inspect", track_caller)]
    pub const fn sliding(rate: Rate) -> Self {
        let mut limiter = Self::new(rate);
        limiter.config.sliding = true;
        limiter
    }

    /// Returns a limiter that grants everything at once.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{Rate, RateLimiter};
    ///
    /// let configured: Option<u32> = None;
    /// let limiter = configured.map_or(RateLimiter::unlimited(), RateLimiter::per_second);
    /// assert!(limiter.try_acquire_many(u32::MAX).is_ok());
    /// ```
    #[must_use]
    #[cfg_attr(feature = "inspect", track_caller)]
    pub const fn unlimited() -> Self {
        Self::with_rate(None, CallPlace::here())
    }

    const fn with_rate(rate: Option<Rate>, call: CallPlace) -> Self {
        let config = Config {
            burst: None,
            start_empty: false,
            sliding: false,
            fast: false,
            cpu: false,
            debt: false,
            max_waiters: usize::MAX,
            max_pause: Duration::from_secs(24 * 60 * 60),
            title: Title::new(call),
        };
        Self {
            rate,
            config,
            core: OnceLock::new(),
            #[cfg(feature = "inspect")]
            listing: OnceLock::new(),
            #[cfg(feature = "inspect")]
            family: None,
        }
    }

    /// Names the limiter for the dumps of evenkeel-inspect. Without the feature `inspect` the name is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::RateLimiter;
    ///
    /// static CALLS: RateLimiter = RateLimiter::per_second(10).named("calls");
    /// assert!(CALLS.try_acquire().is_ok());
    /// ```
    #[must_use]
    pub const fn named(mut self, name: &'static str) -> Self {
        self.config.title = self.config.title.named(name);
        self
    }

    /// Sets the most permits there can be at once, and so the largest request.
    ///
    /// With 64 or more, [`fast`](Self::fast) saves most reads of the clock, which are most of a request's cost.
    ///
    /// # Panics
    ///
    /// If `permits` is zero; in a `static` that is an error of the compiler.
    #[must_use]
    #[track_caller]
    pub const fn burst(mut self, permits: u32) -> Self {
        assert!(permits > 0, "a burst of zero permits");
        self.config.burst = Some(permits);
        self
    }

    /// Starts without permits: they are earned from the first use on.
    #[must_use]
    pub const fn start_empty(mut self) -> Self {
        self.config.start_empty = true;
        self
    }

    /// Looks at the clock once for several permits, up to 1/16 of the burst and 256: take it where the burst is 64 or more.
    ///
    /// To read the clock is most of what a request costs, and costs more in a virtual machine whose clock is a call of the
    /// kernel. With `fast`, [`try_acquire`](Self::try_acquire) and [`acquire`](Self::acquire) of one permit read it once
    /// for 4 permits at a burst of 64, for 62 at 1000, and for 256 from 4096 on; the others cost one atomic step on every
    /// machine. Requests for several permits always read it.
    ///
    /// Permits count as granted at the next look at the clock, later than they were. So never are more granted than without
    /// `fast`, and up to 1/16 of the burst may be missing, once, after an idle time. With a burst below 16 nothing changes.
    /// Leave it off for a small burst, and where each permit must be there at the nanosecond at which it is earned.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::RateLimiter;
    ///
    /// let limiter = RateLimiter::per_second(1000).fast();
    /// let granted = (0..2000).filter(|_| limiter.try_acquire().is_ok()).count();
    /// assert!(granted >= 1000);
    /// ```
    #[must_use]
    pub const fn fast(mut self) -> Self {
        self.config.fast = true;
        self
    }

    /// Sets the clock that requests read while nobody waits: tokio's unless set, or the processor's counter.
    ///
    /// [`Clock::Cpu`] has what the counter costs, and what it does not do: it does not obey paused time. It is for a small
    /// burst, or for permits that must be there when they are earned, on a machine where tokio's clock takes long to read.
    /// With a burst of 64 and more, [`fast`](Self::fast) saves more, and leaves little to this.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{Clock, RateLimiter};
    ///
    /// let limiter = RateLimiter::per_second(100).burst(10).clock(Clock::Cpu);
    /// assert_eq!((0..20).filter(|_| limiter.try_acquire().is_ok()).count(), 10);
    /// ```
    #[cfg(feature = "quanta")]
    #[must_use]
    pub const fn clock(self, clock: Clock) -> Self {
        self.with_cpu(matches!(clock, Clock::Cpu))
    }

    pub(crate) const fn with_cpu(mut self, cpu: bool) -> Self {
        self.config.cpu = cpu;
        self
    }

    /// Grants more permits than the burst at once, when the bucket is full; the excess is earned afterwards, before anything
    /// else is granted.
    ///
    /// Without it such a request is denied, since there are never as many permits at once.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::RateLimiter;
    /// use tokio::time::{Duration, Instant};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), evenkeel_limit::Denied> {
    /// let bytes = RateLimiter::per_second(1000).burst(100).oversize_as_debt();
    /// let start = Instant::now();
    /// bytes.acquire_many(5000).await?;
    /// assert_eq!(start.elapsed(), Duration::ZERO);
    /// bytes.acquire_many(100).await?;
    /// assert_eq!(start.elapsed(), Duration::from_secs(5));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub const fn oversize_as_debt(mut self) -> Self {
        self.config.debt = true;
        self
    }

    /// Sets the maximum number of waiters; further requests fail with [`QueueFull`](crate::Reason::QueueFull).
    ///
    /// [`acquire`](Self::acquire) waits all the same, since it returns no error, and counts as a waiter.
    ///
    /// # Panics
    ///
    /// If `waiters` is zero; in a `static` that is an error of the compiler. A caller that does not want to wait uses
    /// [`try_acquire`](Self::try_acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{RateLimiter, Reason};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let limiter = RateLimiter::per_second(10).start_empty().max_waiters(2);
    /// let all = tokio::join!(limiter.acquire_many(1), limiter.acquire_many(1), limiter.acquire_many(1));
    /// assert_eq!((all.0, all.1), (Ok(()), Ok(())));
    /// assert_eq!(all.2.unwrap_err().reason, Reason::QueueFull);
    /// # }
    /// ```
    #[must_use]
    #[track_caller]
    pub const fn max_waiters(mut self, waiters: usize) -> Self {
        assert!(waiters > 0, "a queue for zero waiters");
        self.config.max_waiters = waiters;
        self
    }

    /// Sets the longest pause that [`penalize`](Self::penalize) and [`set_pause`](Self::set_pause) make: a day unless set.
    ///
    /// A pause comes from outside, and a server that errs would stop its clients for as long as it says.
    ///
    /// # Panics
    ///
    /// If `pause` is zero; in a `static` that is an error of the compiler.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::RateLimiter;
    /// use std::time::Duration;
    ///
    /// let limiter = RateLimiter::per_second(10).max_pause(Duration::from_secs(600));
    /// limiter.penalize(Duration::from_secs(86_400 * 365));
    /// assert!(limiter.snapshot().paused_for <= Duration::from_secs(600));
    /// ```
    #[must_use]
    #[track_caller]
    pub const fn max_pause(mut self, pause: Duration) -> Self {
        assert!(!pause.is_zero(), "pauses of no time");
        self.config.max_pause = pause;
        self
    }

    /// Returns the limiter in its first use, with this counter.
    #[cfg(all(test, feature = "quanta"))]
    pub(crate) fn on(self, counter: Counter) -> Self {
        Self { core: OnceLock::from(Core::with_counter(self.rate, self.config, Some(counter))), ..self }
    }

    /// Returns the limiter without these tokens: it is full when it has earned them.
    pub(crate) fn missing(self, missing: Tokens) -> Self {
        self.core().change(|state| {
            if let Some(algorithm) = &mut state.algorithm {
                algorithm.spend_tokens(missing);
            }
        });
        self
    }

    /// Puts the limiter on the list of a family, and not into the registry by itself.
    #[cfg(feature = "inspect")]
    pub(crate) fn in_family(self, family: &Arc<Family>) -> Self {
        Self { family: Some(Arc::clone(family)), ..self }
    }

    /// Sets the text that stands for the key of a limiter of a family, if it has none.
    #[cfg(feature = "inspect")]
    pub(crate) fn set_label(&self, label: impl FnOnce() -> String) {
        let _first_use = self.core();
        if let Some(listing) = self.listing.get() {
            listing.set_label(label);
        }
    }

    // Each request passes here: without this, it depends on the units of code whether it is a call.
    #[inline]
    pub(crate) fn core(&self) -> &Arc<Core> {
        self.core.get_or_init(|| {
            let core = Core::new(self.rate, self.config);
            #[cfg(feature = "inspect")]
            let _ = self.listing.set(Listing::new(&core, self.family.clone()));
            core
        })
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RateLimiter").field(&self.snapshot()).finish()
    }
}
