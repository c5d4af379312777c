//! Merging: fair shares, inputs that come and go, and the ends.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use evenkeel_stream::{Generate, generate, merge};
use evenkeel_testkit::{World, assert_took, cancel, waker::counting};
use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use proptest::prelude::*;
use tokio::time::sleep;

use crate::support::{Gauge, ms, slow, strict, timed};

#[test]
fn inputs_that_are_always_ready_take_turns() {
    World::run(async |_| {
        for inputs in [1, 2, 5, 100] {
            let merged = merge((0..inputs).map(stream::repeat));
            let mut counts = BTreeMap::new();
            let came: Vec<_> = merged.take(inputs * 20).collect().await;
            came.into_iter().for_each(|input| *counts.entry(input).or_insert(0) += 1);
            assert_eq!(counts.len(), inputs);
            assert!(counts.values().all(|count| *count == 20), "{counts:?}");
        }
    });
}

#[test]
fn a_late_input_gets_its_share_beside_busy_ones() {
    World::run(async |_| {
        let mut merged = merge([stream::repeat(0).boxed(), stream::repeat(1).boxed()]);
        assert_eq!(merged.by_ref().take(10).count().await, 10);
        merged.add(stream::repeat(2).boxed());
        let next: Vec<_> = merged.by_ref().take(9).collect().await;
        assert_eq!(next.iter().filter(|input| **input == 2).count(), 3);
        // One that wakes up comes at once, too.
        merged.add(slow([(10, 3)]).boxed());
        assert_eq!(merged.by_ref().take(30).filter(|input| std::future::ready(*input == 3)).count().await, 0);
        sleep(ms(10)).await;
        assert!(merged.take(4).any(async |input| input == 3).await);
    });
}

#[test]
fn items_come_at_their_own_time_and_in_the_order_of_their_input() {
    World::run(async |_| {
        let merged = merge([slow([(10, 'a'), (30, 'b'), (0, 'c')]), slow([(20, 'd'), (50, 'e'), (0, 'f')])]);
        assert_eq!(timed(merged).await, [(10, 'a'), (20, 'd'), (40, 'b'), (40, 'c'), (70, 'e'), (70, 'f')]);
    });
}

#[test]
fn it_ends_with_its_last_input_each_of_which_is_dropped_at_its_end() {
    World::run(async |_| {
        assert_eq!(merge::<Generate<u8>>([]).next().await, None);
        let gauge = Gauge::default();
        let input = |time| {
            let inside = gauge.enter();
            strict(slow([(time, time)]).map(move |time| (&inside, time).1))
        };
        let mut merged = merge([input(10), input(20)]);
        assert_eq!((merged.inputs(), merged.size_hint()), (2, (0, None)));
        assert_eq!(merged.next().await, Some(10));
        assert_eq!(assert_took!(merged.next(), ms(10)), Some(20));
        assert_eq!((gauge.now(), merged.inputs()), (1, 1), "the first one has ended");
        assert_eq!(merged.next().await, None);
        assert_eq!((gauge.now(), merged.next().await, merged.size_hint()), (0, None, (0, Some(0))));
    });
}

#[test]
fn its_size_is_the_sum() {
    let merged = merge([stream::iter(0..3), stream::iter(0..4)]);
    assert_eq!(merged.size_hint(), (7, Some(7)));
    let handle = merged.handle();
    assert_eq!(merged.size_hint(), (7, None));
    drop(handle);
    assert_eq!(merged.size_hint(), (7, Some(7)));
    let endless = merge([stream::repeat(0), stream::repeat(1)]);
    assert_eq!(endless.size_hint(), (usize::MAX, None));
}

#[test]
fn handles_add_inputs_and_keep_it_open() {
    World::run(async |_| {
        let mut merged = merge([]);
        let handle = merged.handle();
        let other = handle.clone();
        drop(handle);
        tokio::spawn(async move {
            sleep(ms(10)).await;
            other.add(slow([(5, 'a')]).boxed()).ok().unwrap();
            sleep(ms(10)).await;
        });
        assert_eq!(assert_took!(merged.next(), ms(15)), Some('a'));
        assert_eq!(assert_took!(merged.next(), ms(5)), None);
        // After the end nothing is added.
        let late = merged.handle();
        assert!(late.add(slow([(5, 'b')]).boxed()).is_err());
        assert_eq!(merged.next().await, None);

        let merged = merge([stream::iter([1])]);
        let handle = merged.handle();
        handle.add(stream::iter([2])).unwrap();
        assert_eq!(merged.inputs(), 2);
        drop(merged);
        assert!(handle.add(stream::iter([3])).is_err());
    });
}

/// Counts its polls, and never has an item; wakes itself if it is told to.
struct Silent {
    polls: Arc<AtomicUsize>,
    wakes: bool,
}

