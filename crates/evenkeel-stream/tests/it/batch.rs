//! Batches by number, size, time, and a predicate.

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
        assert_eq!(stream::empty::<u8>().batch(Batch::items(3).within(ms(10))).next().await, None);
        // Silence before, between and after the items.
        let source = slow([(1000, Some(1)), (1000, Some(2)), (1000, None)]).filter_map(async |item| item);
        assert_eq!(
            timed(source.batch(Batch::items(3).within(ms(10)))).await,
            [(1010, vec![1]), (2010, vec![2])]
        );
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
    let _ = Batch::<u8>::items(0);
}

#[test]
#[should_panic = "the number of bytes in a batch must not be zero"]
fn a_batch_of_no_bytes_panics() {
    let _ = Batch::<u8>::items(1).max_bytes(0, |_| 1);
}

#[test]
fn no_batch_is_larger_than_its_bytes_but_one_of_a_single_item() {
    World::run(async |_| {
        let batches = |max, sizes: &[usize]| {
            let batch = Batch::items(4).max_bytes(max, |size: &usize| *size);
            stream::iter(sizes.to_vec()).batch(batch).collect::<Vec<_>>()
        };
        assert_eq!(batches(10, &[3, 7, 1, 9, 9, 2]).await, [vec![3, 7], vec![1, 9], vec![9], vec![2]]);
        assert_eq!(batches(10, &[1, 99, 98, 1]).await, [[1], [99], [98], [1]]);
        assert_eq!(batches(1, &[0, 0, 0, 0, 0, 1, 0]).await, [vec![0; 4], vec![0, 1], vec![0]]);
        let huge = usize::MAX;
        assert_eq!(batches(huge, &[huge - 1, 1, huge, 1]).await, [vec![huge - 1, 1], vec![huge], vec![1]]);
        assert_eq!(batches(huge, &[huge, huge]).await, [[huge], [huge]]);
    });
}

#[test]
fn an_item_that_did_not_fit_has_its_own_time() {
    World::run(async |_| {
        let batch = Batch::items(9).max_bytes(10, |size: &usize| *size).within(ms(20));
        let source = slow([(0, 6), (15, 6), (15, 1), (100, 10), (1, 1)]);
        let came = timed(source.batch(batch)).await;
        assert_eq!(came, [(15, vec![6]), (35, vec![6, 1]), (130, vec![10]), (131, vec![1])]);
    });
}

#[test]
fn a_predicate_ends_a_batch_behind_its_item() {
    World::run(async |_| {
        let batch = Batch::items(3).ends_after(|n: &u64| n % 4 == 3);
        let came = timed(slow((0..9).map(|n| (1, n))).batch(batch)).await;
        assert_eq!(came, [(3, vec![0, 1, 2]), (4, vec![3]), (7, vec![4, 5, 6]), (8, vec![7]), (9, vec![8])]);
        // It may remember.
        let mut last = 0;
        let rises = Batch::items(99).ends_after(move |n: &i32| std::mem::replace(&mut last, *n) > *n);
        let came: Vec<_> = stream::iter([1, 2, 1, 5, 3, 4]).batch(rises).collect().await;
        assert_eq!(came, [vec![1, 2, 1], vec![5, 3], vec![4]]);
    });
}

#[test]
fn the_rest_can_be_taken_back() {
    World::run(async |_| {
        let source = slow([(0, 6), (0, 5), (0, 1), (1000, 1)]).boxed();
        let mut batches = source.batch(Batch::items(9).max_bytes(10, |size: &usize| *size));
        assert_eq!(batches.next().await, Some(vec![6]));
        assert!(batches.next().now_or_never().is_none());
        assert_eq!(batches.into_rest(), [5, 1]);
        assert!(stream::iter([1]).batch(Batch::items(1)).into_rest().is_empty(), "nothing was asked for");
    });
}

#[test]
fn a_panic_of_a_closure_loses_no_other_item() {
    World::run(async |_| {
        let size = |n: &u8| if *n == 3 { std::panic::resume_unwind(Box::new("size")) } else { 1 };
        let last = |n: &u8| if *n == 5 { std::panic::resume_unwind(Box::new("last")) } else { false };
        let mut batches = stream::iter(0..8_u8).batch(Batch::items(4).max_bytes(99, size).ends_after(last));
        let (mut came, mut panics) = (Vec::new(), Vec::new());
        loop {
            match evenkeel_task::catch_panic(batches.next()).await {
                Ok(Some(batch)) => came.push(batch),
                Ok(None) => break,
                Err(panic) => panics.push(panic.message().unwrap().to_owned()),
            }
        }
        assert_eq!(
            (came, panics),
            (vec![vec![0, 1, 2, 4], vec![5, 6, 7]], vec!["size".into(), "last".into()])
        );
    });
}

