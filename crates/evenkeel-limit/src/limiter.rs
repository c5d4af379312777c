//! The limiter.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    acquire::{Acquire, AcquireMany},
    clock::Tokens,
    denied::Denied,
    rate::Rate,
    reserve::Reserve,
    turnstile::{Terms, Turnstile},
};

/// Lets work through at a rate: first come, first served, each at the instant its permits are there.
///
/// It is a token bucket: permits are earned at the [`Rate`], up to the *burst*, and every request takes some.
/// In no stretch of time is more granted than the burst and what the rate gives in that time; no rounding
/// adds up, at any rate. It is full at its first use, or empty if built with
/// [`start_empty`](Self::start_empty).
///
/// Who has to wait does so in one queue. `n` waiters cost one timer and `n` wakes, whoever drops out takes
/// nothing, and nobody's progress depends on another's future being polled. A turn comes by the clock: a
/// timer that fires late (those of tokio by up to a millisecond) delays one grant, and not those after it.
///
/// Share it as a `static`, by reference, or in an [`Arc`]. It works across runtimes and outside of them; only
/// waiting needs a tokio runtime with timers. Time is that of tokio's clock, and can be paused.
///
/// # Why not just use [`tokio::time::interval`], or a [`Semaphore`](https://docs.rs/tokio/latest/tokio/sync/struct.Semaphore.html)?
///
/// An interval has one owner: behind a lock its ticks go to whoever polls, and a late tick is made up for in a
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
    terms: Terms,
    /// Made at the first use: a `static` can have neither an `Arc` nor the time.
    turnstile: OnceLock<Arc<Turnstile>>,
}

impl RateLimiter {
    /// A limiter with this rate, and a burst of the number it is written with: 100 per second starts with
    /// 100 at once.
    #[must_use]
    pub const fn new(rate: Rate) -> Self {
        Self::with_rate(Some(rate))
    }

    /// The same as `RateLimiter::new(Rate::per_second(permits))`.
    ///
    /// # Panics
    ///
    /// If `permits` is zero; in a `static` that is an error of the compiler.
    #[must_use]
    #[track_caller]
    pub const fn per_second(permits: u32) -> Self {
        Self::new(Rate::per_second(permits))
    }

    /// A limiter with a burst of 1: grants keep their distance, however long nothing was asked for.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{Rate, RateLimiter};
    /// use tokio::time::{Duration, Instant, sleep};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let limiter = RateLimiter::paced(Rate::per_second(10));
    /// sleep(Duration::from_secs(60)).await;
    ///
    /// let start = Instant::now();
    /// limiter.acquire().await;
    /// limiter.acquire().await;
    /// assert_eq!(start.elapsed(), Duration::from_millis(100));
    /// # }
    /// ```
    #[must_use]
    pub const fn paced(rate: Rate) -> Self {
        Self::new(rate).burst(1)
    }

    /// A limiter that grants the number of the rate at most in any stretch of its time, wherever that begins.
    ///
    /// A bucket grants up to its burst more than that, see [`burst`](Self::burst): `per(10, minute)` with its burst of 10
    /// may grant 20 in a minute, which a strict window does not allow. This is for a server that counts what came lately
    /// and forgives nothing. Permits that were granted at once come back at once, a window later.
    ///
    /// It counts when requests are *granted*, and the server when they *arrive*. If one takes longer on its way than the
    /// next ones do, more than the number arrive within the time. So make the time as much longer as the way differs: the
    /// server's window and the jitter, for example `Rate::per(10, Duration::from_millis(60_250))` for ten a minute and
    /// a way of 50 to 300 ms.
    ///
    /// The burst is the number: who sets one sets the other, and [`set_rate`](Self::set_rate) with it, unless a burst
    /// was set. [`fast`](Self::fast) and [`oversize_as_debt`](Self::oversize_as_debt) change nothing. Each grant is
    /// remembered as long as it counts, up to some 2000 of them; of more, those within 1/1000 of the time count as if
    /// they were the last. Every request takes a lock. Behind requests of different sizes it takes time in proportion
    /// to how many wait to say when a turn comes.
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
    pub const fn sliding(rate: Rate) -> Self {
        let mut limiter = Self::new(rate);
        limiter.terms.sliding = true;
        limiter
    }

    /// A limiter that grants everything at once.
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
    pub const fn unlimited() -> Self {
        Self::with_rate(None)
    }

