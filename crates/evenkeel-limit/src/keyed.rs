//! A rate limiter for each key.
//!
//! # How it works
//!
//! The hash of a key selects one of several [shards](shards), each a table of buckets behind a lock of its own. One word is the
//! bucket of a key. A key gets a [`RateLimiter`] of its own when a request has to wait ([`Decision::Limiter`]); the waiting
//! itself happens in that limiter, without the lock of the shard.
//!
//! The keys of all shards share one count. A new key that finds no room in its shard makes some in another one, and
//! shares the overflow limiter if there is none either.
//!
//! Foreign code of keys never runs under a lock: [`key`] says how lookups do without it.

use std::{
    borrow::Borrow,
    fmt,
    future::{Future, poll_fn},
    hash::Hash,
    sync::{Arc, OnceLock},
    task::{Poll, ready},
    time::Duration,
};

use tokio::{task::coop::poll_proceed, time::Instant};

use self::{
    hash::KeyHash,
    key::{OwnedKey, PlainKey, SharedKey, is_plain},
    shard::{Config, Request},
    shards::{Inner, Tables, tag},
};
#[cfg(feature = "quanta")]
use crate::clock::Clock;
#[cfg(feature = "inspect")]
use crate::rate_limiter::inspect::Family;
use crate::{
    clock::Counter,
    error::Denied,
    rate::Rate,
    rate_limiter::RateLimiter,
    sync::{
        edges::{CallPlace, Title},
        entry::Mode,
    },
    telemetry::{self, Kind},
};

pub(crate) use self::shard::Decision;

mod coarse_clock;
mod hash;
mod key;
mod key_count;
mod shard;
mod shards;
mod table;
mod word;

