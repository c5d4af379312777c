//! Items that block their threads, on several of them, keep no other item and no result.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use evenkeel_stream::prelude::*;
use futures::{StreamExt as _, stream};
use tokio::time::sleep;

/// Of many items that are ready at once some block their threads until another one has begun, on another thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_that_blocks_among_short_ones_keeps_none_of_them() {
    async fn run() {
        let both = Arc::new(std::sync::Barrier::new(2));
        let map = stream::iter(0..20_000).par_map(64, async move |n: u32| {
            if n % 500 >= 498 {
                both.wait();
            }
        });
        assert_eq!(map.count().await, 20_000);
    }
    run().await;
    tokio::spawn(run()).await.unwrap();
}

/// The first items are ready at once; the others block their threads until the consumer has got the first ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn items_that_block_their_threads_do_not_keep_results_from_the_consumer() {
    async fn run(limit: usize) {
        let got = Arc::new((std::sync::Mutex::new(0), std::sync::Condvar::new()));
        let inner = got.clone();
        let mut map = stream::iter(0..8).par_map(limit, async move |n| {
            if n == 5 {
                let (count, changed) = &*inner;
                drop(changed.wait_while(count.lock().unwrap(), |count| *count < 5).unwrap());
            }
        });
        while map.next().await.is_some() {
            *got.0.lock().unwrap() += 1;
            got.1.notify_all();
        }
        assert_eq!(*got.0.lock().unwrap(), 8);
    }
    for _ in 0..50 {
        for limit in [6, 8, 64] {
            run(limit).await;
            tokio::spawn(run(limit)).await.unwrap();
        }
    }
}

/// Among many items that are ready at once, which are left to one worker, each of some blocks its thread until the consumer
/// has got all before it.
#[test]
fn an_item_that_blocks_among_short_ones_keeps_no_result_from_the_consumer() {
    async fn run(limit: usize, ordered: bool) {
        let got = Arc::new((std::sync::Mutex::new(0), std::sync::Condvar::new()));
        let inner = got.clone();
        let map = stream::iter(0..10_000).par_map(limit, async move |n: u32| {
            if n % 101 == 100 {
                let (count, changed) = &*inner;
                drop(changed.wait_while(count.lock().unwrap(), |count| *count < n).unwrap());
            }
        });
        let mut map = if ordered { map.ordered() } else { map };
        while map.next().await.is_some() {
            *got.0.lock().unwrap() += 1;
            got.1.notify_all();
        }
        assert_eq!(*got.0.lock().unwrap(), 10_000);
    }
    for threads in [2, 4] {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).build().unwrap();
        for limit in [2, 40] {
            for ordered in [false, true] {
                runtime.block_on(run(limit, ordered));
                runtime.block_on(runtime.spawn(run(limit, ordered))).unwrap();
            }
        }
    }
}

/// The worker that waits for the source wakes the consumer as well, when there is no more room or the source is over, and
/// may run an item then that blocks its thread until the consumer has got all before it.
#[test]
fn an_item_that_blocks_behind_a_source_that_waits_keeps_no_result_from_the_consumer() {
    const ITEMS: u32 = 1000;
    async fn run(limit: u32, burst: u32, ordered: bool) {
        let got = Arc::new((std::sync::Mutex::new(0), std::sync::Condvar::new()));
        let inner = got.clone();
        let source = stream::unfold(0, move |n| async move {
            if n % burst == 0 {
                tokio::task::yield_now().await;
            }
            (n < ITEMS).then_some((n, n + 1))
        });
        let map = source.par_map(limit as usize, async move |n: u32| {
            // No two of them are in flight at once.
            if n % (2 * limit + 1) == 2 * limit {
                let (count, changed) = &*inner;
                let is_early = |count: &mut u32| *count < n;
                let wait =
                    changed.wait_timeout_while(count.lock().unwrap(), Duration::from_secs(10), is_early);
                let (count, timeout) = wait.unwrap();
                assert!(!timeout.timed_out(), "item {n} waits, the consumer has {count}");
            }
        });
        let mut map = if ordered { map.ordered() } else { map };
        while map.next().await.is_some() {
            *got.0.lock().unwrap() += 1;
            got.1.notify_all();
        }
        assert_eq!(*got.0.lock().unwrap(), ITEMS);
    }
    for threads in [2, 4] {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).build().unwrap();
        for limit in [2, 3, 5, 40] {
            for (burst, ordered) in [(1, true), (2, false), (5, true), (9, false), (50, true)] {
                runtime.block_on(run(limit, burst, ordered));
                runtime.block_on(runtime.spawn(run(limit, burst, ordered))).unwrap();
            }
        }
    }
}

/// The consumer has used up the budget of its task, so that its thread keeps it for later; an item blocks that thread until it has
/// got more.
#[test]
fn an_item_that_blocks_keeps_no_result_from_a_consumer_without_budget() {
    const ITEMS: u32 = 2000;
    /// The results in the budget of a task.
    const BUDGET: u32 = 1024;
    async fn run(blocking: u32) {
        let got = Arc::new((std::sync::Mutex::new(0), std::sync::Condvar::new()));
        let ended = Arc::new(AtomicU32::new(0));
        let (inner, ends) = (got.clone(), ended.clone());
        let mut map = stream::iter(0..2 * ITEMS).par_map(ITEMS as usize, async move |n: u32| {
            // The first one of these keeps the other thread from the items behind it, until the budget is nearly used up.
            let awaited = match n {
                ITEMS => BUDGET - 20,
                n if n == blocking => BUDGET + 1,
                _ => 0,
            };
            if awaited > 0 {
                let (count, changed) = &*inner;
                let is_early = |count: &mut u32| *count < awaited;
                let wait =
                    changed.wait_timeout_while(count.lock().unwrap(), Duration::from_secs(10), is_early);
                let (count, timeout) = wait.unwrap();
                assert!(!timeout.timed_out(), "item {n} waits for {awaited}, the consumer has {count}");
            }
            ends.fetch_add(1, Relaxed);
        });
        let first = poll_fn(|cx| Poll::Ready(map.poll_next_unpin(cx))).await;
        let mut count = u32::from(first.is_ready());
        while ended.load(Relaxed) < ITEMS {
            sleep(Duration::from_millis(1)).await;
        }
        loop {
            *got.0.lock().unwrap() = count;
            got.1.notify_all();
            if map.next().await.is_none() {
                break;
            }
            count += 1;
        }
        assert_eq!(count, 2 * ITEMS);
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    for round in 0..200 {
        runtime.block_on(runtime.spawn(run(ITEMS + 1 + round % 100))).unwrap();
    }
}
