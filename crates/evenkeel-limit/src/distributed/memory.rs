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
    buckets: Arc<Mutex<HashMap<String, StoredBucket>>>,
}

impl MemoryStore {
    /// Creates a store in which all buckets are full.
    #[must_use]
    pub fn new() -> Self {
        Self { start: Instant::now(), buckets: Arc::default() }
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
        let now = Instant::now().saturating_duration_since(self.start).as_micros() as u64;
        let mut buckets = lock(&self.buckets);
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
