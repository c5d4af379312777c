//! A concurrency limit for each key.
//!
//! # How it works
//!
//! The [table](table) has an entry for each key that is in use: a [`ConcurrencyLimiter`], and the number of its users. A user
//! is a request or a permit. The last one takes the entry out, so an entry without users does not exist, and a new one
//! begins with all permits. Waiting and the order of the queue are those of the [`ConcurrencyLimiter`], without the lock of
//! the table.
//!
//! Permits and futures share the table by an [`Arc`], so that they can move to any task.

use std::{
    borrow::Borrow,
    fmt,
    hash::Hash,
    sync::{Arc, OnceLock},
};

use self::table::{SharedTable, User};
pub use self::{acquire::AcquireKeyPermit, permit::KeyPermit};
use crate::{concurrency::ConcurrencyLimiter, error::Denied};

mod acquire;
mod permit;
mod table;

/// Limits how much runs at the same time for each key: for each host, client or tenant; first come, first served.
///
/// At most `limit` [permits](KeyPermit) of a key exist at once. Keys do not wait for each other.
///
/// **A key costs memory only while it is in use**: while somebody holds one of its permits or waits for one. The last one to
/// go takes the key along. So there is nothing to configure, nothing to clean up, and no number of keys at which it
/// refuses any. A key of 8 bytes takes about 630 bytes while it is in use, and less than 2 KiB with the feature `inspect`,
/// whose list of objects keeps the room for as many as there ever were at once.
///
/// `Hash`, `Eq`, `ToOwned` and `Drop` of a key run without a lock, and may do anything: use the same limits, or panic. A
/// panic takes no permits. Keys are hashed with the keyed function of the standard library, so that an attacker cannot
/// choose keys that collide.
///
/// Share it as a `static`, by reference, or in an [`Arc`]. Permits and futures have no lifetime, and can move to other tasks.
///
/// For a rate of each key there is [`Keyed`](crate::Keyed). Where a common [`ConcurrencyLimiter`] bounds all keys together,
/// acquire the permit of the key first, and the common one then: the other way round one slow key holds all common permits
/// while it waits for its own.
///
/// # Why not just use a map of [`Semaphore`](https://docs.rs/tokio/latest/tokio/sync/struct.Semaphore.html)s?
///
/// Do, if the keys are known before. A map of the keys that ever came grows, and an entry that is taken out while somebody is
/// about to use it lets more run than the limit.
///
/// # Examples
///
/// ```
/// use evenkeel_limit::KeyedConcurrency;
/// use tokio::time::{Duration, Instant, sleep};
///
/// static PER_HOST: KeyedConcurrency<String> = KeyedConcurrency::new(2);
///
/// async fn call(host: &str) -> Result<(), evenkeel_limit::Denied> {
///     let _permit = PER_HOST.acquire(host).await?;
///     sleep(Duration::from_millis(10)).await;
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), evenkeel_limit::Denied> {
/// let start = Instant::now();
/// tokio::try_join!(call("a.example"), call("a.example"), call("a.example"), call("b.example"))?;
/// assert_eq!(start.elapsed(), Duration::from_millis(20));
/// assert_eq!(PER_HOST.len(), 0); // no key is in use
/// # Ok(())
/// # }
/// ```
pub struct KeyedConcurrency<K> {
    limit: u32,
    name: Option<&'static str>,
    table: OnceLock<Arc<SharedTable<K>>>,
}

impl<K> KeyedConcurrency<K> {
    /// Creates limits of this many permits at the same time for each key.
    ///
    /// # Panics
    ///
    /// If `limit` is zero; in a `static` that is an error of the compiler.
    #[must_use]
    #[track_caller]
    pub const fn new(limit: u32) -> Self {
        assert!(limit > 0, "a limit of zero permits");
        Self { limit, name: None, table: OnceLock::new() }
    }

    /// Names the limiters of the keys for the dumps of evenkeel-inspect, which then tell who holds their permits. Without the
    /// feature `inspect` the name is dropped.
    ///
    /// Dumps do not show the keys. The name costs what [that of a limiter](ConcurrencyLimiter::named) does.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::KeyedConcurrency;
    ///
    /// static PER_HOST: KeyedConcurrency<String> = KeyedConcurrency::new(4).named("per host");
    /// assert!(PER_HOST.try_acquire("a.example").is_ok());
    /// ```
    #[must_use]
    pub const fn named(mut self, name: &'static str) -> Self {
        self.name = Some(name);
        self
    }

    /// Returns the number of keys in use: those with a permit that is held, or a future that waits for one.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::KeyedConcurrency;
    ///
    /// let tenants: KeyedConcurrency<u64> = KeyedConcurrency::new(2);
    /// let permits = [tenants.try_acquire(&7)?, tenants.try_acquire(&7)?, tenants.try_acquire(&8)?];
    /// assert_eq!(tenants.len(), 2);
    /// drop(permits);
    /// assert_eq!(tenants.len(), 0);
    /// # Ok::<(), evenkeel_limit::Denied>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.get().map_or(0, |table| table.len())
    }

    /// Returns whether no key is in use.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Hash + Eq> KeyedConcurrency<K> {
    /// Waits for a permit of a key.
    ///
    /// Permits of a key are granted in the order in which the futures were first polled. The key is in use from this call
    /// on, until the future is dropped or denied, or its permit goes back. [`by`](AcquireKeyPermit::by) sets a deadline.
    ///
    /// # Errors
    ///
    /// [`Deadline`](crate::Reason::Deadline) alone, if it has [one](AcquireKeyPermit::by).
    ///
    /// # Panics
    ///
    /// If `Hash`, `Eq` or `ToOwned` of the key does. Nothing is taken then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the key as if it had never been asked for: the waiters behind it move up, a permit that was
    /// granted and not observed yet goes to the next one, and the key is forgotten if nobody else uses it.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::KeyedConcurrency;
    ///
    /// static PER_HOST: KeyedConcurrency<String> = KeyedConcurrency::new(2);
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), evenkeel_limit::Denied> {
    /// let permit = PER_HOST.acquire("a.example").await?;
    /// tokio::spawn(async move {
    ///     // the call
    ///     drop(permit);
    /// })
    /// .await
    /// .unwrap();
    /// assert!(PER_HOST.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn acquire<Q>(&self, key: &Q) -> AcquireKeyPermit<K>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let (user, limiter) = self.enter(key);
        AcquireKeyPermit::new(limiter.acquire_owned(1), user)
    }

    /// Takes a permit of a key now or not at all.
    ///
    /// # Errors
    ///
    /// [`Busy`](crate::Reason::Busy) if all permits of the key are held, or others wait for them.
    ///
    /// # Panics
    ///
    /// If `Hash`, `Eq` or `ToOwned` of the key does. Nothing is taken then.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{KeyedConcurrency, Reason};
    ///
    /// let tenants: KeyedConcurrency<u64> = KeyedConcurrency::new(1);
    /// let permit = tenants.try_acquire(&7)?;
    /// assert_eq!(tenants.try_acquire(&7).unwrap_err().reason, Reason::Busy);
    /// assert!(tenants.try_acquire(&8).is_ok());
    /// # Ok::<(), evenkeel_limit::Denied>(())
    /// ```
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn try_acquire<Q>(&self, key: &Q) -> Result<KeyPermit<K>, Denied>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let (user, limiter) = self.enter(key);
        Ok(KeyPermit::new(limiter.try_acquire_owned(1)?, Some(user)))
    }

    /// Uses the limiter of a key, which is made if the key is not in use.
    #[cfg_attr(feature = "inspect", track_caller)]
    fn enter<Q>(&self, key: &Q) -> (User<K>, Arc<ConcurrencyLimiter>)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let table = self.table.get_or_init(|| Arc::new(SharedTable::new()));
        let hash = table.hash(key);
        match table.find(hash, key, 0) {
            Ok(found) => found,
            Err(from) => {
                // Made here, without the lock, and for the place of the caller.
                let limiter = ConcurrencyLimiter::new(self.limit);
                let limiter = match self.name {
                    Some(name) => limiter.named(name),
                    None => limiter,
                };
                table.find_or_insert(hash, key, from, Arc::new(limiter))
            }
        }
    }
}

impl<K> fmt::Debug for KeyedConcurrency<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("KeyedConcurrency");
        debug.field("limit", &self.limit).field("len", &self.len()).finish_non_exhaustive()
    }
}
