//! A limit for each key.

use std::{
    borrow::Borrow,
    fmt,
    future::poll_fn,
    hash::{BuildHasher, Hash, RandomState},
    num::NonZero,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Poll, ready},
    thread::available_parallelism,
    time::Duration,
};

use tokio::{task::coop::poll_proceed, time::Instant};

use self::{
    key::{Given, Key, Missing, Plain, Shared, is_plain},
    key_count::Room,
    shard::{Call, Shard, Terms},
};
use crate::{
    error::Denied,
    rate::Rate,
    rate_limiter::RateLimiter,
    telemetry::{self, Kind},
};

pub(crate) use self::shard::{Else, Verdict};

mod coarse_clock;
mod key;
mod key_count;
mod shard;
mod table;

/// The fewest keys for which it is worth to have one more lock, and the most that one lock is for.
const KEYS_OF_A_SHARD: (usize, usize) = (1024, 8192);
/// The most locks.
const SHARDS: usize = 1024;
/// The most keys for which memory is allocated at the first use; for more of them it grows.
const AT_ONCE: usize = 1 << 20;
/// The most keys: a table counts in 32 bits.
const MOST: usize = u32::MAX as usize - 1;

/// A rate limit for each key: each client, tenant, host.
///
/// Every key has a bucket like that of a [`RateLimiter`], and its own queue.
///
/// - **Memory is bounded.** [`max_keys`](Self::max_keys) of 8 bytes need some 27 bytes each, which are allocated at the
///   first use; beyond a million keys, as they come. A key that somebody waits for has a limiter of its own beside that,
///   until it is forgotten. Keys that are no numbers, strings, addresses or bytes are stored in an [`Arc`] each.
/// - **No key is refused while there is room**, however keys are spread, and on any number of threads.
/// - **Only what is full is forgotten.** Such a bucket cannot be told from one that was never used. Each new key looks
///   at a few others, so that no call takes longer than the rest, and there is no task that cleans up.
/// - **An attack with many keys** gets one bucket more: when there are `max_keys`, and none of those that a new key looks
///   at is full, it shares the *overflow* with others like it, until there is room, and begins then with a bucket that is
///   full. Nothing is taken from those who are known. Keys are hashed with the keyed function of the standard library, so
///   that nobody can choose some that collide. Clients on IPv6 have as many addresses as they like: use
///   [`client_ip`](crate::client_ip()) as their key.
/// - **A change of the rate** takes no longer for a million keys than for one.
///
/// The keys are spread over several tables, each with its own lock. `Hash`, `Eq`, `ToOwned` and `Drop` of a key run
/// without it, and may do anything: log through a subscriber that uses the same `Keyed`, or panic. That takes nothing, but
/// for a key that is forgotten and panics in its `Drop`: by then the call has been decided.
/// Some types of the standard library are compared under it, as that is quicker: numbers, strings, addresses, bytes.
/// A bucket counts in parts, at least 2^46 for a whole burst: to the nanosecond, if that is earned within a day. What
/// is rounded does not add up.
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
    max_keys: usize,
    max_pause: Duration,
    hasher: RandomState,
    inner: OnceLock<Inner<K>>,
}

struct Inner<K> {
    tables: Tables<K>,
    room: Room,
    /// The table in which room was made last.
    swept: AtomicUsize,
    overflow: Arc<RateLimiter>,
}

/// Keys as they are stored; see [`key`].
enum Tables<K> {
    Plain(Shards<K>),
    Shared(Shards<Arc<K>>),
}

struct Shards<S>(Box<[Mutex<Shard<S>>]>);

