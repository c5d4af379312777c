//! Changes of a limiter that is in use: rate, burst, pauses, refunds and its end.

use std::time::Duration;

use super::RateLimiter;
use crate::{
    algorithm::{Algorithm, PauseMode},
    rate::Rate,
    snapshot::Snapshot,
    telemetry,
};

impl RateLimiter {
    /// Changes the rate, for waiters, too.
    ///
    /// The permits there are and the burst stay; from now on permits are earned at the new rate. A limiter without a limit
    /// gets one, as if it had been built with this rate.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{Rate, RateLimiter};
    /// use tokio::time::{Duration, Instant, sleep};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let limiter = RateLimiter::per_second(1).start_empty();
    /// let start = Instant::now();
    /// tokio::join!(limiter.acquire(), async {
    ///     sleep(Duration::from_millis(500)).await;
    ///     limiter.set_rate(Rate::per_second(10)); // half a permit is missing: 50 ms
    /// });
    /// assert_eq!(start.elapsed(), Duration::from_millis(550));
    /// # }
    /// ```
    pub fn set_rate(&self, rate: Rate) {
        self.core().change(|state| state.set_rate(rate));
    }

    /// Changes the most permits there can be at once, for waiters, too.
    ///
    /// The permits there are stay, as far as they fit: a larger burst fills up at the rate. A waiter that asks for more than
    /// the new burst fails with [`NeverFits`](crate::Reason::NeverFits).
    ///
    /// # Panics
    ///
    /// If `permits` is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::RateLimiter;
    ///
    /// let limiter = RateLimiter::per_second(1).burst(10);
    /// limiter.set_burst(100);
    /// assert_eq!(limiter.snapshot().available, 10);
    /// limiter.set_burst(5);
    /// assert_eq!(limiter.snapshot().available, 5);
    /// ```
    #[track_caller]
    pub fn set_burst(&self, permits: u32) {
        assert!(permits > 0, "a burst of zero permits");
        self.core().change(|state| state.set_burst(permits));
    }

    /// Puts permits back that were not used, up to the burst; waiters get them first.
    ///
    /// It does not know when they were granted: permits that a [sliding](Self::sliding) window has forgotten already cannot
    /// be put back. A [`Reservation`](crate::Reservation) knows.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::RateLimiter;
    ///
    /// let limiter = RateLimiter::per_second(1).burst(10);
    /// limiter.try_acquire_many(10)?;
    /// limiter.refund(4);
    /// assert_eq!(limiter.snapshot().available, 4);
    /// limiter.refund(1000);
    /// assert_eq!(limiter.snapshot().available, 10);
    /// # Ok::<(), evenkeel_limit::Denied>(())
    /// ```
    pub fn refund(&self, permits: u32) {
        self.core().with(|state| {
            if let Some(algorithm) = &mut state.algorithm {
                algorithm.refund(permits);
            }
        });
    }

    /// Grants nothing for `pause`, and starts again with one permit at most: the other side has said
    /// `Retry-After`.
    ///
    /// Of two pauses the one that ends later counts, so that a late answer does not shorten the pause of another; [`set_pause`](Self::set_pause) replaces it, and [`resume`](Self::resume) lifts it.
    /// [`set_rate`](Self::set_rate) does not shorten it. It lasts no longer than [`max_pause`](Self::max_pause), a day
    /// unless set. Waiters go on waiting, unless the turn is now after the deadline. A limiter without a limit does not
    /// pause.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::RateLimiter;
    /// use tokio::time::{Duration, Instant};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let limiter = RateLimiter::per_second(10);
    /// let start = Instant::now();
    /// limiter.penalize(Duration::from_secs(30));
    /// limiter.acquire().await;
    /// assert_eq!(start.elapsed(), Duration::from_secs(30));
    /// limiter.acquire().await;
    /// assert_eq!(start.elapsed(), Duration::from_millis(30_100));
    /// # }
    /// ```
    pub fn penalize(&self, pause: Duration) {
        self.pause(pause, PauseMode::KeepLonger);
    }

    /// Grants nothing for `pause` from now on, whatever pause was in force: the other side has corrected itself.
    ///
    /// It does the same as [`penalize`](Self::penalize), but a shorter pause replaces a longer one. It is for a single source
    /// that knows: one server, whose last word counts. A pause of zero [lifts](Self::resume) the one in force.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::RateLimiter;
    /// use tokio::time::{Duration, Instant};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let limiter = RateLimiter::per_second(10);
    /// let start = Instant::now();
    /// limiter.set_pause(Duration::from_secs(3600));
    /// limiter.set_pause(Duration::from_secs(5));
    /// assert_eq!(limiter.snapshot().paused_for, Duration::from_secs(5));
    /// limiter.acquire().await;
    /// assert_eq!(start.elapsed(), Duration::from_secs(5));
    /// # }
    /// ```
    pub fn set_pause(&self, pause: Duration) {
        match pause {
            Duration::ZERO => _ = self.resume(),
            pause => self.pause(pause, PauseMode::Replace),
        }
    }

    /// Lifts a pause, for waiters, too; returns whether there was one.
    ///
    /// The limiter goes on as if the pause had been set to end now: with one permit at most.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::RateLimiter;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let limiter = RateLimiter::per_second(10);
    /// limiter.penalize(Duration::from_secs(3600));
    /// assert!(limiter.try_acquire().is_err());
    /// assert!(limiter.resume());
    /// assert!(limiter.try_acquire().is_ok());
    /// assert!(!limiter.resume(), "there is none");
    /// # }
    /// ```
    pub fn resume(&self) -> bool {
        let was_paused = self.core().change(|state| {
            let algorithm = state.algorithm.as_mut().filter(|algorithm| !algorithm.paused_for().is_zero());
            algorithm.map(Algorithm::resume).is_some()
        });
        if was_paused {
            telemetry::resumed();
        }
        was_paused
    }

    /// Denies all waiters and all further requests with [`Closed`](crate::Reason::Closed), for good.
    ///
    /// [`acquire`](Self::acquire) panics instead, since it returns no error. Turns that have come are kept. It takes time in
    /// proportion to the number of waiters.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{RateLimiter, Reason};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let limiter = RateLimiter::per_second(1).start_empty();
    /// let (waited, ()) = tokio::join!(limiter.acquire_many(1), async { limiter.close() });
    /// assert_eq!(waited.unwrap_err().reason, Reason::Closed);
    /// assert_eq!(limiter.try_acquire().unwrap_err().reason, Reason::Closed);
    /// # }
    /// ```
    pub fn close(&self) {
        self.core().change(|state| state.closed = true);
    }

    /// Returns the numbers of the limiter now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.core().snapshot()
    }

    fn pause(&self, pause: Duration, mode: PauseMode) {
        let pause = self.core().change(|state| {
            let pause = pause.min(state.config.max_pause);
            if let Some(algorithm) = &mut state.algorithm {
                algorithm.pause(pause, mode);
            }
            pause
        });
        telemetry::paused(pause);
    }
}
