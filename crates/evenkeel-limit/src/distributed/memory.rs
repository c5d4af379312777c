//! A store in the memory of the process.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use evenkeel_base::lock;
use tokio::time::Instant;

use super::{
    quota::StoredBucket,
    store::{Store, Take, Taken},
};

/// A [`Store`] in the memory of this process, for tests, and for programs that may run without Redis.
///
/// It counts exactly as Redis does, on tokio's clock, which can be paused. Clones are the same store: a
/// [`Distributed`](super::Distributed) on each stands for a process. It forgets buckets that are full.
///
/// # Examples
///
/// ```
/// use evenkeel_limit::{Rate, distributed::{Distributed, MemoryStore}};
/// use tokio::time::{Duration, Instant};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), evenkeel_limit::distributed::Error> {
/// let store = MemoryStore::new();
/// let here = Distributed::new(store.clone(), "partner", Rate::per_second(10));
/// let there = Distributed::new(store, "partner", Rate::per_second(10));
/// here.acquire_many(10).await?;
///
/// let start = Instant::now();
/// there.acquire().await?;
/// assert_eq!(start.elapsed(), Duration::from_millis(100));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct MemoryStore {
    start: Instant,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// The reading of the clock at the start, in microseconds.
    clock: u64,
    buckets: HashMap<String, StoredBucket>,
}

/// The first reading of the clock: 35 years, so that it can be set back.
const FIRST_READING: u64 = 1 << 50;

impl MemoryStore {
    /// Creates a store in which all buckets are full.
    #[must_use]
    pub fn new() -> Self {
        let state = State { clock: FIRST_READING, buckets: HashMap::new() };
        Self { start: Instant::now(), state: Arc::new(Mutex::new(state)) }
    }

    /// Sets the clock of the store forward, or back by a negative number of microseconds, as that of a server may be set.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{Rate, distributed::{Distributed, MemoryStore}};
    /// use tokio::time::{Duration, Instant};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), evenkeel_limit::distributed::Error> {
    /// let store = MemoryStore::new();
    /// let process = || Distributed::new(store.clone(), "partner", Rate::per_second(10)).burst(2);
    /// process().acquire_many(2).await?;
    /// store.jump_clock(60_000_000);
    /// process().try_acquire_many(2).await?; // full, and no more than that
    /// store.jump_clock(-60_000_000);
    /// let start = Instant::now();
    /// process().acquire().await?;
    /// assert_eq!(start.elapsed(), Duration::from_millis(100)); // empty, and filling from there
    /// # Ok(())
    /// # }
    /// ```
    pub fn jump_clock(&self, micros: i64) {
        let mut state = lock(&self.state);
        state.clock = state.clock.saturating_add_signed(micros);
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for MemoryStore {
    type Error = Infallible;

    async fn take(&self, take: Take<'_>) -> Result<Taken, Infallible> {
        let passed = Instant::now().saturating_duration_since(self.start).as_micros() as u64;
        let mut state = lock(&self.state);
        let State { clock, buckets } = &mut *state;
        let now = clock.saturating_add(passed);
        if let Some(bucket) = buckets.get_mut(take.key) {
            if bucket.full_at <= now {
                *bucket = StoredBucket::default();
            }
            return Ok(bucket.take(&take, now));
        }
        buckets.retain(|_, bucket| bucket.full_at > now);
        Ok(buckets.entry(take.key.to_owned()).or_default().take(&take, now))
    }
}
