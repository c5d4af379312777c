//! How a keyed limiter is made, and its settings.

use std::{fmt, hash::Hash, sync::OnceLock, time::Duration};

use super::{Keyed, hash::KeyHash};
#[cfg(feature = "quanta")]
use crate::clock::Clock;
use crate::{
    rate::Rate,
    sync::edges::{CallPlace, Title},
};

impl<K: Hash + Eq> Keyed<K> {
    /// Creates a limiter with this rate for each key, a burst of the number in the rate, and at most 100,000 keys.
    #[must_use]
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn new(rate: Rate) -> Self {
        Self {
            rate,
            burst: None,
            fast: false,
            cpu: false,
            max_keys: 100_000,
            max_pause: Duration::from_secs(24 * 60 * 60),
            title: Title::new(CallPlace::here()),
            #[cfg(feature = "inspect")]
            show_key: None,
            hash: KeyHash::new(),
            inner: OnceLock::new(),
        }
    }

    /// Names the limiter for the dumps of evenkeel-inspect. Without the feature `inspect` the name is dropped.
    ///
    /// A dump has it as one resource, with the waiters of all keys. A key is a number there, as in `key #3`, unless the limiter
    /// may [show its keys](Self::show_keys).
    #[must_use]
    pub fn named(mut self, name: &'static str) -> Self {
        self.title = self.title.named(name);
        self
    }

    /// Shows keys with waiters in the dumps of evenkeel-inspect, by `Debug` and up to 64 characters.
    ///
    /// Leave it off for keys that are secrets, as tokens are. `Debug` runs once for a key that has to wait, in the task of
    /// the first waiter and without a lock. Without the feature `inspect` nothing changes.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::Keyed;
    /// use std::net::IpAddr;
    ///
    /// let clients: Keyed<IpAddr> = Keyed::per_second(10).named("clients").show_keys();
    /// # drop(clients);
    /// ```
    #[must_use]
    pub fn show_keys(mut self) -> Self
    where
        K: fmt::Debug,
    {
        #[cfg(feature = "inspect")]
        {
            self.show_key = Some(|key| format!("key {key:?}"));
        }
        #[cfg(not(feature = "inspect"))]
        let _ = &mut self;
        self
    }

    /// The same as `Keyed::new(Rate::per_second(permits))`.
    ///
    /// # Panics
    ///
    /// If `permits` is zero.
    #[must_use]
    #[track_caller]
    pub fn per_second(permits: u32) -> Self {
        Self::new(Rate::per_second(permits))
    }

    /// The same as `Keyed::new(Rate::per_minute(permits))`.
    ///
    /// # Panics
    ///
    /// If `permits` is zero.
    #[must_use]
    #[track_caller]
    pub fn per_minute(permits: u32) -> Self {
        Self::new(Rate::per_minute(permits))
    }

    /// The same as `Keyed::new(Rate::per_hour(permits))`.
    ///
    /// # Panics
    ///
    /// If `permits` is zero.
    #[must_use]
    #[track_caller]
    pub fn per_hour(permits: u32) -> Self {
        Self::new(Rate::per_hour(permits))
    }

    /// Sets the burst of each key: the most permits at once, and so the largest request. Must be called before the first
    /// use.
    ///
    /// # Panics
    ///
    /// If `permits` is zero.
    #[must_use]
    #[track_caller]
    pub fn burst(mut self, permits: u32) -> Self {
        assert!(permits > 0, "a burst of zero permits");
        self.burst = Some(permits);
        self
    }

    /// Looks at the clock once for several permits of a key, 1/16 of the burst and 256 at most: take it where the burst is
    /// 64 or more. Must be called before the first use.
    ///
    /// The promise is that of [`RateLimiter::fast`](crate::RateLimiter::fast), for each key: in no stretch of time are more
    /// granted than without `fast`, and up to 1/16 of the burst may be missing, once, after an idle time. With a burst below 16 nothing changes.
    /// Requests for several permits always read the clock, and so does one for which less than 1/16 of the burst is left.
    ///
    /// A bucket counts in parts of at least 2^37 for a whole burst: to the nanosecond, if that is earned within two minutes.
    /// A key that has used such permits is forgotten later, by the time in which 1/16 of the burst is earned.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::Keyed;
    ///
    /// let clients: Keyed<u64> = Keyed::per_second(1000).fast();
    /// let granted = (0..2000).filter(|_| clients.try_acquire(&7).is_ok()).count();
    /// assert!(granted >= 1000);
    /// ```
    #[must_use]
    pub fn fast(mut self) -> Self {
        self.fast = true;
        self
    }

    /// Sets the clock that requests read: tokio's unless set, or the processor's counter. Must be called before the first use.
    ///
    /// [`Clock::Cpu`] has what the counter costs, and what it does not do: it does not obey paused time.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{Clock, Keyed};
    ///
    /// let clients: Keyed<u64> = Keyed::per_second(10).clock(Clock::Cpu);
    /// assert_eq!((0..20).filter(|_| clients.try_acquire(&7).is_ok()).count(), 10);
    /// ```
    #[cfg(feature = "quanta")]
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.cpu = matches!(clock, Clock::Cpu);
        self
    }

    /// Sets the maximum number of keys with a bucket of their own. Must be called before the first use.
    ///
    /// # Panics
    ///
    /// If `keys` is zero.
    #[must_use]
    #[track_caller]
    pub fn max_keys(mut self, keys: usize) -> Self {
        assert!(keys > 0, "room for zero keys");
        self.max_keys = keys;
        self
    }

    /// Sets the longest [pause](Self::penalize) of a key: a day unless set. Must be called before the first use.
    ///
    /// # Panics
    ///
    /// If `pause` is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::Keyed;
    /// use std::time::Duration;
    ///
    /// let hosts: Keyed<u64> = Keyed::per_second(10).max_pause(Duration::from_secs(60));
    /// hosts.penalize(&7, Duration::from_secs(86_400 * 365));
    /// assert!(hosts.limiter(&7).snapshot().paused_for <= Duration::from_secs(60));
    /// ```
    #[must_use]
    #[track_caller]
    pub fn max_pause(mut self, pause: Duration) -> Self {
        assert!(!pause.is_zero(), "pauses of no time");
        self.max_pause = pause;
        self
    }
}