impl Stream for Silent {
    type Item = u8;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<u8>> {
        self.polls.fetch_add(1, SeqCst);
        if self.wakes {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

#[test]
fn a_call_polls_each_input_at_most_once() {
    let polls = Arc::new(AtomicUsize::new(0));
    let mut merged = merge((0..10).map(|_| Silent { polls: polls.clone(), wakes: true }));
    let (waker, wakes) = counting();
    for call in 1..5 {
        assert!(merged.poll_next_unpin(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(polls.load(SeqCst), 10 * call);
        assert!(wakes.load(SeqCst) >= call, "it asks to be polled again");
    }
}

#[test]
fn silent_inputs_are_not_polled_again() {
    World::run(async |_| {
        let polls = Arc::new(AtomicUsize::new(0));
        let silent = (0..1000).map(|_| Silent { polls: polls.clone(), wakes: false }.boxed());
        let busy = slow((0..100).map(|_| (1, 1_u8))).boxed();
        let merged = merge(silent.chain([busy]));
        assert_eq!(merged.take(100).count().await, 100);
        assert_eq!(polls.load(SeqCst), 1000);
    });
}

#[test]
fn a_ready_merge_lets_other_tasks_run() {
    World::run(async |_| {
        let turn = tokio::spawn(async {});
        let mut merged = merge([stream::repeat(0)]);
        while !turn.is_finished() {
            merged.next().await;
        }
    });
}

#[test]
fn an_input_that_panics_is_dropped_and_the_others_go_on() {
    World::run(async |_| {
        let broken = stream::poll_fn(|_| std::panic::resume_unwind(Box::new("boom"))).boxed();
        let mut merged = merge([stream::iter([1, 2]).boxed(), broken, stream::iter([3]).boxed()]);
        let mut came = Vec::new();
        let mut panics = 0;
        loop {
            match evenkeel_task::catch_panic(merged.next()).await {
                Ok(Some(item)) => came.push(item),
                Ok(None) => break,
                Err(_) => panics += 1,
            }
        }
        assert_eq!((came, panics, merged.inputs()), (vec![1, 3, 2], 1, 0));
    });
}

#[test]
fn it_moves_between_tasks() {
    World::run(async |_| {
        let mut merged = merge([slow([(10, 1)]).boxed(), slow([(20, 2)]).boxed()]);
        assert!(merged.next().now_or_never().is_none());
        let merged = tokio::spawn(async move {
            assert_eq!(merged.next().await, Some(1));
            merged
        });
        assert_eq!(merged.await.unwrap().next().await, Some(2));
    });
}

#[test]
fn it_can_be_dropped_at_every_await() {
    let cuts = cancel::every_point(
        async || Gauge::default(),
        async |gauge| {
            let input = |from: u64| {
                let inside = gauge.enter();
                slow((from..from + 4).map(|time| (time, time))).map(move |time| (&inside, time).1).boxed()
            };
            let merged = merge([input(1), input(2)]);
            merged.handle().add(input(3)).ok().unwrap();
            assert_eq!(merged.count().await, 12);
        },
        async |gauge| assert_eq!(gauge.now(), 0),
    );
    assert!(cuts.points() > 5);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn it_has_the_items_of_all_inputs_each_at_its_time(
        inputs in prop::collection::vec(prop::collection::vec(0..10_u64, 0..10), 0..6),
    ) {
        World::run(async |_| {
            let streams = inputs.iter().enumerate().map(|(input, gaps)| {
                let items: Vec<_> = gaps.iter().enumerate().map(|(n, gap)| (*gap, (input, n))).collect();
                slow(items).boxed()
            });
            let came = timed(merge(streams)).await;
            for (input, gaps) in inputs.iter().enumerate() {
                let mut clock = 0;
                let expected: Vec<_> = gaps.iter().enumerate().map(|(n, gap)| { clock += gap; (clock, (input, n)) }).collect();
                let came: Vec<_> = came.iter().filter(|(_, (from, _))| *from == input).copied().collect();
                assert_eq!(came, expected);
            }
            assert!(came.is_sorted_by_key(|(time, _)| *time));
        });
    }
}

#[test]
fn generators_can_be_merged() {
    World::run(async |_| {
        let numbers = |from: u32| {
            generate(move |y| async move {
                for n in 0..3 {
                    y.yield_(from + n).await;
                }
            })
        };
        assert_eq!(merge([numbers(0), numbers(10)]).collect::<Vec<_>>().await, [0, 10, 1, 11, 2, 12]);
    });
}

/// A stream keeps its waker after its end, as a channel does whose sender goes later; its place goes to another stream.
#[test]
fn the_waker_of_an_input_that_has_ended_gives_nobody_a_second_turn() {
    World::run(async |_| {
        let (kept, left) = std::sync::mpsc::channel();
        let mut merged = merge([stream::repeat('a').boxed()]);
        for _ in 0..10 {
            let kept = kept.clone();
            merged.add(
                stream::poll_fn(move |cx| {
                    kept.send(cx.waker().clone()).unwrap();
                    Poll::Ready(None)
                })
                .boxed(),
            );
        }
        merged.by_ref().take(20).count().await;
        assert_eq!(merged.inputs(), 1);
        merged.add(stream::repeat('b').boxed());
        left.try_iter().for_each(|waker| waker.wake());
        merged.by_ref().take(20).count().await;
        let letters: String = merged.by_ref().take(100).collect().await;
        assert_eq!(letters.matches('b').count(), 50);
    });
}
