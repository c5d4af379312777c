//! Batches by number and time.

use std::{
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use evenkeel_stream::{Batch, prelude::*};
use evenkeel_testkit::{World, assert_took};
use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use proptest::prelude::*;
use tokio::time::{advance, sleep};

use crate::support::{ms, slow, timed};

#[test]
fn batches_by_number_have_a_remainder() {
    World::run(async |_| {
        let batches = |items| stream::iter(0..7).batch(Batch::items(items)).collect::<Vec<_>>();
        assert_eq!(batches(3).await, [vec![0, 1, 2], vec![3, 4, 5], vec![6]]);
        assert_eq!(batches(7).await, [(0..7).collect::<Vec<_>>()]);
        assert_eq!(batches(1).await.len(), 7);
        assert_eq!(batches(usize::MAX).await.len(), 1);
    });
}

#[test]
fn no_batch_is_empty() {
    World::run(async |_| {
        let batch = Batch::items(3).within(ms(10));
        assert_eq!(stream::empty::<u8>().batch(batch).next().await, None);
        // Silence before, between and after the items.
        let source = slow([(1000, Some(1)), (1000, Some(2)), (1000, None)]).filter_map(async |item| item);
        assert_eq!(timed(source.batch(batch)).await, [(1010, vec![1]), (2010, vec![2])]);
    });
}

#[test]
fn the_timer_of_an_old_batch_does_not_cut_a_new_one() {
    World::run(async |_| {
        // The first batch is full at 15, when its timer, for 20, runs already.
        let source = slow([(0, 1), (15, 2), (0, 3), (10, 4), (100, 5)]);
        let came = timed(source.batch(Batch::items(2).within(ms(20)))).await;
        assert_eq!(came, [(15, vec![1, 2]), (25, vec![3, 4]), (125, vec![5])]);
    });
}

#[test]
fn the_capacity_grows_with_the_content() {
    World::run(async |_| {
        let mut batches = slow([(0, 1_u64), (1000, 2)]).batch(Batch::items(10_000_000).within(ms(5))).boxed();
        let batch = assert_took!(batches.next(), ms(5)).unwrap();
        assert!(batch.capacity() < 10);
    });
}

/// A source that is always ready, and needs ten milliseconds for each item.
struct Busy;

impl Stream for Busy {
    type Item = ();

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<()>> {
        // The first poll moves the clock, the second would only yield to other tasks.
        assert!(pin!(advance(ms(10))).poll(cx).is_pending());
        Poll::Ready(Some(()))
    }
}

#[test]
fn the_time_holds_behind_a_source_that_is_always_ready() {
    World::run(async |_| {
        let mut batches = Busy.batch(Batch::items(1000).within(ms(50)));
        for _ in 0..3 {
            // The first item is there after 10 ms, the batch 50 ms later.
            assert_eq!(assert_took!(batches.next(), ms(60)).unwrap().len(), 6);
        }
    });
}

#[test]
fn a_batch_whose_time_is_over_is_the_next_thing_that_a_late_consumer_gets() {
    World::run(async |_| {
        let batches = slow([(0, 1), (10, 2), (30, 3), (0, 4)]).batch(Batch::items(3).within(ms(20)));
        let mut batches = pin!(batches);
        assert!(batches.next().now_or_never().is_none());
        sleep(ms(100)).await;
        assert_eq!(assert_took!(batches.next(), ms(0)), Some(vec![1]));
        assert_eq!(assert_took!(batches.next(), ms(20)), Some(vec![2]));
        assert_eq!(assert_took!(batches.next(), ms(10)), Some(vec![3, 4]));
    });
}

#[test]
fn a_time_without_end_is_no_time() {
    World::run(async |_| {
        let source = slow([(0, 1), (1_000_000, 2)]);
        let came = timed(source.batch(Batch::items(3).within(Duration::MAX))).await;
        assert_eq!(came, [(1_000_000, vec![1, 2])]);
    });
}

#[test]
fn with_no_time_every_item_is_a_batch() {
    World::run(async |_| {
        let batches = stream::iter([1, 2, 3]).batch(Batch::items(10).within(Duration::ZERO));
        assert_eq!(batches.collect::<Vec<_>>().await, [[1], [2], [3]]);
    });
}

#[test]
#[should_panic = "the number of items in a batch must not be zero"]
fn a_batch_of_no_items_panics() {
    let _ = Batch::items(0);
}

/// Returns the batches and their times, of items that come at `times` from a source that ends at `end`.
fn model(items: usize, within: Option<u64>, times: &[u64], end: u64) -> Vec<(u64, Vec<u64>)> {
    let mut out: Vec<(u64, Vec<u64>)> = Vec::new();
    let mut batch: Vec<u64> = Vec::new();
    let over = |batch: &[u64], now| Some(*batch.first()? + within?).filter(|over| *over <= now);
    for &time in times {
        if let Some(over) = over(&batch, time) {
            out.push((over, std::mem::take(&mut batch)));
        }
        batch.push(time);
        if batch.len() == items {
            out.push((time, std::mem::take(&mut batch)));
        }
    }
    if !batch.is_empty() {
        out.push((over(&batch, end).unwrap_or(end), batch));
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn batches_come_as_the_model_says(
        items in 1_usize..6,
        within in prop::option::of(1_u64..20),
        gaps in prop::collection::vec(prop_oneof![Just(0), 0..8_u64, 0..40_u64], 0..40),
        tail in 0..40_u64,
    ) {
        let mut clock = 0;
        let times: Vec<u64> = gaps.iter().map(|gap| { clock += gap; clock }).collect();
        let expected = model(items, within, &times, clock + tail);
        World::run(async |_| {
            let steps: Vec<_> = gaps.iter().copied().zip(times.iter().copied().map(Some)).chain([(tail, None)]).collect();
            let source = slow(steps).filter_map(async |time| time);
            let batch = Batch::items(items);
            let batch = within.map_or(batch, |within| batch.within(ms(within)));
            assert_eq!(timed(source.batch(batch)).await, expected);
        });
    }
}