impl<K: Hash + Eq> Keyed<K> {
    /// A limiter with this rate for each key, a burst of the number it is written with, and 100,000 keys.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self {
            rate,
            burst: None,
            max_keys: 100_000,
            max_pause: Duration::from_secs(24 * 60 * 60),
            hasher: RandomState::new(),
            inner: OnceLock::new(),
        }
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

    /// Sets how many permits a key can have at once, and so the largest request. Counts until the first use.
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

    /// Sets how many keys have a bucket of their own at most. Counts until the first use.
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

    /// Sets the longest [pause](Self::penalize) of a key: a day unless set. Counts until the first use.
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
    /// Those of [`try_acquire_many`](Self::try_acquire_many).
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
    /// come back; [`NeverFits`](crate::Reason::NeverFits) if `permits` is more than the burst.
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
        match self.take(key, permits, Else::Refuse) {
            Verdict::Granted => Ok(()),
            Verdict::Denied(denied) => Err(denied),
            Verdict::Ask(limiter) => limiter.try_acquire_many(permits),
            Verdict::Overflow => self.overflow().try_acquire_many(permits),
        }
    }

    /// Waits for one permit of a key; first come, first served.
    ///
    /// # Panics
    ///
    /// When polled, if it has to wait outside of a tokio runtime with timers, or if the key was
    /// [given](Self::override_key) a limiter that is closed. Nothing is taken then.
    ///
    /// # Cancel safety
    ///
    /// That of [`RateLimiter::acquire`]: dropping the future leaves the limiter as if it had never come.
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
    pub async fn acquire<Q>(&self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        match self.ask(key, 1).await {
            Verdict::Granted => {}
            Verdict::Ask(limiter) => limiter.acquire().await,
            // One permit is never refused.
            Verdict::Denied(_) | Verdict::Overflow => self.overflow().acquire().await,
        }
    }

    /// Waits for `permits` of a key at once; first come, first served.
    ///
    /// # Errors
    ///
    /// [`NeverFits`](crate::Reason::NeverFits), at once, if `permits` is more than the burst; those of
    /// [`RateLimiter::acquire_many`] if the key was [given](Self::override_key) a limiter.
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
    pub async fn acquire_many<Q>(&self, key: &Q, permits: u32) -> Result<(), Denied>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        match self.ask(key, permits).await {
            Verdict::Granted => Ok(()),
            Verdict::Denied(denied) => Err(denied),
            Verdict::Ask(limiter) => limiter.acquire_many(permits).await,
            Verdict::Overflow => self.overflow().acquire_many(permits).await,
        }
    }

    /// Waits for one permit of a key, if its turn comes by `deadline`, and is refused at once if not.
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
    pub async fn acquire_by<Q>(&self, key: &Q, deadline: Instant) -> Result<(), Denied>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        match self.ask(key, 1).await {
            Verdict::Granted => Ok(()),
            Verdict::Denied(denied) => Err(denied),
            Verdict::Ask(limiter) => limiter.acquire_by(deadline).await,
            Verdict::Overflow => self.overflow().acquire_by(deadline).await,
        }
    }

    /// Changes the rate of all keys, for those who wait, too.
    ///
    /// The permits there are stay. It takes time in proportion to the number of keys that somebody waits for, and not
    /// to that of all. A key that was [given](Self::override_key) a limiter keeps it.
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

    /// Gives a key a limiter of its own, or another one; not counted among the [keys](Self::max_keys).
    ///
    /// Who waits for the key goes on as before.
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
        let (hash, limiter) = (self.hasher.hash_one(&key), Arc::new(limiter));
        let _replaced = match &self.inner().tables {
            Tables::Plain(shards) => shards.set_override(hash, &mut Given(Some(key)), &limiter),
            Tables::Shared(shards) => {
                let key = Arc::new(key);
                shards.set_override(hash, &mut Shared::given(&*key, Arc::clone(&key)), &limiter)
            }
        };
    }

    /// Takes the limiter back that a key was given; false if it has none.
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
        let hash = self.hasher.hash_one(key);
        let removed = match &self.inner().tables {
            Tables::Plain(shards) if is_plain::<Q>() => shards.remove_override(hash, &mut Plain(key)),
            Tables::Plain(shards) => shards.remove_override(hash, &mut Given(Some(key.to_owned()))),
            Tables::Shared(shards) => shards.remove_override(hash, &mut Shared::sought(key)),
        };
        removed.is_some()
    }

    /// How many keys have a bucket; those that are full again are still among them until they are forgotten.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner().room.keys()
    }

    /// Whether no key has a bucket.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The limiter of a key, with all that it can do: to reserve, to refund, to [pause](RateLimiter::penalize).
    ///
    /// It is the key's until it is full again and nobody has it any longer; then the key is forgotten, with all that
    /// was changed. For what is to stay there is [`override_key`](Self::override_key). It takes several times the
    /// memory of a bucket. If there is no room for the key it is the one that such keys share. Once it is
    /// [closed](RateLimiter::close), so is the key, and to [`acquire`](Self::acquire) it panics.
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
        match self.take(key, 0, Else::Own) {
            Verdict::Ask(limiter) => limiter,
            _ => Arc::clone(self.overflow()),
        }
    }

    /// Grants a key nothing for `pause`, as [`RateLimiter::penalize`] does: its server has said `Retry-After`.
    ///
    /// The key is not forgotten meanwhile. If there is no room for it, the pause is one of all the keys that share the
    /// overflow.
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

    /// Grants a key nothing for `pause` from now on, whatever pause was in force, as [`RateLimiter::set_pause`] does.
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

    /// Grants permits that are there, or gives the limiter to wait in.
    async fn ask<Q>(&self, key: &Q, permits: u32) -> Verdict
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        poll_fn(|cx| {
            // A loop over permits that are there has to let other tasks run.
            let proceed = ready!(poll_proceed(cx));
            let verdict = self.take(key, permits, Else::Wait);
            if matches!(verdict, Verdict::Granted) {
                proceed.made_progress();
            }
            Poll::Ready(verdict)
        })
        .await
    }

    /// Decides, or gives the limiter to ask.
    #[inline]
    pub(crate) fn take<Q>(&self, key: &Q, permits: u32, or: Else) -> Verdict
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        // Not under the lock: the processor then waits for both at once.
        let call = Call { now: Instant::now(), tag: tag(hash), permits, or };
        let inner = self.inner();
        let verdict = match &inner.tables {
            Tables::Plain(shards) if is_plain::<Q>() => inner.take(shards, hash, call, &mut Plain(key)),
            Tables::Plain(shards) => inner.take(shards, hash, call, &mut Given(Some(key.to_owned()))),
            Tables::Shared(shards) => inner.take(shards, hash, call, &mut Shared::new(key, Q::to_owned)),
        };
        if let Verdict::Denied(denied) = &verdict {
            telemetry::refused(Kind::Key, denied);
        }
        verdict
    }

    /// The limiter of all keys for which there is no room.
    pub(crate) fn overflow(&self) -> &Arc<RateLimiter> {
        &self.inner().overflow
    }

    fn inner(&self) -> &Inner<K> {
        self.inner.get_or_init(|| {
            let burst = self.burst.unwrap_or(self.rate.permits());
            let terms = Terms { rate: self.rate, burst, max_pause: self.max_pause };
            let tables = if is_plain::<K>() {
                Tables::Plain(Shards::new(terms, self.max_keys))
            } else {
                Tables::Shared(Shards::new(terms, self.max_keys))
            };
            Inner {
                tables,
                room: Room::new(self.max_keys.min(MOST)),
                swept: AtomicUsize::new(0),
                overflow: Arc::new(terms.limiter(self.rate)),
            }
        })
    }
}

