//! One quota for several processes.
//!
//! Each process has a [`Distributed`] with the same key on the same [`Store`]. The permits are counted there, by one
//! clock, in whole numbers; each process hands out what it has taken.
//!
//! # What it promises
//!
//! - **One bucket.** In no stretch of time do all processes together take more from the store than the burst and what
//!   the rate gives in that time. What is *used* in it can be more by what was in hand at its beginning: a
//!   [lease](Distributed::lease) for each process, or what was taken for a request that is not complete, or gone. What
//!   nobody uses goes back after a second.
//! - **Nothing waits for a dead store** longer than the [time-out](Distributed::timeout), once: then all requests go by
//!   [`OnFailure`] at once, and the store is asked again after 50 ms, and twice that each time, up to a second. Requests
//!   under [`Closed`](OnFailure::Closed) that come at that time wait for the answer. The first call of a limit may take
//!   longer, if the store [has to connect](Store::first_timeout).
//! - **A mistake in the configuration is told at once**, under every policy: a right, a user or a password that is missing,
//!   a key that holds something else ([`Error::Misconfigured`]). The store is asked again as in an outage, so that a mistake
//!   that is mended needs no restart.
//! - **What an outage costs.** A store that has forgotten its buckets has full ones: that adds at most one burst. Under
//!   [`LocalShare`](OnFailure::LocalShare) any outage does, for the bucket fills while the shares are used; and a process
//!   that goes by its share while others reach the store adds that: in an outage that only some see, and at the end of
//!   one for as long as it lasted, or a second. A call that timed out may have taken permits that nobody gets: fewer
//!   are granted then, never more.
//! - **First come, first served** in each process, in an outage, too; between processes, whoever asks first when there
//!   are permits. Who asks for many collects them.
//! - **Dropping is safe.** The store is called by a task of the limit, not by who waits. Permits that were taken for a
//!   future that is gone go to the next one here, or back.
//! - **Clocks may jump.** When that of the store goes back the bucket is empty at worst, and fills from there; when it
//!   goes forward it is full at best.
//!
//! # Defaults
//!
//! | | |
//! |---|---|
//! | burst | the number of the rate |
//! | lease | 1: nothing is taken that nobody waits for. Those who wait at the same time share a call all the same |
//! | time-out | 100 ms for each call; for the first one of a limit 5 s with `RedisStore`, 2 s with a `ConnectionManager` |
//! | on failure | `Closed` |
//!
//! # What it does not do
//!
//! It does not wait in line across processes, and its rate does not change while it is in use: processes that disagree
//! about rate or burst, as during a deployment, share a bucket that earns at the rate of whoever asks: the time since it was
//! last used counts at the rate of the caller. One with a smaller burst gets nothing until it has been earned what the
//! others took beyond that. A key with the numbers in it is a bucket of its own.
//!
//! A bucket that is full earns nothing, and calls are a few milliseconds apart: with a burst of less than what is earned
//! in that time a part of the rate is lost.

mod client;
mod error;
mod memory;
mod outage;
mod quota;
#[cfg(feature = "redis")]
mod redis;
mod snapshot;
mod state;
mod store;

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

#[cfg(feature = "redis")]
pub use self::redis::RedisStore;
use self::{
    client::Desk,
    quota::Quota,
    state::{Patience, Terms},
    store::AnyStore,
};
pub use self::{
    error::Error,
    memory::MemoryStore,
    snapshot::Snapshot,
    store::{Store, Take, Taken},
};
use crate::rate::Rate;

