//! The order of the input, within the limit.

use std::future::pending;

use evenkeel_stream::prelude::*;
use evenkeel_testkit::World;
use futures::{FutureExt as _, StreamExt as _, stream};
use tokio::time::{sleep, timeout};

use crate::support::{Gauge, ms, timed};

async fn wait_ms(time: u64) -> u64 {
    sleep(ms(time)).await;
    time
}

#[test]
fn completion_order_is_the_default() {
    World::run(async |_| {
        let came = timed(stream::iter([30, 10, 20]).par_map(3, wait_ms)).await;
        assert_eq!(came, [(10, 10), (20, 20), (30, 30)]);
    });
}

#[test]
fn ordered_is_the_order_of_the_input() {
    World::run(async |_| {
        let came = timed(stream::iter([30, 10, 40, 20]).par_map(4, wait_ms).ordered()).await;
        assert_eq!(came, [(30, 30), (30, 10), (40, 40), (40, 20)]);
    });
}

#[test]
fn settled_keeps_the_order_in_either_way_to_say_it() {
    World::run(async |_| {
        let source = || stream::iter([Ok(30), Err("source"), Ok(10), Ok(20)]);
        let work = async |time| if time == 10 { Err("item") } else { Ok(wait_ms(time).await) };
        let one = source().try_par_map(4, work).ordered().settled().map(|outcome| outcome.ok());
        let two = source().try_par_map(4, work).settled().ordered().map(|outcome| outcome.ok());
        let expected = [(30, Some(30)), (30, None), (30, None), (30, Some(20))];
        assert_eq!((timed(one).await, timed(two).await), (expected.to_vec(), expected.to_vec()));
    });
}

#[test]
fn behind_a_stuck_item_the_window_fills_and_no_more_starts() {
    World::run(async |_| {
        for window in [1, 8] {
            let gauge = Gauge::default();
            let inner = gauge.clone();
            let mut map = stream::iter(0..1000)
                .par_map(window, async move |n| {
                    let _inside = inner.enter();
                    if n == 0 { pending().await } else { sleep(ms(1)).await }
                })
                .ordered();
            timeout(ms(1000), map.next()).await.unwrap_err();
            assert_eq!((gauge.total(), gauge.now()), (window, 1));
        }
    });
}

#[test]
fn without_an_order_a_stuck_item_holds_up_nothing() {
    World::run(async |_| {
        let mut map = stream::iter(0..1000).par_map(8, async |n| if n == 0 { pending().await } else { n });
        for _ in 1..1000 {
            map.next().await.unwrap();
        }
        assert!(map.next().now_or_never().is_none());
    });
}

#[test]
#[should_panic = "the order must be chosen before the stream is polled"]
fn the_order_cannot_change_half_way() {
    World::run(async |_| {
        let mut map = stream::iter([10, 20]).par_map(2, wait_ms);
        map.next().await;
        drop(map.ordered());
    });
}
