//! Order within a key, concurrency across keys, and no memory of keys that are gone.

use std::{
    collections::HashMap,
    hash::{Hash, Hasher},
    panic::resume_unwind,
    sync::{Arc, Mutex},
};

use evenkeel_stream::{ItemError, prelude::*};
use evenkeel_task::catch_panic;
use evenkeel_testkit::World;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use proptest::prelude::*;
use tokio::time::{Instant, sleep};

use crate::support::{Gauge, Inside, ms, slow, timed, wait};

#[test]
fn items_of_one_key_follow_each_other() {
    World::run(async |_| {
        let items = stream::iter([('a', 30), ('b', 10), ('a', 10), ('b', 5), ('c', 1)]);
        let map = items.par_map(5, async |(key, time)| {
            sleep(ms(time)).await;
            (key, time)
        });
        let came = timed(map.keyed(|(key, _)| *key)).await;
        assert_eq!(came, [(1, ('c', 1)), (10, ('b', 10)), (15, ('b', 5)), (30, ('a', 30)), (40, ('a', 10))]);
    });
}

#[test]
fn the_results_can_have_the_order_of_the_input_as_well() {
    World::run(async |_| {
        let work = async |(_, time)| {
            sleep(ms(time)).await;
            time
        };
        let items = || stream::iter([('a', 30), ('b', 10), ('a', 10), ('b', 5)]);
        let expected = [(30, 30), (30, 10), (40, 10), (40, 5)];
        assert_eq!(timed(items().par_map(4, work).ordered().keyed(|(key, _)| *key)).await, expected);
        assert_eq!(timed(items().par_map(4, work).keyed(|(key, _)| *key).ordered()).await, expected);
    });
}

#[test]
fn a_slow_key_holds_up_no_other_until_its_items_fill_the_map() {
    World::run(async |_| {
        // Each third item is of the slow key; a map of six has three of them when the other keys can go on no more.
        let items = stream::iter(0_u32..).map(|n| if n % 3 == 0 { 0 } else { n });
        let map = items.par_map(6, async |key| {
            sleep(ms(if key == 0 { 100_000 } else { 1 })).await;
            key
        });
        let mut map = map.keyed(|key| *key);
        let start = Instant::now();
        let mut others = 0;
        while map.next().await != Some(0) {
            others += 1;
        }
        // Of the first 16 items, 0 to 15, six have the slow key; the ten others went on.
        assert_eq!((others, start.elapsed()), (10, ms(100_000)));
    });
}

#[test]
fn one_key_is_one_after_the_other_with_any_limit() {
    World::run(async |_| {
        let gauge = Gauge::default();
        let inner = gauge.clone();
        let map = stream::iter(0..50).par_map(8, async move |n| {
            let _inside = inner.enter();
            sleep(ms(1)).await;
            n
        });
        let start = Instant::now();
        assert!(map.keyed(|_| ()).collect::<Vec<_>>().await.into_iter().eq(0..50));
        assert_eq!((gauge.most(), start.elapsed()), (1, ms(50)));
    });
}

#[test]
fn results_and_errors_of_the_source_keep_the_order_of_a_key() {
    World::run(async |_| {
        let source = || stream::iter([Ok(('a', 20)), Err("source"), Ok(('a', 10)), Ok(('b', 5))]);
        let work = async |(key, time)| {
            sleep(ms(time)).await;
            if time == 20 { Err("item") } else { Ok(key) }
        };
        let outcomes = source().try_par_map(4, work).keyed(|(key, _)| *key).settled();
        let came = timed(outcomes.map_err(|error| match error {
            ItemError::Error(error) => error,
            error => panic!("{error:?}"),
        }));
        assert_eq!(came.await, [(0, Err("source")), (5, Ok('b')), (20, Err("item")), (30, Ok('a'))]);
        let first = source().try_par_map(4, work).keyed(|(key, _)| *key).try_collect::<Vec<_>>().await;
        assert_eq!(first, Err("source"));
    });
}

#[test]
fn an_item_that_panics_passes_its_key_on() {
    World::run(async |_| {
        let source = stream::iter([0, 1, 2]).map(Ok::<_, ()>);
        let map = source.try_par_map(3, async |n| {
            sleep(ms(1)).await;
            if n == 0 { resume_unwind(Box::new("boom")) } else { Ok::<_, ()>(n) }
        });
        let outcomes: Vec<_> = map.keyed(|_| ()).settled().collect().await;
        assert!(matches!(&outcomes[..], [Err(ItemError::Panic(_)), Ok(1), Ok(2)]));
    });
}