/// A rate that several processes share.
///
/// It is a token bucket as [`RateLimiter`](crate::RateLimiter) is, kept in a [`Store`] under a key: full at the first
/// use of the key, in whatever process that is. Share one by reference or in an [`Arc`]. When it is dropped, what is
/// left of its lease is lost; [`close`](Self::close) gives it back. See [the module](self) for what it promises.
///
/// It calls the store in a task of the runtime where that is first needed, as long as it is, and ends it when it is
/// dropped. When that runtime ends those who wait in others go on with a task there, and one whose call was under way hears
/// that it was cut off; but they wait for one that is there and is not driven. A panic of the store is a failure as any
/// other. The task serves all callers, and so it carries the `tracing` span of none.
///
/// # Why not just use a [`RateLimiter`](crate::RateLimiter) in each process, with its part of the rate?
///
/// That needs no store, and cannot fail. But a process that is idle gives nothing to one that is busy, and the parts
/// change with the number of processes.
///
/// # Examples
///
#[cfg_attr(feature = "redis", doc = "```no_run")]
#[cfg_attr(not(feature = "redis"), doc = "```ignore")]
/// use evenkeel_limit::{Rate, distributed::{Distributed, OnFailure, RedisStore}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Connects when it is first used, so that the program starts without Redis, too.
/// let store = RedisStore::new(redis::Client::open("redis://127.0.0.1/")?);
/// let quota = Distributed::new(store, "limit:partner-api", Rate::per_second(1000))
///     .burst(200)
///     .lease(20)
///     .on_failure(OnFailure::LocalShare(4)); // of four processes
///
/// quota.acquire().await?;
/// # Ok(())
/// # }
/// ```
///
/// Without Redis:
///
/// ```
/// use evenkeel_limit::{Rate, distributed::{Distributed, MemoryStore}};
/// use tokio::time::{Duration, Instant};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), evenkeel_limit::distributed::Error> {
/// let quota = Distributed::new(MemoryStore::new(), "partner", Rate::per_second(100)).burst(20);
/// let start = Instant::now();
/// for _ in 0..120 {
///     quota.acquire().await?;
/// }
/// assert_eq!(start.elapsed(), Duration::from_secs(1)); // 20 at once, and 100 in a second
/// # Ok(())
/// # }
/// ```
pub struct Distributed {
    store: Arc<dyn AnyStore>,
    key: String,
    rate: Rate,
    burst: u32,
    terms: Terms,
    /// Made at the first use.
    desk: OnceLock<Arc<Desk>>,
}

/// What to do when the store does not answer.
///
/// Permits that are in hand are handed out first, in any case. A mistake in the configuration is no outage: it is
/// [told](Error::Misconfigured) under every policy.
///
/// # Examples
///
/// ```
/// use evenkeel_limit::{Rate, distributed::{Distributed, OnFailure, Store, Take, Taken}};
/// use tokio::time::{Duration, Instant};
///
/// struct Dead;
///
/// impl Store for Dead {
///     type Error = &'static str;
///
///     async fn take(&self, _: Take<'_>) -> Result<Taken, Self::Error> {
///         Err("connection refused")
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let quota = |policy| Distributed::new(Dead, "partner", Rate::per_second(100)).on_failure(policy);
/// let start = Instant::now();
/// assert!(quota(OnFailure::Open).acquire().await.is_ok());
///
/// let error = quota(OnFailure::Closed).acquire().await.unwrap_err();
/// assert_eq!(error.to_string(), "the store of the limit does not answer: try again in 50ms");
/// assert_eq!(start.elapsed(), Duration::ZERO);
///
/// assert!(quota(OnFailure::LocalShare(4)).acquire().await.is_ok());
/// assert_eq!(start.elapsed(), Duration::from_millis(40)); // 25 per second
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFailure {
    /// Grants everything: the work is worth more than the limit.
    Open,
    /// Refuses everything with [`Error::Unavailable`]: the limit is worth more than the work.
    Closed,
    /// Goes by a limiter of its own, for one of so many processes: with that part of the rate and the burst, empty at
    /// first.
    ///
    /// What exceeds the part of the burst is granted when that is full, and paid off afterwards.
    LocalShare(u32),
}

impl Distributed {
    /// The quota of that name in a store. Clones of the key in other processes are the same quota.
    ///
    /// # Panics
    ///
    /// At the first use, if the bucket would take more than 70 years to fill.
    #[must_use]
    pub fn new(store: impl Store, key: impl Into<String>, rate: Rate) -> Self {
        let terms = Terms { lease: 1, timeout: Duration::from_millis(100), on_failure: OnFailure::Closed };
        let burst = rate.permits();
        Self { store: Arc::new(store), key: key.into(), rate, burst, terms, desk: OnceLock::new() }
    }

