//! Items in flight make progress, whatever the consumer does.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use evenkeel_stream::prelude::*;
use evenkeel_testkit::{World, assert_took};
use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use tokio::{
    sync::Semaphore,
    task::yield_now,
    time::{Instant, sleep},
};

use crate::support::{Gauge, ms};

/// The budget of a task makes a set of futures poll some of them for nothing, the more the larger it is; workers have one
/// each. At any limit an item is polled once at its start, and once when its timer fires.
#[test]
fn an_item_is_polled_for_its_own_wakes_alone() {
    for limit in [10, 1000, 20_000] {
        World::run(async |_| {
            let polls = Arc::new(AtomicUsize::new(0));
            let inner = polls.clone();
            let map = stream::iter(0..40_000).par_map(limit, move |_: u32| {
                let polls = inner;
                let mut nap = Box::pin(sleep(ms(1)));
                poll_fn(move |cx| {
                    polls.fetch_add(1, Relaxed);
                    nap.poll_unpin(cx)
                })
            });
            assert_eq!(map.count().await, 40_000);
            assert_eq!(polls.load(Relaxed), 80_000);
        });
    }
}

/// Returns the map in its two orders.
fn both<T: Send + 'static, U: Send + 'static, Fut>(
    limit: usize,
    source: impl Fn() -> stream::Iter<std::vec::IntoIter<T>>,
    f: impl FnOnce(T) -> Fut + Clone + Send + 'static,
) -> [std::pin::Pin<Box<dyn Stream<Item = U>>>; 2]
where
    Fut: Future<Output = U> + Send + 'static,
{
    [source().par_map(limit, f.clone()).boxed(), source().par_map(limit, f).ordered().boxed()]
}

async fn hold(permits: Arc<Semaphore>) {
    let _permit = permits.acquire().await.expect("never closed");
    sleep(ms(1)).await;
}

#[test]
fn a_consumer_that_takes_the_lock_of_the_items_cannot_deadlock() {
    for limit in 1..=16 {
        World::run(async |_| {
            let lock = Arc::new(Semaphore::new(1));
            let inner = lock.clone();
            let source = || stream::iter((0..60).collect::<Vec<_>>());
            for held in both(limit, source, async move |_| hold(inner).await) {
                // 60 items and 60 times the consumer, one after the other, the lock never idle.
                assert_took!(held.for_each(|()| hold(lock.clone())), ms(120));
            }
        });
    }
}

#[test]
fn items_finish_on_their_own_clock_while_nobody_polls() {
    World::run(async |_| {
        let finished = Gauge::default();
        let inner = finished.clone();
        let source = || stream::iter((1..=60).collect::<Vec<u64>>());
        let work = async move |n| {
            sleep(ms(10 * n)).await;
            std::mem::forget(inner.enter());
        };
        for (round, mut map) in both(8, source, work).into_iter().enumerate() {
            assert!(map.next().now_or_never().is_none());
            sleep(ms(45)).await;
            assert_eq!(finished.now(), 8 * round + 4);
            sleep(ms(1000)).await;
            assert_eq!(finished.now(), 8 * round + 8);
        }
    });
}

#[test]
fn a_slow_consumer_does_not_stretch_the_items() {
    World::run(async |_| {
        let source = || stream::iter((0..20).collect::<Vec<u64>>());
        let work = async |n| {
            let start = Instant::now();
            sleep(ms(10 + n)).await;
            (start.elapsed(), ms(10 + n))
        };
        for map in both(4, source, work) {
            map.for_each(async |(took, expected)| {
                assert_eq!(took, expected);
                sleep(ms(30)).await;
            })
            .await;
        }
    });
}

#[test]
fn a_stage_goes_on_while_the_stage_behind_it_is_full() {
    World::run(async |_| {
        let first = Gauge::default();
        let inner = first.clone();
        let mut stages = stream::iter(0..100)
            .par_map(4, async move |n| {
                let _inside = inner.enter();
                sleep(ms(10)).await;
                n
            })
            .par_map(1, async |n| {
                sleep(ms(1000)).await;
                n
            });
        assert!(stages.next().now_or_never().is_none());
        sleep(ms(15)).await;
        assert!(stages.next().now_or_never().is_none());
        // One item went on, another one took its place, and nothing polls any more.
        yield_now().await;
        assert_eq!((first.now(), first.total()), (1, 5));
        sleep(ms(15)).await;
        assert_eq!((first.now(), first.total()), (0, 5));
    });
}
