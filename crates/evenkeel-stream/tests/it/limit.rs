//! The number of items in flight: never more than the limit, and never fewer without need.

use std::time::Duration;

use evenkeel_stream::prelude::*;
use evenkeel_testkit::{World, assert_took};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use proptest::prelude::*;
use tokio::time::sleep;

use crate::support::{Gauge, ms, slow, timed, wait};

async fn call<T>(value: T) -> T {
    sleep(ms(200)).await;
    value
}

#[test]
fn a_hundred_calls_of_200_ms() {
    World::run(async |_| {
        for (limit, expected) in [(100, ms(200)), (10, Duration::from_secs(2)), (1, Duration::from_secs(20))]
        {
            let calls = || stream::iter(0..100);
            assert_eq!(assert_took!(calls().par_map(limit, call).count(), expected), 100);
            assert_eq!(assert_took!(calls().par_map(limit, call).ordered().count(), expected), 100);
            let calls = calls().map(Ok::<_, ()>).try_par_map(limit, |n| call(Ok::<_, ()>(n)));
            assert_eq!(assert_took!(calls.try_collect::<Vec<_>>(), expected).unwrap().len(), 100);
        }
    });
}

#[test]
fn a_thousand_calls_of_200_ms_at_a_limit_of_a_hundred() {
    World::run(async |_| {
        let gauge = Gauge::default();
        let inner = gauge.clone();
        let calls = stream::iter(0..1000).par_map(100, async move |n| {
            let _inside = inner.enter();
            call(n).await
        });
        let mut done = assert_took!(calls.collect::<Vec<u32>>(), Duration::from_secs(2));
        done.sort_unstable();
        assert!(done.into_iter().eq(0..1000));
        assert_eq!((gauge.most(), gauge.total()), (100, 1000));
    });
}

#[test]
fn the_next_item_starts_when_a_result_is_handed_over() {
    for ordered in [false, true] {
        World::run(async |_| {
            let gauge = Gauge::default();
            let inner = gauge.clone();
            let map = stream::iter(1..).par_map(2, async move |n| {
                let _inside = inner.enter();
                sleep(ms(100 * n)).await;
            });
            let mut map = if ordered { map.ordered() } else { map };
            assert_took!(map.next(), ms(100)).unwrap();
            sleep(ms(1)).await;
            assert_eq!((gauge.now(), gauge.total()), (2, 3));
        });
    }
}

#[test]
fn nothing_starts_before_the_first_poll() {
    World::run(async |_| {
        let gauge = Gauge::default();
        let inner = gauge.clone();
        let mut map = stream::iter(0..10).par_map(2, async move |_| inner.enter());
        sleep(ms(100)).await;
        assert_eq!(gauge.total(), 0);
        map.next().await.unwrap();
        sleep(ms(100)).await;
        assert_eq!(gauge.total(), 3);
    });
}

#[test]
fn an_empty_source_ends_at_once() {
    World::run(async |_| {
        for limit in [1, 8, usize::MAX] {
            assert_eq!(stream::empty().par_map(limit, call::<u8>).next().now_or_never(), Some(None));
        }
    });
}

#[test]
#[should_panic = "the number of items in flight must not be zero"]
fn a_limit_of_zero_panics() {
    drop(stream::iter([1]).par_map(0, call));
}

#[test]
#[should_panic = "the number of items in flight must not be zero"]
fn a_limit_of_zero_panics_with_results_too() {
    drop(stream::iter([Ok::<u8, ()>(1)]).try_par_map(0, async |n: u8| Ok::<_, ()>(n)));
}

/// Returns when each result comes, if the source needs `gap` for an item, the item `work`, and the consumer no time: the
/// source is polled as soon as the item before was started and there is room.
fn model(limit: usize, ordered: bool, items: &[(u64, u64)]) -> Vec<(u64, usize)> {
    let (mut started, mut out) = (0, Vec::<u64>::new());
    for (index, (gap, work)) in items.iter().enumerate() {
        let mut left = out.clone();
        if !ordered {
            left.sort_unstable();
        }
        let room = if index < limit { 0 } else { left[index - limit] };
        started = room.max(started) + gap;
        let turn = if ordered { out.last().copied().unwrap_or(0) } else { 0 };
        out.push(turn.max(started + work));
    }
    out.into_iter().zip(0..).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// No result comes a millisecond later or earlier than the limit allows.
    #[test]
    fn every_result_comes_at_the_instant_of_the_model(
        limit in 1_usize..8,
        ordered: bool,
        items in prop::collection::vec((prop_oneof![Just(0), 0..20_u64], 0..50_u64), 0..40),
    ) {
        let mut expected = model(limit, ordered, &items);
        World::run(async |_| {
            let gauge = Gauge::default();
            let inner = gauge.clone();
            let source = items.into_iter().enumerate().map(|(index, (gap, work))| (gap, (index, work)));
            let map = slow(source.collect::<Vec<_>>()).par_map(limit, async move |(index, work)| {
                let _inside = inner.enter();
                wait(ms(work)).await;
                index
            });
            let mut came = timed(if ordered { map.ordered() } else { map }).await;
            if !ordered {
                assert!(came.is_sorted_by_key(|(time, _)| *time));
                came.sort_unstable();
                expected.sort_unstable();
            }
            assert_eq!(came, expected);
            assert!(gauge.most() <= limit);
        });
    }
}
