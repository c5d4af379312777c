//! Maps with far more workers than threads, for as long as it takes to meet rare orders of their steps.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use evenkeel_stream::prelude::*;
use futures::{FutureExt as _, StreamExt as _, stream};
use tokio::{
    task::{JoinSet, yield_now},
    time::{sleep, timeout},
};

/// An item of one of several kinds, by its number: ready at once, yielding, busy, asleep.
async fn work(n: u64) -> u64 {
    match n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 60 {
        0..6 => {}
        6..11 => yield_now().await,
        11..15 => (0..n % 2000).for_each(|n| {
            black_box(n);
        }),
        _ => sleep(Duration::from_millis(n % 3)).await,
    }
    n
}

/// A source that is pending now and then, and woken from another task.
fn source(count: u64) -> impl futures::Stream<Item = u64> + Send {
    stream::iter(0..count)
        .then(|n| async move {
            if n % 97 == 0 {
                tokio::spawn(yield_now()).await.expect("it does not panic");
            }
            n
        })
        .boxed()
}

async fn sum_of(count: u64, limit: usize, kind: u32) -> u64 {
    let map = source(count).par_map(limit, work);
    let map = match kind {
        0 => map,
        1 => map.ordered(),
        _ => map.keyed(|n| n % 50),
    };
    map.fold(0, async |sum, n| {
        if n % 1000 == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        sum + n
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "soak"]
async fn no_item_is_lost_or_doubled_and_no_map_hangs() {
    const COUNT: u64 = 20_000;
    for round in 0..20 {
        let mut maps = JoinSet::new();
        for limit in [1, 2, 3, 64, 5000] {
            for kind in 0..3 {
                maps.spawn(sum_of(COUNT, limit, kind));
            }
        }
        let sums = timeout(Duration::from_secs(120), maps.join_all()).await;
        let sums = sums.unwrap_or_else(|_| panic!("a map hangs in round {round}"));
        assert!(sums.into_iter().all(|sum| sum == COUNT * (COUNT - 1) / 2));
    }
}

struct Inside(Arc<AtomicUsize>);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "soak"]
async fn a_map_that_is_dropped_at_any_moment_leaves_nothing() {
    for round in 0..20_000_u64 {
        let inside = Arc::new(AtomicUsize::new(0));
        let inner = inside.clone();
        let limit = usize::try_from(round % 40).expect("it is small") + 1;
        let mut map = source(1000).par_map(limit, async move |n| {
            inner.fetch_add(1, SeqCst);
            let _inside = Inside(inner);
            work(n).await
        });
        for _ in 0..round % 60 {
            if map.next().now_or_never().is_none() {
                yield_now().await;
            }
        }
        drop(map);
        let gone = async {
            while inside.load(SeqCst) > 0 {
                yield_now().await;
            }
        };
        let gone = timeout(Duration::from_secs(60), gone).await;
        gone.unwrap_or_else(|_| panic!("items are left in round {round}"));
    }
}
