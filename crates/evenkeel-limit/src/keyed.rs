//! A rate limiter for each key.
//!
//! # How it works
//!
//! The hash of a key selects one of several [shards](shards), each a table of buckets behind a lock of its own. One word is the
//! bucket of a key. A key gets a [`RateLimiter`](crate::RateLimiter) of its own when a request has to wait
//! ([`Decision::Limiter`]); the waiting itself happens in that limiter, without the lock of the shard.
//!
//! The keys of all shards share one count. A new key that finds no room in its shard makes some in another one, and
//! shares the overflow limiter if there is none either.
//!
//! Foreign code of keys never runs under a lock: [`key`] says how lookups do without it.

#[cfg(feature = "inspect")]
use std::sync::Arc;
use std::{
    borrow::Borrow,
    fmt,
    future::{Future, poll_fn},
    hash::Hash,
    sync::OnceLock,
    task::{Poll, ready},
    time::Duration,
};

use tokio::{task::coop::poll_proceed, time::Instant};

use self::{
    key::{OwnedKey, PlainKey, SharedKey, is_plain},
    shard::{Config, Request},
    shards::{Inner, Tables, tag},
};
#[cfg(feature = "inspect")]
use crate::rate_limiter::{RateLimiter, inspect::Family};
use crate::{
    clock::Counter,
    error::Denied,
    rate::Rate,
    sync::{
        edges::{CallPlace, Title},
        entry::Mode,
    },
    telemetry::{self, Kind},
};

pub(crate) use self::{hash::KeyHash, shard::Decision};

mod coarse_clock;
mod hash;
mod key;
mod key_count;
mod overrides;
mod settings;
mod shard;
mod shards;
mod table;
mod word;

/// A rate limiter for each key: for each client, tenant or host.
///
/// Every key has a bucket like that of a [`RateLimiter`](crate::RateLimiter), and its own queue.
///
/// - **Memory is bounded.** [`max_keys`](Self::max_keys) of 8 bytes need about 27 bytes each, which are allocated at the
///   first use; beyond a million keys, when they are added. A key with waiters has a limiter of its own as well, until the
///   key is forgotten. Keys other than numbers, strings, addresses and bytes are stored in an [`Arc`](std::sync::Arc) each.
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
/// Share it by reference, in an [`Arc`](std::sync::Arc), or as a `static` in a [`LazyLock`](std::sync::LazyLock).
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
    /// That of [`RateLimiter::acquire`](crate::RateLimiter::acquire): dropping the future leaves the limiter as if it
    /// had never been polled.
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
    /// [`RateLimiter::acquire_many`](crate::RateLimiter::acquire_many) if the key has an [override](Self::override_key).
    ///
    /// # Panics
    ///
    /// When polled, if it has to wait outside of a tokio runtime with timers. Nothing is taken then.
    ///
    /// # Cancel safety
    ///
    /// That of [`RateLimiter::acquire`](crate::RateLimiter::acquire).
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
    /// That of [`RateLimiter::acquire`](crate::RateLimiter::acquire).
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
