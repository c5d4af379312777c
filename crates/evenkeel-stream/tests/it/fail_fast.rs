//! The first error ends a `try_par_map`, at once, and leaves nothing running.

use std::num::ParseIntError;

use evenkeel_stream::prelude::*;
use evenkeel_testkit::World;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use proptest::prelude::*;
use tokio::{
    task::yield_now,
    time::{Instant, sleep},
};

use crate::support::{Gauge, ms, slow, strict, timed, wait};

#[test]
fn an_error_comes_at_its_own_instant_even_when_ordered() {
    for ordered in [false, true] {
        World::run(async |_| {
            let gauge = Gauge::default();
            let inner = gauge.clone();
            let map = stream::iter(0..1000).map(Ok::<_, &str>).try_par_map(8, async move |n| {
                let _inside = inner.enter();
                sleep(ms(if n == 5 { 1 } else { 200 })).await;
                if n == 5 { Err("five") } else { Ok(n) }
            });
            let mut map = if ordered { map.ordered() } else { map };
            let start = Instant::now();
            assert_eq!(map.next().await, Some(Err("five")));
            assert_eq!(start.elapsed(), ms(1));
            // The destructors of the others have run, no scheduler turn later.
            assert_eq!((gauge.now(), gauge.total()), (0, 8));
            assert_eq!(map.next().now_or_never(), Some(None));
            sleep(ms(1000)).await;
            assert_eq!(gauge.total(), 8);
        });
    }
}

#[test]
fn an_error_of_the_source_ends_it_too() {
    for ordered in [false, true] {
        World::run(async |_| {
            let gauge = Gauge::default();
            let inner = gauge.clone();
            let source = slow([(0, Ok(200)), (5, Ok(10)), (15, Err("source")), (0, Ok(0))]);
            let map = source.try_par_map(8, async move |time| {
                let _inside = inner.enter();
                sleep(ms(time)).await;
                Ok::<_, String>(time)
            });
            let came = timed(if ordered { map.ordered() } else { map }).await;
            let expected = [(15, Ok(10)), (20, Err("source".to_owned()))];
            assert_eq!(came, expected[usize::from(ordered)..]);
            assert_eq!((gauge.now(), gauge.total()), (0, 2));
        });
    }
}

#[test]
fn the_source_is_dropped_with_the_error() {
    World::run(async |_| {
        let gauge = Gauge::default();
        let inside = gauge.enter();
        let source = stream::iter(0..).map(move |n| {
            let _inside = &inside;
            Ok::<u32, ()>(n)
        });
        let mut map = source.try_par_map(2, async |n| if n == 1 { Err(()) } else { Ok(n) });
        while map.next().await != Some(Err(())) {}
        assert_eq!(gauge.now(), 0);
    });
}

#[test]
fn what_was_finished_before_the_error_is_not_lost() {
    World::run(async |_| {
        for ordered in [false, true] {
            let gauge = Gauge::default();
            let inner = gauge.clone();
            let map = stream::iter([10, 20, 60, 40, 30]).map(Ok::<_, ()>).try_par_map(5, async move |time| {
                let _inside = inner.enter();
                sleep(ms(time)).await;
                if time == 40 { Err(()) } else { Ok(time) }
            });
            let mut map = if ordered { map.ordered() } else { map };
            assert!(map.next().now_or_never().is_none());
            sleep(ms(50)).await;
            assert_eq!((map.next().await, gauge.now()), (Some(Ok(10)), 1));
            // That poll saw the error: the last item is aborted while there are results to return.
            yield_now().await;
            assert_eq!(gauge.now(), 0);
            let expected = [Ok(20), Ok(30), Err(())];
            let rest: Vec<_> = map.collect().await;
            assert_eq!(rest, if ordered { vec![expected[0], expected[2]] } else { expected.to_vec() });
        }
    });
}

#[test]
fn of_two_errors_the_first_one_is_given_and_no_other() {
    World::run(async |_| {
        let map = stream::iter([3, 1, 2]).map(Ok::<u64, u64>).try_par_map(3, async |time| {
            sleep(ms(time)).await;
            Err::<(), _>(time)
        });
        assert_eq!(timed(map).await, [(1, Err(1))]);
    });
}

#[test]
fn the_error_type_of_the_function_may_be_its_own() {
    #[derive(Debug, PartialEq)]
    enum Failed {
        Source(&'static str),
        Item(ParseIntError),
    }
    impl From<&'static str> for Failed {
        fn from(error: &'static str) -> Self {
            Self::Source(error)
        }
    }
    impl From<ParseIntError> for Failed {
        fn from(error: ParseIntError) -> Self {
            Self::Item(error)
        }
    }
    let parse = |words: [Result<&'static str, &'static str>; 2]| {
        stream::iter(words)
            .try_par_map(1, async |word| Ok::<u8, Failed>(word.parse()?))
            .try_collect::<Vec<_>>()
    };
    World::run(async |_| {
        let not_a_number = "x".parse::<u8>().unwrap_err();
        assert_eq!(parse([Ok("1"), Ok("2")]).await, Ok(vec![1, 2]));
        assert_eq!(parse([Ok("x"), Ok("2")]).await, Err(Failed::Item(not_a_number)));
        assert_eq!(parse([Ok("1"), Err("gone")]).await, Err(Failed::Source("gone")));
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// With room for all items, the stream ends at the earliest error, after exactly the results of the items that end before
    /// it.
    #[test]
    fn the_stream_ends_with_the_earliest_error(
        times in Just((1..=12).collect::<Vec<u64>>()).prop_shuffle(),
        fails in prop::collection::vec(any::<bool>(), 12),
        ordered: bool,
    ) {
        let items: Vec<(u64, bool)> = times.into_iter().zip(fails).collect();
        let end = items.iter().filter(|(_, fails)| *fails).map(|(time, _)| *time).min();
        let mut expected: Vec<(u64, Result<u64, u64>)> = Vec::new();
        let mut turn = 0;
        for &(time, _) in &items {
            turn = turn.max(time);
            expected.push((if ordered { turn } else { time }, Ok(time)));
        }
        expected.sort_by_key(|(came, _)| *came);
        expected.retain(|(came, _)| end.is_none_or(|end| *came < end));
        expected.extend(end.map(|end| (end, Err(end))));
        World::run(async |_| {
            let source = strict(stream::iter(items).map(Ok::<_, u64>));
            let map = source.try_par_map(12, async |(time, fails)| {
                wait(ms(time)).await;
                if fails { Err(time) } else { Ok(time) }
            });
            assert_eq!(timed(if ordered { map.ordered() } else { map }).await, expected);
        });
    }
}
