//! One quota for several processes.
//!
//! Each process has a [`Distributed`] with the same key on the same [`Store`]. The store counts the permits, by one clock,
//! in whole numbers; each process grants the permits that it has taken from there.
//!
//! # Promises
//!
//! - **One bucket.** In no stretch of time do all processes together take more from the store than the burst and what the
//!   rate earns in that time, by the clock of the store and to the permit. Without leases single permits are used when the
//!   answer of the store comes: in a stretch of time are used at most the burst and what the rate earns in it and in the
//!   longest way of an answer. The permits that are *used* can be more by those that are kept: a
//!   [lease](Distributed::lease) for each process, permits for a request that is incomplete or was dropped, and those that
//!   were [returned](Distributed::refund). Unused permits go back after a second.
//! - **No request waits for a dead store** longer than the [time-out](Distributed::timeout), once: from then on
//!   [`OnFailure`] decides all requests at once. The store is called again after 50 ms, and each further pause is twice as
//!   long, up to a second. Requests under [`Closed`](OnFailure::Closed) that enter during such a call wait for its answer.
//!   The first call of a limit may take longer, if the store [has to connect](Store::first_timeout).
//! - **A mistake in the configuration is reported at once**, under every policy: a missing right, user or password, or a
//!   key that holds something else ([`Error::Misconfigured`]). The store is called again as in an outage, so that a mended
//!   mistake needs no restart.
//! - **The cost of an outage.** A store that has forgotten its buckets has full ones: that adds at most one burst. Under
//!   [`LocalShare`](OnFailure::LocalShare) any outage adds it, because the bucket fills while the shares are used. A
//!   process that uses its share while others reach the store adds that share: in an outage that only some see, and at the
//!   end of one for as long as it lasted, or a second. A call that timed out may have taken permits that no request gets:
//!   then fewer are granted, never more.
//! - **First come, first served** in each process, in an outage, too. Between processes, the first to ask when there are
//!   permits gets them. A request for several permits collects them.
//! - **Dropping is safe.** A task of the limit calls the store, not the waiting futures. Permits that were taken for a
//!   dropped future go to the next request of this process, or back.
//! - **Clocks may jump.** When the clock of the store goes back, the bucket is empty at worst, and fills from there; when it
//!   goes forward, the bucket is full at best.
//!
//! # Defaults
//!
//! | | |
//! |---|---|
//! | burst | the number of the rate |
//! | lease | 1: only permits that a request waits for are taken. Requests that wait at the same time share a call in any case |
//! | time-out | 100 ms for each call; for the first one of a limit 5 s with `RedisStore`, 2 s with a `ConnectionManager` |
//! | on failure | `Closed` |
//!
//! # Non-goals
//!
//! It has no queue across processes, and its rate does not change while it is in use. Processes that disagree about rate
//! or burst, as during a deployment, share a bucket that earns at the rate of each caller for the time since its last use.
//! A process with a smaller burst gets nothing until the bucket has earned what the others took beyond that burst. A key
//! that contains the numbers is a bucket of its own.
//!
//! A full bucket earns nothing, and calls are a few milliseconds apart: a burst that is smaller than the permits earned in
//! that time loses a part of the rate. Nothing is lost by processes that always have requests waiting if the burst is what the
//! rate earns in the way to the store and back and in two milliseconds of timers, and one permit more. On a machine that has
//! too few processors for its processes that time is longer: they lose what is earned while none of them gets to ask.

// file                  | content
// error.rs              | `Error`, and why a call of the store failed
// quota.rs              | the arithmetic of a shared bucket, the same as in `take.lua`
// store.rs              | `Store`: a call of it, and its answer
// memory.rs, redis.rs   | the stores
// client.rs             | how callers enter, and wait
// state.rs              | the local lease and the queue; `state/worker_steps.rs`: what the worker does next;
//                       | `state/inspect.rs`: the limit in the dumps of evenkeel-inspect
// worker.rs             | the task that calls the store
// outage.rs             | the time in which the store fails, and the local share
// snapshot.rs           | `Snapshot`

mod client;
mod error;
mod memory;
mod outage;
mod quota;
#[cfg(feature = "redis")]
mod redis;
mod snapshot;
mod state;
pub mod store;
mod worker;