/// A rate limiter for each key: for each client, tenant or host.
///
/// Every key has a bucket like that of a [`RateLimiter`], and its own queue.
///
/// - **Memory is bounded.** [`max_keys`](Self::max_keys) of 8 bytes need about 27 bytes each, which are allocated at the
///   first use; beyond a million keys, when they are added. A key with waiters has a limiter of its own as well, until the
///   key is forgotten. Keys other than numbers, strings, addresses and bytes are stored in an [`Arc`] each.
/// - **No key is refused while there is room**, for every distribution of keys, on any number of threads.
/// - **Only full buckets are forgotten.** A full bucket equals one that was never used. Each new key looks at a few others,
///   so that no call takes longer than the rest, and there is no clean-up task.
/// - **An attack with many keys** gets one more bucket. When there are `max_keys`, and none of the buckets that a new key
///   looks at is full, the key shares the *overflow* with others like it until there is room; then it begins with a full
///   bucket. Known keys lose nothing. Keys are hashed with the keyed function of the standard library, so that an attacker
///   cannot choose keys that collide. Clients on IPv6 have any number of addresses: use
///   [`client_ip`](crate::client_ip()) as their key.
/// - **A change of the rate** takes no longer for a million keys than for one.
///
/// The keys are spread over several tables, each with its own lock. `Hash`, `Eq`, `ToOwned` and `Drop` of a key run
/// without it, and may do anything: log through a subscriber that uses the same `Keyed`, or panic. A panic takes no
/// permits, except in the `Drop` of a key that is forgotten: by then the call has been decided.
/// Some types of the standard library are compared under the lock, because that is quicker: numbers, strings, addresses,
/// bytes.
///
/// A bucket counts in parts, at least 2^46 for a whole burst: to the nanosecond, if that is earned within a day. Rounding
/// errors do not add up.
///
/// Share it by reference, in an [`Arc`], or as a `static` in a [`LazyLock`](std::sync::LazyLock).
///
/// # Examples
///
/// ```
/// use evenkeel_limit::Keyed;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let limiter: Keyed<String> = Keyed::per_second(10).burst(2).max_keys(50_000);
/// assert!(limiter.try_acquire("ann").is_ok());
/// assert!(limiter.try_acquire("ann").is_ok());
/// assert!(limiter.try_acquire("ann").is_err());
/// assert!(limiter.try_acquire("bob").is_ok());
/// limiter.acquire("ann").await; // in 100 ms
/// # }
/// ```
pub struct Keyed<K> {
    rate: Rate,
    burst: Option<u32>,
    fast: bool,
    cpu: bool,
    max_keys: usize,
    max_pause: Duration,
    title: Title,
    /// Writes a key as text, if dumps may show it.
    #[cfg(feature = "inspect")]
    show_key: Option<fn(&K) -> String>,
    hash: KeyHash,
    inner: OnceLock<Inner<K>>,
}

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
    /// The promise is that of [`RateLimiter::fast`], for each key: in no stretch of time are more granted than without
    /// `fast`, and up to 1/16 of the burst may be missing, once, after an idle time. With a burst below 16 nothing changes.
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

    /// Takes one permit of a key now or not at all.
    ///
    /// # Errors
    ///
    /// The errors of [`try_acquire_many`](Self::try_acquire_many).
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::Keyed;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let limiter: Keyed<u64> = Keyed::per_second(4).burst(1);
    /// assert!(limiter.try_acquire(&7).is_ok());
    /// let denied = limiter.try_acquire(&7).unwrap_err();
    /// assert_eq!(denied.retry_after, Some(Duration::from_millis(250)));
    /// # }
    /// ```
    pub fn try_acquire<Q>(&self, key: &Q) -> Result<(), Denied>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.try_acquire_many(key, 1)
    }

    /// Takes `permits` of a key now or none at all.
    ///
    /// # Errors
    ///
    /// [`Busy`](crate::Reason::Busy) if there are fewer or others wait for that key, with the time after which to
    /// try again; [`NeverFits`](crate::Reason::NeverFits) if `permits` is more than the burst.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{Keyed, Reason};
    ///
    /// let limiter: Keyed<u64> = Keyed::per_second(10);
    /// assert!(limiter.try_acquire_many(&7, 10).is_ok());
    /// assert_eq!(limiter.try_acquire_many(&7, 11).unwrap_err().reason, Reason::NeverFits);
    /// ```
    pub fn try_acquire_many<Q>(&self, key: &Q, permits: u32) -> Result<(), Denied>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        match self.decide(key, permits, Some(Mode::Try)) {
            Decision::Granted => Ok(()),
            Decision::Denied(denied) => Err(denied),
            Decision::Limiter(limiter) => limiter.try_acquire_many(permits),
        }
    }

    /// Waits for one permit of a key; first come, first served.
    ///
    /// # Panics
    ///
    /// When polled, if it has to wait outside of a tokio runtime with timers, or if the key has an
    /// [override](Self::override_key) that is closed. Nothing is taken then.
    ///
    /// # Cancel safety
    ///
    /// That of [`RateLimiter::acquire`]: dropping the future leaves the limiter as if it had never been polled.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::Keyed;
    /// use tokio::time::{Duration, Instant};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let limiter: Keyed<u64> = Keyed::per_second(10).burst(1);
    /// let start = Instant::now();
    /// tokio::join!(limiter.acquire(&1), limiter.acquire(&2), limiter.acquire(&1));
    /// assert_eq!(start.elapsed(), Duration::from_millis(100));
    /// # }
    /// ```
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn acquire<Q>(&self, key: &Q) -> impl Future<Output = ()>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let call = CallPlace::here();
        async move {
            match self.enter(key, 1).await {
                Decision::Granted => {}
                Decision::Denied(_) => unreachable!("one permit is never more than the burst"),
                Decision::Limiter(limiter) => limiter.acquire_from(call).await,
            }
        }
    }

    /// Waits for `permits` of a key at once; first come, first served.
    ///
    /// # Errors
    ///
    /// [`NeverFits`](crate::Reason::NeverFits), at once, if `permits` is more than the burst; those of
    /// [`RateLimiter::acquire_many`] if the key has an [override](Self::override_key).
    ///
    /// # Panics
    ///
    /// When polled, if it has to wait outside of a tokio runtime with timers. Nothing is taken then.
    ///
    /// # Cancel safety
    ///
    /// That of [`RateLimiter::acquire`].
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::Keyed;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let limiter: Keyed<u64> = Keyed::per_second(10);
    /// assert!(limiter.acquire_many(&7, 10).await.is_ok());
    /// assert!(limiter.acquire_many(&7, 11).await.is_err());
    /// # }
    /// ```
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn acquire_many<Q>(&self, key: &Q, permits: u32) -> impl Future<Output = Result<(), Denied>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let call = CallPlace::here();
        async move {
            match self.enter(key, permits).await {
                Decision::Granted => Ok(()),
                Decision::Denied(denied) => Err(denied),
                Decision::Limiter(limiter) => limiter.acquire_many_from(permits, call).await,
            }
        }
    }

    /// Waits for one permit of a key, or fails at once if it is not available by `deadline`.
    ///
    /// # Errors
    ///
    /// [`Deadline`](crate::Reason::Deadline) if the permit is available later, and those of
    /// [`acquire_many`](Self::acquire_many).
    ///
    /// # Panics
    ///
    /// When polled, if it has to wait outside of a tokio runtime with timers. Nothing is taken then.
    ///
    /// # Cancel safety
    ///
    /// That of [`RateLimiter::acquire`].
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{Keyed, Reason};
    /// use tokio::time::Instant;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let limiter: Keyed<u64> = Keyed::per_second(1);
    /// assert!(limiter.acquire_by(&7, Instant::now()).await.is_ok());
    /// assert_eq!(limiter.acquire_by(&7, Instant::now()).await.unwrap_err().reason, Reason::Deadline);
    /// # }
    /// ```
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn acquire_by<Q>(&self, key: &Q, deadline: Instant) -> impl Future<Output = Result<(), Denied>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let call = CallPlace::here();
        async move {
            match self.enter(key, 1).await {
                Decision::Granted => Ok(()),
                Decision::Denied(denied) => Err(denied),
                Decision::Limiter(limiter) => limiter.acquire_from(call).by(deadline).await,
            }
        }
    }

    /// Changes the rate of all keys, for waiters, too.
    ///
    /// Permits that are available stay. It takes time in proportion to the number of keys with waiters, and not to that of
    /// all. A key with an [override](Self::override_key) keeps it.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{Keyed, Rate};
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let limiter: Keyed<u64> = Keyed::per_second(1);
    /// limiter.try_acquire(&7).unwrap();
    /// limiter.set_rate(Rate::per_second(10));
    /// let denied = limiter.try_acquire(&7).unwrap_err();
    /// assert_eq!(denied.retry_after, Some(Duration::from_millis(100)));
    /// # }
    /// ```
    pub fn set_rate(&self, rate: Rate) {
        let inner = self.inner();
        match &inner.tables {
            Tables::Plain(shards) => shards.set_rate(rate),
            Tables::Shared(shards) => shards.set_rate(rate),
        }
        inner.overflow.set_rate(rate);
    }

    /// Sets or replaces the override of a key: a limiter of its own, which does not count among the
    /// [keys](Self::max_keys).
    ///
    /// Requests that wait for the key already go on as before.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{Keyed, RateLimiter};
    ///
    /// let limiter: Keyed<String> = Keyed::per_second(1);
    /// limiter.override_key("ann".to_owned(), RateLimiter::unlimited());
    /// assert!((0..1000).all(|_| limiter.try_acquire("ann").is_ok()));
    /// ```
    pub fn override_key(&self, key: K, limiter: RateLimiter) {
        let (hash, limiter) = (self.hash.of(&key), Arc::new(limiter));
        let _replaced = match &self.inner().tables {
            Tables::Plain(shards) => shards.set_override(hash, &mut OwnedKey(Some(key)), &limiter),
            Tables::Shared(shards) => {
                let key = Arc::new(key);
                shards.set_override(hash, &mut SharedKey::owned(&*key, Arc::clone(&key)), &limiter)
            }
        };
    }

    /// Removes the override of a key; returns whether there was one.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{Keyed, RateLimiter};
    ///
    /// let limiter: Keyed<u64> = Keyed::per_second(1);
    /// limiter.override_key(7, RateLimiter::unlimited());
    /// assert!(limiter.remove_override(&7));
    /// assert!(!limiter.remove_override(&7));
    /// ```
    pub fn remove_override<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.hash.of(key);
        let removed = match &self.inner().tables {
            Tables::Plain(shards) if is_plain::<Q>() => shards.remove_override(hash, &mut PlainKey(key)),
            Tables::Plain(shards) => shards.remove_override(hash, &mut OwnedKey(Some(key.to_owned()))),
            Tables::Shared(shards) => shards.remove_override(hash, &mut SharedKey::stored(key)),
        };
        removed.is_some()
    }

    /// The number of keys with a bucket, including full ones that have not been forgotten yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner().count.get()
    }

    /// Whether no key has a bucket.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the limiter of a key, with all its methods: to reserve, to refund, to [pause](RateLimiter::penalize).
    ///
    /// It belongs to the key until it is full again and its handles are dropped; then the key is forgotten, with all
    /// changes of the limiter. For lasting changes there is [`override_key`](Self::override_key). It takes several times
    /// the memory of a bucket. If there is no room for the key, this is the limiter that such keys share. When it is
    /// [closed](RateLimiter::close), so is the key, and [`acquire`](Self::acquire) of the key panics.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::Keyed;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let hosts: Keyed<String> = Keyed::per_second(10);
    /// hosts.limiter("slow.example").penalize(Duration::from_secs(30)); // it has said `Retry-After: 30`
    /// assert!(hosts.try_acquire("slow.example").is_err());
    /// assert!(hosts.try_acquire("fast.example").is_ok());
    /// # }
    /// ```
    pub fn limiter<Q>(&self, key: &Q) -> Arc<RateLimiter>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        match self.decide(key, 0, None) {
            Decision::Limiter(limiter) => limiter,
            Decision::Granted | Decision::Denied(_) => unreachable!("a request for the limiter itself"),
        }
    }

    /// Pauses a key for `pause`, as [`RateLimiter::penalize`] does: its server has said `Retry-After`.
    ///
    /// The key is not forgotten meanwhile. If there is no room for it, all keys that share the overflow pause.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::Keyed;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let hosts: Keyed<String> = Keyed::per_second(10);
    /// hosts.penalize("slow.example", Duration::from_secs(30));
    /// assert!(hosts.try_acquire("slow.example").is_err());
    /// assert!(hosts.try_acquire("fast.example").is_ok());
    /// assert!(hosts.resume("slow.example"));
    /// assert!(hosts.try_acquire("slow.example").is_ok());
    /// # }
    /// ```
    pub fn penalize<Q>(&self, key: &Q, pause: Duration)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.limiter(key).penalize(pause);
    }

    /// Pauses a key for `pause` from now on, in place of any earlier pause, as [`RateLimiter::set_pause`] does.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::Keyed;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let hosts: Keyed<String> = Keyed::per_second(10);
    /// hosts.penalize("slow.example", Duration::from_secs(3600));
    /// hosts.set_pause("slow.example", Duration::from_secs(5)); // it has another opinion now
    /// let denied = hosts.try_acquire("slow.example").unwrap_err();
    /// assert_eq!(denied.retry_after, Some(Duration::from_secs(5)));
    /// # }
    /// ```
    pub fn set_pause<Q>(&self, key: &Q, pause: Duration)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.limiter(key).set_pause(pause);
    }

    /// Lifts the pause of a key, as [`RateLimiter::resume`] does; returns whether there was one.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::Keyed;
    /// use std::time::Duration;
    ///
    /// let hosts: Keyed<u64> = Keyed::per_second(10);
    /// hosts.penalize(&7, Duration::from_secs(3600));
    /// assert!(hosts.resume(&7) && hosts.try_acquire(&7).is_ok());
    /// ```
    pub fn resume<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.limiter(key).resume()
    }

    /// Takes permits that are available, or returns the limiter in which to wait.
    async fn enter<Q>(&self, key: &Q, permits: u32) -> Decision
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        poll_fn(|cx| {
            // A loop over permits that are available must let other tasks run.
            let proceed = ready!(poll_proceed(cx));
            let decision = self.decide(key, permits, Some(Mode::Wait));
            if matches!(decision, Decision::Granted) {
                proceed.made_progress();
            }
            Poll::Ready(decision)
        })
        .await
    }

    /// Decides a request; without a mode it asks for the limiter of the key.
    #[inline]
    pub(crate) fn decide<Q>(&self, key: &Q, permits: u32, mode: Option<Mode>) -> Decision
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.hash.of(key);
        let request = Request { tag: tag(hash), permits, mode };
        let inner = self.inner();
        let decision = match &inner.tables {
            Tables::Plain(shards) if is_plain::<Q>() => {
                inner.decide(shards, hash, request, self.fast, &mut PlainKey(key))
            }
            Tables::Plain(shards) => {
                inner.decide(shards, hash, request, self.fast, &mut OwnedKey(Some(key.to_owned())))
            }
            Tables::Shared(shards) => {
                inner.decide(shards, hash, request, self.fast, &mut SharedKey::borrowed(key, Q::to_owned))
            }
        };
        if let Decision::Denied(denied) = &decision {
            telemetry::refused(Kind::Key, denied);
        }
        #[cfg(feature = "inspect")]
        if let Decision::Limiter(limiter) = &decision {
            self.set_label(limiter, key);
        }
        decision
    }

    #[cfg(feature = "inspect")]
    fn set_label<Q>(&self, limiter: &Arc<RateLimiter>, key: &Q)
    where
        Q: ToOwned<Owned = K> + ?Sized,
    {
        if Arc::ptr_eq(limiter, &self.inner().overflow) {
            limiter.set_label(|| "keys beyond the maximum".to_owned());
        } else if let Some(show_key) = self.show_key {
            limiter.set_label(|| show_key(&key.to_owned()));
        }
    }

    fn inner(&self) -> &Inner<K> {
        self.inner.get_or_init(|| self.inner_with(Counter::if_asked(self.cpu)))
    }

    fn inner_with(&self, counter: Option<Counter>) -> Inner<K> {
        let burst = self.burst.unwrap_or(self.rate.permits());
        let config = Config {
            rate: self.rate,
            burst,
            fast: self.fast,
            cpu: self.cpu,
            max_pause: self.max_pause,
            #[cfg(feature = "inspect")]
            family: Family::new(self.title, burst),
        };
        Inner::new(config, self.max_keys, counter)
    }

    /// Returns the limiter in its first use, with this counter.
    #[cfg(all(test, feature = "quanta"))]
    pub(crate) fn on(self, counter: Counter) -> Self {
        Self { inner: OnceLock::from(self.inner_with(Some(counter))), ..self }
    }
}

impl<K> fmt::Debug for Keyed<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rate, max_keys, .. } = self;
        f.debug_struct("Keyed").field("rate", rate).field("max_keys", max_keys).finish_non_exhaustive()
    }
}