    const fn with_rate(rate: Option<Rate>) -> Self {
        let terms = Terms {
            burst: None,
            start_empty: false,
            sliding: false,
            fast: false,
            debt: false,
            max_waiters: usize::MAX,
            max_pause: Duration::from_secs(24 * 60 * 60),
        };
        Self { rate, terms, turnstile: OnceLock::new() }
    }

    /// Sets how many permits there can be at once, and so the largest request. Counts until the first use.
    ///
    /// # Panics
    ///
    /// If `permits` is zero; in a `static` that is an error of the compiler.
    #[must_use]
    #[track_caller]
    pub const fn burst(mut self, permits: u32) -> Self {
        assert!(permits > 0, "a burst of zero permits");
        self.terms.burst = Some(permits);
        self
    }

    /// Starts without permits: they are earned from the first use on. Counts until the first use.
    #[must_use]
    pub const fn start_empty(mut self) -> Self {
        self.terms.start_empty = true;
        self
    }

    /// Looks at the clock once for several permits, up to 1/16 of the burst and 32. Counts until the first use.
    ///
    /// [`try_acquire`](Self::try_acquire) and [`acquire`](Self::acquire) take about a quarter of the time then. They
    /// are reckoned as granted at the next look at the clock, later than they were: never is more granted than
    /// without it, and up to 1/16 of the burst may be missing, once, after a time in which nothing was asked for. With
    /// a burst below 16 nothing changes.
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
        self.terms.fast = true;
        self
    }

    /// Grants more permits than the burst at once, when the bucket is full; what they exceed it by is earned
    /// afterwards, before anything else is granted. Counts until the first use.
    ///
    /// Without it such a request is refused, for there are never so many permits at once.
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
        self.terms.debt = true;
        self
    }

    /// Lets so many wait at once; more are refused with [`QueueFull`](crate::Reason::QueueFull). Counts until the
    /// first use.
    ///
    /// [`acquire`](Self::acquire) waits all the same, as it cannot be refused, and counts as one who waits.
    ///
    /// # Panics
    ///
    /// If `waiters` is zero; in a `static` that is an error of the compiler. Who does not want to wait uses
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
        self.terms.max_waiters = waiters;
        self
    }

    /// Sets the longest pause that [`penalize`](Self::penalize) and [`set_pause`](Self::set_pause) make: a day unless
    /// set. Counts until the first use.
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
        self.terms.max_pause = pause;
        self
    }

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

    /// Waits for `permits` that can be given back, or corrected when the cost is known.
    ///
    /// It waits as [`acquire_many`](Self::acquire_many) does. What it gives can be
    /// [committed](crate::Reservation::commit) or [settled](crate::Reservation::settle); if it is dropped the
    /// permits go back.
    ///
    /// # Errors
    ///
    /// Those of [`acquire_many`](Self::acquire_many).
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
    /// use evenkeel_limit::RateLimiter;
    ///
    /// # async fn ask(_prompt: &str) -> u32 { 700 }
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), evenkeel_limit::Denied> {
    /// let tokens = RateLimiter::per_second(1000);
    /// let reservation = tokens.reserve(500).await?; // an estimate; dropped, it would go back
    /// let used = ask("how many tokens is this?").await;
    /// reservation.settle(used);
    /// assert_eq!(tokens.snapshot().available, 300);
    /// # Ok(())
    /// # }
    /// ```
    pub fn reserve(&self, permits: u32) -> Reserve<'_> {
        Reserve::new(self, permits)
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
        self.turnstile().try_acquire(permits)
    }

    /// The same, full when it has earned so much.
    pub(crate) fn missing(self, missing: Tokens) -> Self {
        self.turnstile().spend(missing);
        self
    }

    /// How long one who asks for so many now waits.
    pub(crate) fn wait(&self, permits: u32) -> Duration {
        self.turnstile().wait(permits)
    }

    /// Whether nobody waits, and it is as good as a new one. Nobody is served, so that a lock may be held.
    pub(crate) fn is_unused(&self) -> bool {
        self.turnstile().is_unused()
    }

    pub(crate) fn turnstile(&self) -> &Arc<Turnstile> {
        self.turnstile.get_or_init(|| Turnstile::new(self.rate, self.terms))
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RateLimiter").field(&self.snapshot()).finish()
    }
}