    /// Sets how many permits there can be at once, and so the largest request. Counts until the first use.
    ///
    /// # Panics
    ///
    /// If `permits` is zero.
    #[must_use]
    #[track_caller]
    pub fn burst(mut self, permits: u32) -> Self {
        assert!(permits > 0, "a burst of zero permits");
        self.burst = permits;
        self
    }

    /// Takes up to so many permits in one call, more than are waited for, and at most the burst. Counts until the first
    /// use.
    ///
    /// That is what makes it fast: one call for so many permits. What is left of a lease is kept from other processes
    /// for a second, and then goes back; so that all leases together should be less than the burst. A request for which
    /// permits are still to be earned may wait up to 10 ms longer than without leases.
    ///
    /// # Panics
    ///
    /// If `permits` is zero.
    #[must_use]
    #[track_caller]
    pub fn lease(mut self, permits: u32) -> Self {
        assert!(permits > 0, "a lease of zero permits");
        self.terms.lease = permits;
        self
    }

    /// Sets how long a call of the store may take, but for the [first one](Store::first_timeout). Counts until the first
    /// use.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[must_use]
    #[track_caller]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        assert!(!timeout.is_zero(), "a time-out of zero");
        self.terms.timeout = timeout;
        self
    }

    /// Sets what to do when the store does not answer. Counts until the first use.
    ///
    /// # Panics
    ///
    /// If it is the share of one of zero processes.
    #[must_use]
    #[track_caller]
    pub fn on_failure(mut self, policy: OnFailure) -> Self {
        assert!(policy != OnFailure::LocalShare(0), "the share of one of zero processes");
        self.terms.on_failure = policy;
        self
    }

    /// Waits for one permit.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if the store does not answer and nothing is granted without it;
    /// [`Error::Misconfigured`]; [`Closed`](crate::Reason::Closed).
    ///
    /// # Panics
    ///
    /// When polled, if it needs the store outside of a tokio runtime with timers. Nothing is taken then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives its place in the queue up, and those behind it move up. A permit that was taken for it
    /// goes to the next one who asks in this process, or back to the store within a second.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{Rate, distributed::{Distributed, MemoryStore}};
    /// use tokio::time::{Duration, Instant};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), evenkeel_limit::distributed::Error> {
    /// let quota = Distributed::new(MemoryStore::new(), "partner", Rate::per_second(10)).burst(1);
    /// let start = Instant::now();
    /// quota.acquire().await?;
    /// quota.acquire().await?;
    /// assert_eq!(start.elapsed(), Duration::from_millis(100));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn acquire(&self) -> Result<(), Error> {
        self.acquire_many(1).await
    }

    /// Waits for `permits` at once.
    ///
    /// Later requests of this process do not overtake it. Against those of others it holds what it has got until it has
    /// them all.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire), and [`NeverFits`](crate::Reason::NeverFits) if `permits` is more than the
    /// burst.
    ///
    /// # Panics
    ///
    /// When polled, if it needs the store outside of a tokio runtime with timers. Nothing is taken then.
    ///
    /// # Cancel safety
    ///
    /// That of [`acquire`](Self::acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{Rate, distributed::{Distributed, MemoryStore}};
    /// use tokio::time::{Duration, Instant};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), evenkeel_limit::distributed::Error> {
    /// let bytes = Distributed::new(MemoryStore::new(), "upload", Rate::per_second(1_000_000)).burst(64_000);
    /// let start = Instant::now();
    /// bytes.acquire_many(64_000).await?;
    /// bytes.acquire_many(50_000).await?;
    /// assert_eq!(start.elapsed(), Duration::from_millis(50));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn acquire_many(&self, permits: u32) -> Result<(), Error> {
        self.desk().take(permits, Patience::Some).await
    }

    /// Takes one permit that is there, or none.
    ///
    /// It waits for the store's answer, at most for the time-out, and for that of a call that is under way; not for a
    /// permit that is still to be earned. An empty bucket is not asked again before a permit is due, or a second has
    /// passed.
    ///
    /// # Errors
    ///
    /// [`Busy`](crate::Reason::Busy) if there is none or others wait, with the time after which to come back, and those
    /// of [`acquire`](Self::acquire).
    ///
    /// # Panics
    ///
    /// When polled, if it needs the store outside of a tokio runtime with timers. Nothing is taken then.
    ///
    /// # Cancel safety
    ///
    /// That of [`acquire`](Self::acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{Rate, distributed::{Distributed, MemoryStore}};
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let quota = Distributed::new(MemoryStore::new(), "partner", Rate::per_second(4)).burst(1);
    /// assert!(quota.try_acquire().await.is_ok());
    /// let error = quota.try_acquire().await.unwrap_err();
    /// assert_eq!(error.retry_after(), Some(Duration::from_millis(250)));
    /// # }
    /// ```
    pub async fn try_acquire(&self) -> Result<(), Error> {
        self.try_acquire_many(1).await
    }

    /// Takes `permits` that are there, or none at all; see [`try_acquire`](Self::try_acquire).
    ///
    /// # Errors
    ///
    /// Those of [`try_acquire`](Self::try_acquire), and [`NeverFits`](crate::Reason::NeverFits) if `permits` is more
    /// than the burst.
    ///
    /// # Panics
    ///
    /// When polled, if it needs the store outside of a tokio runtime with timers. Nothing is taken then.
    ///
    /// # Cancel safety
    ///
    /// That of [`acquire`](Self::acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{Rate, distributed::{Distributed, MemoryStore}};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let quota = Distributed::new(MemoryStore::new(), "partner", Rate::per_second(1)).burst(10);
    /// assert!(quota.try_acquire_many(7).await.is_ok());
    /// assert!(quota.try_acquire_many(7).await.is_err());
    /// assert!(quota.try_acquire_many(3).await.is_ok());
    /// # }
    /// ```
    pub async fn try_acquire_many(&self, permits: u32) -> Result<(), Error> {
        self.desk().take(permits, Patience::None).await
    }

    /// Gives permits back that were not used, up to the burst.
    ///
    /// Those who wait in this process get them first. What nobody here uses goes back to the store a second later; in an
    /// outage, to the share if there is one.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{Rate, distributed::{Distributed, MemoryStore}};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), evenkeel_limit::distributed::Error> {
    /// let quota = Distributed::new(MemoryStore::new(), "partner", Rate::per_second(1)).burst(10);
    /// quota.acquire_many(10).await?;
    /// quota.refund(4);
    /// quota.try_acquire_many(4).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn refund(&self, permits: u32) {
        self.desk().refund(permits);
    }

    /// Refuses all who wait and all who come here, and gives what is left of the lease back to the store.
    ///
    /// Other processes are not concerned. It takes no longer than two calls of the store may.
    ///
    /// # Cancel safety
    ///
    /// It is closed when this is first polled, and what is left goes back without it.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{Rate, distributed::{Distributed, MemoryStore}};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), evenkeel_limit::distributed::Error> {
    /// let store = MemoryStore::new();
    /// let quota = || Distributed::new(store.clone(), "partner", Rate::per_second(1)).burst(10).lease(10);
    /// let first = quota();
    /// first.acquire().await?;
    /// first.close().await;
    /// assert!(first.acquire().await.is_err());
    ///
    /// quota().try_acquire_many(9).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn close(&self) {
        self.desk().close().await;
    }

    /// What it has done in this process, and what it has in hand.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.desk().snapshot()
    }

    fn desk(&self) -> &Arc<Desk> {
        self.desk.get_or_init(|| {
            let quota = Quota::new(self.rate, self.burst);
            Desk::new(Arc::clone(&self.store), self.key.clone(), self.rate, quota, self.terms)
        })
    }
}

impl Drop for Distributed {
    fn drop(&mut self) {
        if let Some(desk) = self.desk.get() {
            desk.abort();
        }
    }
}

impl fmt::Debug for Distributed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Distributed").field(&self.key).field(&self.snapshot()).finish()
    }
}
