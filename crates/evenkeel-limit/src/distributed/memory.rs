//! A store in memory.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::time::Instant;

use super::{
    quota::Level,
    store::{Store, Take, Taken},
};

/// A [`Store`] in the memory of this process, for tests, and for programs that may run without Redis.
///
/// It counts exactly as Redis does, on tokio's clock, which can be paused. Clones are the same store: a
/// [`Distributed`](super::Distributed) on each stands for a process. Of buckets that are full it remembers nothing.
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
    levels: Arc<Mutex<HashMap<String, Level>>>,
}

impl MemoryStore {
    /// An empty store: all buckets are full.
    #[must_use]
    pub fn new() -> Self {
        Self { start: Instant::now(), levels: Arc::default() }
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
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(level) = levels.get_mut(take.key) {
            if level.full_at <= now {
                *level = Level::default();
            }
            return Ok(level.take(&take, now));
        }
        levels.retain(|_, level| level.full_at > now);
        Ok(levels.entry(take.key.to_owned()).or_default().take(&take, now))
    }
}
