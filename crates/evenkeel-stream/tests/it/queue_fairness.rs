//! A queue that is always ready leaves turns to other tasks.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use evenkeel_stream::{Capacity, queue};
use evenkeel_testkit::World;
use futures::FutureExt as _;
use tokio::task::{JoinHandle, yield_now};

/// Returns the number of turns of a task that only yields.
fn task_with_turns() -> (Arc<AtomicUsize>, JoinHandle<()>) {
    let turns = Arc::new(AtomicUsize::new(0));
    let other = tokio::spawn({
        let turns = turns.clone();
        async move {
            loop {
                turns.fetch_add(1, SeqCst);
                yield_now().await;
            }
        }
    });
    (turns, other)
}

#[test]
fn a_ready_queue_lets_other_tasks_run() {
    World::run(async |_| {
        let (jobs, consumer) = queue(Capacity::items(1));
        let (turns, other) = task_with_turns();
        for item in 0..10_000 {
            jobs.push(item).await.unwrap();
            drop(consumer.pop().await);
        }
        assert!(turns.swap(0, SeqCst) > 30);
        // A handle for each item.
        for item in 0..10_000 {
            jobs.clone().push(item).await.unwrap();
            drop(consumer.clone().pop().await);
        }
        assert!(turns.load(SeqCst) > 30);
        other.abort();
    });
}

/// Each operation that ends comes behind the same number of operations that are dropped: none of these is a step in its
/// place.
#[test]
fn a_ready_queue_lets_other_tasks_run_whatever_is_tried_between_its_operations() {
    for tries in 0..8 {
        World::run(async |_| {
            let (jobs, consumer) = queue(Capacity::items(1));
            let (turns, other) = task_with_turns();
            for item in 0..5_000 {
                for _ in 0..tries {
                    assert!(consumer.pop().now_or_never().is_none());
                }
                jobs.try_push(item).unwrap();
                drop(consumer.pop().await);
            }
            assert!(turns.swap(0, SeqCst) > 5, "{tries} before a pop");
            for item in 0..5_000 {
                jobs.push(item).await.unwrap();
                for _ in 0..tries {
                    assert!(jobs.push(item).now_or_never().is_none());
                }
                drop(consumer.try_pop());
            }
            assert!(turns.load(SeqCst) > 5, "{tries} before a push");
            other.abort();
        });
    }
}