#[cfg(feature = "inspect")]
use evenkeel_inspect::{Registration, register};
use std::{
    fmt,
    future::Future,
    sync::{Arc, OnceLock},
    time::Duration,
};

#[cfg(feature = "redis")]
pub use self::redis::RedisStore;
use self::{
    client::Client,
    quota::Quota,
    state::Config,
    store::{AnyStore, Store},
};
pub use self::{error::Error, memory::MemoryStore, snapshot::Snapshot};
use crate::{
    rate::Rate,
    sync::{
        edges::{CallPlace, Title},
        entry::Mode,
    },
};

/// A rate that several processes share.
///
/// It is a token bucket as [`RateLimiter`](crate::RateLimiter) is, kept in a [`Store`] under a key: full at the first
/// use of the key in any process. Share one by reference or in an [`Arc`]. Dropping it loses the unused permits of its
/// lease; [`close`](Self::close) returns them. See [the module](self) for its promises.
///
/// A task calls the store. It is started in the runtime of the first request that needs it, runs as long as it is needed,
/// and ends when the limit is dropped. When its runtime ends, a call under way fails with an error that says so, and the
/// requests that wait in other runtimes go on with a task there. Requests wait for a runtime that exists and is not
/// driven. A panic of the store is a failure like any other. The task serves all callers, so it carries the `tracing`
/// span of none.
///
/// # Why not just use a [`RateLimiter`](crate::RateLimiter) in each process, with its part of the rate?
///
/// That needs no store, and cannot fail. But an idle process leaves nothing to a busy one, and the parts change with the
/// number of processes.
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
    config: Config,
    title: Title,
    /// Created at the first use.
    client: OnceLock<Arc<Client>>,
    /// Made together with the client.
    #[cfg(feature = "inspect")]
    registration: OnceLock<Registration>,
}

/// The policy for requests while the store does not answer.
///
/// Permits of the local lease are granted first, in any case. A mistake in the configuration is no outage: it is
/// [reported](Error::Misconfigured) under every policy.
///
/// # Examples
///
/// ```
/// use evenkeel_limit::{Rate, distributed::{Distributed, OnFailure, store::{Store, Take, Taken}}};
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
    /// Grants every request: the work is worth more than the limit.
    Open,
    /// Denies every request with [`Error::Unavailable`]: the limit is worth more than the work.
    Closed,
    /// Uses a local limiter with the rate and the burst divided by this number of processes. It is empty at first.
    ///
    /// A request above its burst is granted when it is full, and paid off afterwards.
    LocalShare(u32),
}

impl Distributed {
    /// Creates a limit on the bucket of this key in a store. The same key in other processes is the same bucket.
    ///
    /// # Panics
    ///
    /// At the first use, if the bucket would take more than 70 years to fill.
    #[must_use]
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn new(store: impl Store, key: impl Into<String>, rate: Rate) -> Self {
        let config = Config { lease: 1, timeout: Duration::from_millis(100), on_failure: OnFailure::Closed };
        let burst = rate.permits();
        Self {
            store: Arc::new(store),
            key: key.into(),
            rate,
            burst,
            config,
            title: Title::new(CallPlace::here()),
            client: OnceLock::new(),
            #[cfg(feature = "inspect")]
            registration: OnceLock::new(),
        }
    }

    /// Names the limit for the dumps of evenkeel-inspect. Without the feature `inspect` the name is dropped.
    ///
    /// A dump has the requests that wait in this process, and the outage of the store with its last error; the key is not in
    /// it.
    #[must_use]
    pub fn named(mut self, name: &'static str) -> Self {
        self.title = self.title.named(name);
        self
    }

    /// Sets the burst: the most permits at once, and so the largest request. Must be called before the first use.
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

    /// Sets how many permits one call takes at least, if the store has them: more than are waited for, and at most the
    /// burst. Must be called before the first use.
    ///
    /// One call for many permits makes the limit fast. The unused permits of a lease are kept from other processes for a
    /// second, and then go back; all leases together should be less than the burst. A request for permits that are still
    /// to be earned may wait up to 10 ms longer than without leases.
    ///
    /// # Panics
    ///
    /// If `permits` is zero.
    #[must_use]
    #[track_caller]
    pub fn lease(mut self, permits: u32) -> Self {
        assert!(permits > 0, "a lease of zero permits");
        self.config.lease = permits;
        self
    }