/// A key that is counted while it lives.
struct Key(u64, #[expect(dead_code, reason = "it counts")] Inside);

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[test]
fn keys_without_items_are_dropped() {
    World::run(async |_| {
        for limit in [1_usize, 4, 64] {
            let keys = Gauge::default();
            let inner = keys.clone();
            let map = stream::iter(0..10_000_u64).par_map(limit, async |n| n);
            let mut map = map.keyed(move |n| Key(*n, inner.enter()));
            let mut most = 0;
            while map.next().await.is_some() {
                most = most.max(keys.now());
            }
            assert!(most <= 2 * limit + 8, "{most} keys at a limit of {limit}");
            assert_eq!((keys.total(), keys.now()), (10_000, 0));
        }
    });
}

#[test]
fn keys_are_dropped_with_the_stream() {
    World::run(async |_| {
        let keys = Gauge::default();
        let inner = keys.clone();
        let map = stream::iter(0..).par_map(4, async |n: u64| sleep(ms(n)).await);
        let mut map = map.keyed(move |n| Key(*n, inner.enter()));
        map.next().await;
        drop(map);
        assert_eq!(keys.now(), 0);
    });
}

#[test]
fn a_panic_of_the_key_is_one_of_the_source() {
    World::run(async |_| {
        let source = || stream::iter(0..10);
        let key = |n: &u32| if *n == 3 { resume_unwind(Box::new("key")) } else { *n };
        let mut map = source().par_map(2, async |n| n).keyed(key);
        for n in 0..2 {
            assert_eq!(map.next().await, Some(n));
        }
        let panic = catch_panic(async { map.next().await }).await.unwrap_err();
        assert_eq!(panic.message(), Some("key"));
        assert_eq!(map.next().now_or_never(), Some(None));
        // A settled map has outcomes of the items before, and then the panic.
        let map = source().map(Ok::<_, ()>).try_par_map(2, async |n| Ok::<_, ()>(n));
        let mut map = map.keyed(key).settled();
        for n in 0..3 {
            assert!(matches!(map.next().await, Some(Ok(seen)) if seen == n));
        }
        assert_eq!(catch_panic(async { map.next().await }).await.unwrap_err().message(), Some("key"));
        assert!(map.next().now_or_never().unwrap().is_none());
    });
}

#[test]
#[should_panic = "the keys must be chosen before the stream is polled"]
fn the_keys_cannot_change_half_way() {
    World::run(async |_| {
        let mut map = stream::iter([10, 20]).par_map(2, async |n| n);
        map.next().await;
        drop(map.keyed(|n: &u32| *n));
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Items of a key never overlap, start in the order of the input, and come in it; a free item never waits.
    #[test]
    fn each_key_is_a_queue(
        limit in 1_usize..8,
        ordered: bool,
        items in prop::collection::vec((0..4_u8, 0..10_u64, prop_oneof![Just(0), 0..6_u64]), 0..40),
    ) {
        World::run(async |_| {
            let log = Arc::new(Mutex::new(Vec::new()));
            let inner = log.clone();
            let count = items.len();
            let source = items.into_iter().enumerate();
            let source = slow(source.map(|(index, (key, time, gap))| (gap, (index, key, time))).collect::<Vec<_>>());
            let map = source.par_map(limit, async move |(index, key, time)| {
                inner.lock().unwrap().push((key, index, true));
                wait(ms(time)).await;
                inner.lock().unwrap().push((key, index, false));
                (key, index)
            });
            let map = map.keyed(|(_, key, _)| *key);
            let came: Vec<_> = if ordered { map.ordered().collect().await } else { map.collect().await };
            assert_eq!(came.len(), count);
            let mut running: HashMap<u8, usize> = HashMap::new();
            let mut last: HashMap<u8, usize> = HashMap::new();
            for (key, index, begins) in log.lock().unwrap().drain(..) {
                if begins {
                    assert_eq!(running.insert(key, index), None);
                    assert!(last.insert(key, index).is_none_or(|last| last < index));
                } else {
                    assert_eq!(running.remove(&key), Some(index));
                }
                assert!(running.len() <= limit);
            }
            let mut last: HashMap<u8, usize> = HashMap::new();
            for (key, index) in came {
                assert!(last.insert(key, index).is_none_or(|last| last < index));
            }
        });
    }
}