impl<K> Inner<K> {
    #[inline(always)]
    fn take<S>(&self, shards: &Shards<S>, hash: u64, call: Call, key: &mut impl Key<S>) -> Verdict {
        let first = lock(shards.of(hash)).take(call, key, &self.room);
        // Most requests end here, without a look at the rarer ends.
        if matches!(first, Ok(Verdict::Granted)) {
            return Verdict::Granted;
        }
        self.take_rest(shards, hash, call, key, first)
    }

    /// The same after a first attempt that granted nothing.
    #[inline(never)]
    fn take_rest<S>(
        &self,
        shards: &Shards<S>,
        hash: u64,
        call: Call,
        key: &mut impl Key<S>,
        first: Result<Verdict, Missing>,
    ) -> Verdict {
        let verdict = first.unwrap_or_else(|missing| {
            key.provide(missing);
            until_known(key, |key| lock(shards.of(hash)).take(call, key, &self.room))
        });
        if matches!(verdict, Verdict::Overflow) { self.make_room(shards, hash, call, key) } else { verdict }
    }

    /// Takes permits for a key for which there is no room, if there is some for one that is full in another table.
    #[inline(never)]
    fn make_room<S>(&self, shards: &Shards<S>, hash: u64, call: Call, key: &mut impl Key<S>) -> Verdict {
        let next = self.swept.fetch_add(1, Relaxed) & (shards.0.len() - 1);
        let made = lock(&shards.0[next]).make_room(call.now, key, &self.room);
        match made {
            true => until_known(key, |key| lock(shards.of(hash)).take(call, key, &self.room)),
            false => Verdict::Overflow,
        }
    }
}

impl<S> Shards<S> {
    fn new(terms: Terms, max_keys: usize) -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        let (fewest, most) = KEYS_OF_A_SHARD;
        let worthwhile = (max_keys / fewest).clamp(1, 4 * cores);
        let count = worthwhile.max(max_keys / most).min(SHARDS).next_power_of_two();
        let share = if max_keys > AT_ONCE { 0 } else { max_keys / count };
        // As many more as there may be by chance.
        let keys = if count == 1 { share } else { share + 4 * share.isqrt() };
        Self((0..count).map(|_| Mutex::new(Shard::new(terms, keys))).collect())
    }

    /// By the lower half of the hash, of which the upper half is the tag.
    #[inline]
    fn of(&self, hash: u64) -> &Mutex<Shard<S>> {
        &self.0[hash as usize & (self.0.len() - 1)]
    }

    fn set_rate(&self, rate: Rate) {
        for shard in &self.0 {
            let limiters = lock(shard).set_rate(rate);
            limiters.iter().for_each(|limiter| limiter.set_rate(rate));
        }
    }

    fn set_override(
        &self,
        hash: u64,
        key: &mut impl Key<S>,
        limiter: &Arc<RateLimiter>,
    ) -> Option<Arc<RateLimiter>> {
        until_known(key, |key| lock(self.of(hash)).set_override(tag(hash), key, limiter))
    }

    fn remove_override(&self, hash: u64, key: &mut impl Key<S>) -> Option<Arc<RateLimiter>> {
        until_known(key, |key| lock(self.of(hash)).remove_override(tag(hash), key))
    }
}

/// Tries under a lock, and does without it what was missing, until nothing is.
#[inline(always)]
fn until_known<S, K: Key<S>, T>(key: &mut K, mut attempt: impl FnMut(&mut K) -> Result<T, Missing>) -> T {
    loop {
        match attempt(key) {
            Ok(result) => return result,
            Err(missing) => key.provide(missing),
        }
    }
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K> fmt::Debug for Keyed<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rate, max_keys, .. } = self;
        f.debug_struct("Keyed").field("rate", rate).field("max_keys", max_keys).finish_non_exhaustive()
    }
}
