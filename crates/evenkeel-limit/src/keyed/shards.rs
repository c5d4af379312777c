//! The shards of a [`Keyed`](crate::Keyed), and how a request finds its own.

use std::{
    num::NonZero,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread::available_parallelism,
};

use evenkeel_base::lock;
use tokio::time::Instant;

use super::{
    key::{Lookup, NeedsUnlocked, is_plain},
    key_count::KeyCount,
    shard::{Config, Decision, Request, Shard},
};
use crate::{clock::Counter, rate::Rate, rate_limiter::RateLimiter};

/// A shard for each of this many keys is worth its lock.
const MIN_KEYS_OF_A_SHARD: usize = 1024;
/// The most keys of one shard, as long as there are fewer than [`MAX_SHARDS`].
const MAX_KEYS_OF_A_SHARD: usize = 8192;
const MAX_SHARDS: usize = 1024;
/// Memory for up to this many keys is allocated at the first use; with more, the tables grow.
const MAX_PREALLOCATED: usize = 1 << 20;
/// The most keys: a table counts in 32 bits.
const MAX_KEYS: usize = u32::MAX as usize - 1;

pub(super) struct Inner<K> {
    pub(super) tables: Tables<K>,
    /// The clock if it is not tokio's.
    counter: Option<Counter>,
    pub(super) count: KeyCount,
    /// The next shard in which to make room for a key of another one.
    next_sweep: AtomicUsize,
    /// The limiter of all keys for which there is no room.
    pub(super) overflow: Arc<RateLimiter>,
}

/// The shards, by the way in which keys are stored; see [`key`](super::key).
pub(super) enum Tables<K> {
    Plain(Shards<K>),
    Shared(Shards<Arc<K>>),
}

pub(super) struct Shards<S>(Box<[Mutex<Shard<S>>]>);

impl<K> Inner<K> {
    pub(super) fn new(config: Config, max_keys: usize, counter: Option<Counter>) -> Self {
        let tables = if is_plain::<K>() {
            Tables::Plain(Shards::new(&config, max_keys, counter.as_ref()))
        } else {
            Tables::Shared(Shards::new(&config, max_keys, counter.as_ref()))
        };
        Self {
            tables,
            counter,
            count: KeyCount::new(max_keys.min(MAX_KEYS)),
            next_sweep: AtomicUsize::new(0),
            overflow: Arc::new(config.limiter(config.rate)),
        }
    }

    #[inline(always)]
    pub(super) fn decide<S>(
        &self,
        shards: &Shards<S>,
        hash: u64,
        request: Request,
        fast: bool,
        key: &mut impl Lookup<S>,
    ) -> Decision {
        if fast {
            return self.decide_fast(shards, hash, request, key);
        }
        // The clock is read before the lock is taken, so that the processor waits for both at once.
        let first = match &self.counter {
            None => {
                let now = Instant::now();
                lock(shards.of(hash)).decide(|clock| clock.advance(now), request, key, &self.count)
            }
            Some(counter) => {
                let ticks = counter.ticks();
                lock(shards.of(hash)).decide_at_ticks(ticks, request, key, &self.count)
            }
        };
        // Most requests end here, without a look at the rarer results.
        if matches!(first, Ok(Some(Decision::Granted))) {
            return Decision::Granted;
        }
        self.decide_slow(shards, hash, request, key, first)
    }

    /// Takes a credit if the key has one, and reads the clock only if not.
    #[inline(always)]
    fn decide_fast<S>(
        &self,
        shards: &Shards<S>,
        hash: u64,
        request: Request,
        key: &mut impl Lookup<S>,
    ) -> Decision {
        let first = lock(shards.of(hash)).decide_fast(request, key, &self.count);
        if matches!(first, Ok(Some(Decision::Granted))) {
            return Decision::Granted;
        }
        self.decide_slow(shards, hash, request, key, first)
    }

    /// Slow path of `decide`: the first attempt granted nothing.
    #[inline(never)]
    fn decide_slow<S>(
        &self,
        shards: &Shards<S>,
        hash: u64,
        request: Request,
        key: &mut impl Lookup<S>,
        mut attempt: Result<Option<Decision>, NeedsUnlocked>,
    ) -> Decision {
        let mut has_made_room = false;
        loop {
            match attempt {
                Ok(Some(decision)) => return decision,
                Ok(None) if has_made_room || !self.make_room(shards, key) => {
                    return Decision::Limiter(Arc::clone(&self.overflow));
                }
                Ok(None) => has_made_room = true,
                Err(needs) => key.resolve(needs),
            }
            attempt = lock(shards.of(hash)).decide_fast(request, key, &self.count);
        }
    }

    /// Removes full buckets from another shard; returns whether there were any.
    #[inline(never)]
    fn make_room<S>(&self, shards: &Shards<S>, key: &mut impl Lookup<S>) -> bool {
        let next = self.next_sweep.fetch_add(1, Relaxed) & (shards.0.len() - 1);
        lock(&shards.0[next]).make_room(key, &self.count)
    }
}

impl<S> Shards<S> {
    fn new(config: &Config, max_keys: usize, counter: Option<&Counter>) -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        let worthwhile = (max_keys / MIN_KEYS_OF_A_SHARD).clamp(1, 4 * cores);
        let count = worthwhile.max(max_keys / MAX_KEYS_OF_A_SHARD).min(MAX_SHARDS).next_power_of_two();
        let share = if max_keys > MAX_PREALLOCATED { 0 } else { max_keys / count };
        // Hashes spread keys by chance: four standard deviations more than the average.
        let keys = if count == 1 { share } else { share + 4 * share.isqrt() };
        Self((0..count).map(|_| Mutex::new(Shard::new(config.clone(), keys, counter.cloned()))).collect())
    }

    /// Selects by the lower half of the hash; the upper half is the tag.
    #[inline]
    fn of(&self, hash: u64) -> &Mutex<Shard<S>> {
        &self.0[hash as usize & (self.0.len() - 1)]
    }

    pub(super) fn set_rate(&self, rate: Rate) {
        for shard in &self.0 {
            // Setting the rate of a limiter wakes its waiters: only without the lock.
            let limiters = lock(shard).set_rate(rate);
            limiters.iter().for_each(|limiter| limiter.set_rate(rate));
        }
    }

    pub(super) fn set_override(
        &self,
        hash: u64,
        key: &mut impl Lookup<S>,
        limiter: &Arc<RateLimiter>,
    ) -> Option<Arc<RateLimiter>> {
        resolved(key, |key| lock(self.of(hash)).set_override(tag(hash), key, limiter))
    }

    pub(super) fn remove_override(&self, hash: u64, key: &mut impl Lookup<S>) -> Option<Arc<RateLimiter>> {
        resolved(key, |key| lock(self.of(hash)).remove_override(tag(hash), key))
    }
}

/// Repeats an attempt under a lock, and resolves without it what the attempt needs.
fn resolved<S, K: Lookup<S>, T>(
    key: &mut K,
    mut attempt: impl FnMut(&mut K) -> Result<T, NeedsUnlocked>,
) -> T {
    loop {
        match attempt(key) {
            Ok(result) => return result,
            Err(needs) => key.resolve(needs),
        }
    }
}

pub(super) fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}
