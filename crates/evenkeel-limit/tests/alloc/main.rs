//! The number and size of allocations. The counters belong to the whole process, so there is one test.

use std::alloc::System;

use evenkeel_limit::{ConcurrencyLimiter, Keyed, KeyedConcurrency, RateLimiter};
use evenkeel_testkit::{
    World,
    alloc::{INSTRUMENTED_SYSTEM, StatsAlloc},
    assert_allocs,
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// A refusal is a counter of `metrics`, which allocates its labels.
fn refused(requests: impl FnOnce() -> usize) {
    if cfg!(feature = "metrics") {
        requests();
    } else {
        assert_allocs!(requests(), == 0);
    }
}

fn live_bytes() -> usize {
    let stats = INSTRUMENTED_SYSTEM.stats();
    stats.bytes_allocated + stats.bytes_reallocated.unsigned_abs() - stats.bytes_deallocated
}

#[test]
fn what_does_not_wait_allocates_nothing() {
    World::run(async |_| {
        let limiters = [RateLimiter::per_second(1).burst(40), RateLimiter::per_second(1).burst(40).fast()];
        for limiter in &limiters {
            limiter.acquire().await;
            assert_allocs!(limiter.acquire().await, == 0);
            assert_allocs!((0..30).filter(|_| limiter.try_acquire().is_ok()).count(), == 0);
            refused(|| (0..100).filter(|_| limiter.try_acquire().is_ok()).count());
        }

        let limiter = ConcurrencyLimiter::new(2);
        if cfg!(feature = "inspect") {
            // Its core is made at the first use.
            drop(limiter.acquire().await);
        }
        let permit = assert_allocs!(limiter.acquire().await, == 0);
        assert_allocs!(drop(permit), == 0);

        const KEYS: u64 = 10_000;
        let keyed: Keyed<u64> = Keyed::per_second(1).burst(2).max_keys(KEYS as usize);
        let before = live_bytes();
        assert!(keyed.try_acquire(&0).is_ok());
        let per_key = (live_bytes() - before) as f64 / KEYS as f64;
        assert!(per_key <= 32.0, "{per_key} bytes for each key");
        // New keys, known keys, keys that are refused and, at the end, keys without room.
        let _overflow = (0..KEYS + 1000).filter(|key| keyed.try_acquire(key).is_ok()).count();
        refused(|| (0..2 * KEYS).filter(|key| keyed.try_acquire(key).is_ok()).count());
        tokio::time::advance(std::time::Duration::from_secs(10)).await;
        refused(|| (KEYS..3 * KEYS).filter(|key| keyed.try_acquire(key).is_ok()).count());
        assert!(keyed.len() as u64 <= KEYS);

        let keyed: KeyedConcurrency<u64> = KeyedConcurrency::new(2);
        drop(keyed.acquire(&0).await);
        let before = live_bytes();
        let permits: Vec<_> = (0..KEYS).map(|key| keyed.try_acquire(&key)).collect();
        let per_key = (live_bytes() - before) as f64 / KEYS as f64;
        // With its permit, and its reference in the list of dumps.
        let most = if cfg!(feature = "inspect") { 2048.0 } else { 640.0 };
        assert!(per_key > 0.0 && per_key <= most, "{per_key} bytes for each key in use");
        drop(permits);
        let left = live_bytes() - before;
        // The list of dumps keeps its room: 80 bytes, up to twice as many as there were keys.
        let most = if cfg!(feature = "inspect") { 160 * KEYS as usize } else { 0 };
        assert!(keyed.is_empty() && left <= most, "{left} bytes stay of keys that were in use");
    });
}
