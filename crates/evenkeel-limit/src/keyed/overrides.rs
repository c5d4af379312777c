//! Overrides and pauses of single keys, and the rate of all others.

use std::{borrow::Borrow, hash::Hash, sync::Arc, time::Duration};

use super::{
    Decision, Keyed,
    key::{OwnedKey, PlainKey, SharedKey, is_plain},
    shards::Tables,
};
use crate::{rate::Rate, rate_limiter::RateLimiter};

impl<K: Hash + Eq> Keyed<K> {
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
}