#[test]
fn an_endless_source_lets_other_tasks_run() {
    World::run(async |_| {
        let turn = tokio::spawn(async {});
        let mut batches = stream::repeat(0).batch(Batch::items(usize::MAX));
        assert!(batches.next().now_or_never().is_none());
        turn.await.unwrap();
        assert!(batches.into_rest().len() > 50);
    });
}

/// Returns the batches and their times, of items that come at `times` from a source that ends at `end`. The size of an item
/// is its time modulo 7.
fn model(items: usize, bytes: u64, within: Option<u64>, times: &[u64], end: u64) -> Vec<(u64, Vec<u64>)> {
    let mut out: Vec<(u64, Vec<u64>)> = Vec::new();
    let (mut batch, mut start): (Vec<u64>, u64) = (Vec::new(), 0);
    let over = |batch: &[u64], start: u64, now| {
        (!batch.is_empty()).then_some(start + within?).filter(|over| *over <= now)
    };
    let sum = |batch: &[u64]| batch.iter().map(|time| time % 7).sum::<u64>();
    for &time in times {
        if let Some(over) = over(&batch, start, time) {
            out.push((over, std::mem::take(&mut batch)));
        }
        if !batch.is_empty() && sum(&batch) + time % 7 > bytes {
            out.push((time, std::mem::take(&mut batch)));
        }
        if batch.is_empty() {
            start = time;
        }
        batch.push(time);
        if batch.len() == items || sum(&batch) >= bytes || time % 11 == 3 {
            out.push((time, std::mem::take(&mut batch)));
        }
    }
    if !batch.is_empty() {
        out.push((over(&batch, start, end).unwrap_or(end), batch));
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn batches_come_as_the_model_says(
        items in 1_usize..6,
        bytes in 1_u64..20,
        within in prop::option::of(1_u64..20),
        gaps in prop::collection::vec(prop_oneof![Just(0), 0..8_u64, 0..40_u64], 0..40),
        tail in 0..40_u64,
    ) {
        let mut clock = 0;
        let times: Vec<u64> = gaps.iter().map(|gap| { clock += gap; clock }).collect();
        let expected = model(items, bytes, within, &times, clock + tail);
        World::run(async |_| {
            let steps: Vec<_> = gaps.iter().copied().zip(times.iter().copied().map(Some)).chain([(tail, None)]).collect();
            let source = slow(steps).filter_map(async |time| time);
            let size = |time: &u64| usize::try_from(time % 7).expect("small");
            let max = usize::try_from(bytes).expect("small");
            let mut batch = Batch::items(items).max_bytes(max, size).ends_after(|time| time % 11 == 3);
            if let Some(within) = within {
                batch = batch.within(ms(within));
            }
            assert_eq!(timed(source.batch(batch)).await, expected);
        });
    }
}

#[test]
fn a_panic_of_the_predicate_does_not_take_the_batch_before_along() {
    World::run(async |_| {
        let last = |n: &u8| if *n == 3 { std::panic::resume_unwind(Box::new("last")) } else { false };
        let mut batches = stream::iter(1..5_u8)
            .batch(Batch::items(9).max_bytes(4, |n| usize::from(*n)).ends_after(last).within(ms(1000)));
        assert!(evenkeel_task::catch_panic(batches.next()).await.is_err());
        assert_eq!(batches.size_hint(), (2, Some(3)));
        assert_eq!(batches.next().await, Some(vec![1, 2]));
        assert_eq!(batches.next().await, Some(vec![3]));
        assert_eq!(batches.next().await, Some(vec![4]));
        assert_eq!(batches.next().await, None);

        let mut batches =
            stream::iter([1, 2, 3]).batch(Batch::items(9).max_bytes(4, |n| usize::from(*n)).ends_after(last));
        assert!(evenkeel_task::catch_panic(batches.next()).await.is_err());
        assert_eq!(batches.into_rest(), [1, 2, 3]);
    });
}