    /// Sets how long a call of the store may take, except for the [first one](Store::first_timeout). Must be called before
    /// the first use.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[must_use]
    #[track_caller]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        assert!(!timeout.is_zero(), "a time-out of zero");
        self.config.timeout = timeout;
        self
    }

    /// Sets the policy for requests while the store does not answer. Must be called before the first use.
    ///
    /// # Panics
    ///
    /// If it is the share of one of zero processes.
    #[must_use]
    #[track_caller]
    pub fn on_failure(mut self, policy: OnFailure) -> Self {
        assert!(policy != OnFailure::LocalShare(0), "the share of one of zero processes");
        self.config.on_failure = policy;
        self
    }

    /// Waits for one permit.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if the store does not answer and the policy grants nothing without it;
    /// [`Error::Misconfigured`]; [`Closed`](crate::Reason::Closed).
    ///
    /// # Panics
    ///
    /// When polled, if it needs the store outside of a tokio runtime with timers. Nothing is taken then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up its place in the queue. A permit that was taken for it goes to the next request of
    /// this process, or back to the store within a second.
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
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn acquire(&self) -> impl Future<Output = Result<(), Error>> {
        self.acquire_many(1)
    }

    /// Waits for `permits` at once.
    ///
    /// Later requests of this process do not overtake it. It keeps the permits that it has got from other processes until
    /// it has all of them.
    ///
    /// # Errors
    ///
    /// The errors of [`acquire`](Self::acquire), and [`NeverFits`](crate::Reason::NeverFits) if `permits` is more than the
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
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn acquire_many(&self, permits: u32) -> impl Future<Output = Result<(), Error>> {
        let call = CallPlace::here();
        async move { self.client().acquire(permits, Mode::Wait, call).await }
    }

    /// Takes one permit that is available, or none.
    ///
    /// It waits for the store's answer, at most for the time-out and the rest of a call under way, but not for a permit
    /// that is still to be earned. An empty bucket is not asked again before a permit is due, or a second has passed.
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
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn try_acquire(&self) -> impl Future<Output = Result<(), Error>> {
        self.try_acquire_many(1)
    }

    /// Takes `permits` that are available, or none at all; see [`try_acquire`](Self::try_acquire).
    ///
    /// # Errors
    ///
    /// The errors of [`try_acquire`](Self::try_acquire), and [`NeverFits`](crate::Reason::NeverFits) if `permits` is more
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
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn try_acquire_many(&self, permits: u32) -> impl Future<Output = Result<(), Error>> {
        let call = CallPlace::here();
        async move { self.client().acquire(permits, Mode::Try, call).await }
    }

    /// Returns unused permits, up to the burst.
    ///
    /// Waiters of this process get them first. Permits that are not used here go back to the store a second later; in an
    /// outage they go to the local share, if there is one.
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
        self.client().refund(permits);
    }

    /// Closes the limit in this process: denies all waiters and all later requests, and returns the lease to the store.
    ///
    /// Other processes are not concerned. It takes no longer than two calls of the store may.
    ///
    /// # Cancel safety
    ///
    /// The limit is closed when the future is first polled, and the lease goes back without the future.
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
        self.client().close().await;
    }

    /// Returns what it has done in this process, and its lease.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.client().snapshot()
    }

    fn client(&self) -> &Arc<Client> {
        self.client.get_or_init(|| {
            let quota = Quota::new(self.rate, self.burst);
            let client = Client::new(
                Arc::clone(&self.store),
                self.key.clone(),
                self.rate,
                quota,
                self.config,
                self.title,
            );
            #[cfg(feature = "inspect")]
            let _ = self.registration.set(register(Arc::downgrade(&client)));
            client
        })
    }
}

impl Drop for Distributed {
    fn drop(&mut self) {
        if let Some(client) = self.client.get() {
            client.abort();
        }
    }
}

impl fmt::Debug for Distributed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Distributed").field(&self.key).field(&self.snapshot()).finish()
    }
}
