//! Progress by a hook: its numbers, how often it is called, and its panic.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_stream::{Progress, WithProgress, prelude::*};
use evenkeel_testkit::World;
use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use tokio::time::sleep;

use crate::support::{ms, slow, strict};

type Calls = Arc<Mutex<Vec<Progress>>>;

fn recorded<S: Stream>(stream: S) -> (WithProgress<S>, Calls) {
    let calls = Calls::default();
    let record = calls.clone();
    (stream.progress(move |progress| record.lock().expect("no panic").push(*progress)), calls)
}

fn taken(calls: &Calls) -> Vec<(u64, Option<u64>, u128, bool)> {
    let calls = calls.lock().expect("no panic");
    calls.iter().map(|p| (p.done, p.total, p.elapsed.as_millis(), p.has_ended)).collect()
}

#[test]
fn it_counts_each_item_and_the_end() {
    World::run(async |_| {
        let source = stream::iter(0..3).par_map(1, async |n| {
            sleep(ms(10)).await;
            n
        });
        let (items, calls) = recorded(strict(source));
        // The time before the first poll does not count.
        sleep(ms(100)).await;
        assert_eq!(items.collect::<Vec<_>>().await, [0, 1, 2]);
        let three = Some(3);
        let expected =
            [(1, three, 10, false), (2, three, 20, false), (3, three, 30, false), (3, three, 30, true)];
        assert_eq!(taken(&calls), expected);
    });
}

#[test]
fn a_total_that_is_not_known_can_be_told() {
    World::run(async |_| {
        let (items, calls) = recorded(slow((0..2).map(|n| (10, n))));
        items.count().await;
        assert_eq!(taken(&calls), [(1, None, 10, false), (2, None, 20, false), (2, Some(2), 20, true)]);
        let (items, calls) = recorded(slow((0..2).map(|n| (10, n))));
        items.total(1).count().await;
        let totals: Vec<_> = taken(&calls).into_iter().map(|call| call.1).collect();
        assert_eq!(totals, [Some(1), Some(2), Some(2)], "never less than there are");
    });
}

#[test]
fn it_is_called_no_more_than_every_so_often_but_at_the_end() {
    World::run(async |_| {
        let (items, calls) = recorded(slow((0..10).map(|n| (10, n))));
        items.every(ms(35)).count().await;
        let times: Vec<_> = taken(&calls).into_iter().map(|call| call.2).collect();
        assert_eq!(times, [10, 50, 90, 100]);
        let (items, calls) = recorded(slow((0..10).map(|n| (10, n))));
        items.every(Duration::MAX).count().await;
        assert_eq!(taken(&calls).len(), 2);
        let (items, calls) = recorded(stream::empty::<u8>());
        items.count().await;
        assert_eq!(taken(&calls), [(0, Some(0), 0, true)]);
    });
}

#[test]
fn the_rate_and_the_time_that_is_left_follow_from_the_numbers() {
    World::run(async |_| {
        let (items, calls) = recorded(slow((0..3).map(|n| (500, n))));
        let mut items = Box::pin(items.total(8));
        assert!(items.next().await.is_some() && items.next().await.is_some());
        let progress = *calls.lock().unwrap().last().unwrap();
        assert_eq!((progress.rate(), progress.eta()), (Some(2.0), Some(Duration::from_secs(3))));
        // Without time, rate or total there is none; and no number breaks it.
        let at = |done, total, elapsed| {
            let mut at = progress;
            (at.done, at.total, at.elapsed) = (done, total, elapsed);
            at
        };
        assert_eq!((at(5, Some(9), ms(0)).rate(), at(5, Some(9), ms(0)).eta()), (None, None));
        assert_eq!(at(0, Some(9), ms(10)).eta(), None);
        assert_eq!(at(5, None, ms(10)).eta(), None);
        assert_eq!(at(9, Some(9), ms(0)).eta(), Some(Duration::ZERO));
        assert_eq!(at(1, Some(u64::MAX), Duration::MAX).eta(), Some(Duration::MAX));
    });
}

#[test]
fn a_panic_of_the_hook_loses_no_item() {
    World::run(async |_| {
        let mut items = stream::iter(0..3).progress(|progress| {
            if progress.done == 2 && !progress.has_ended {
                std::panic::resume_unwind(Box::new("boom"));
            }
        });
        assert_eq!(items.next().await, Some(0));
        assert!(evenkeel_task::catch_panic(items.next()).await.is_err());
        assert_eq!(items.size_hint(), (2, Some(2)));
        assert_eq!(items.by_ref().collect::<Vec<_>>().await, [1, 2]);
        assert_eq!((items.next().await, items.size_hint()), (None, (0, Some(0))));
    });
}

#[test]
fn a_wait_that_is_dropped_loses_nothing() {
    World::run(async |_| {
        let (items, calls) = recorded(slow([(10, 'a')]));
        let mut items = Box::pin(items);
        assert!(items.next().now_or_never().is_none());
        sleep(ms(20)).await;
        assert_eq!(items.next().await, Some('a'));
        drop(items);
        assert_eq!(taken(&calls).len(), 1);
    });
}
