//! `settle` lets all tasks run that can, and the clock stands still.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use evenkeel_testkit::{World, assert_took};
use tokio::{task::yield_now, time::sleep};

use crate::MS;

/// A task that yields `yields` times, and then sleeps a millisecond.
fn busy(yields: usize, done: &Arc<AtomicUsize>) -> tokio::task::JoinHandle<()> {
    let done = done.clone();
    tokio::spawn(async move {
        for _ in 0..yields {
            yield_now().await;
        }
        done.fetch_add(1, SeqCst);
        sleep(MS).await;
        done.fetch_add(100, SeqCst);
    })
}

#[test]
fn all_that_can_run_has_run_and_no_timer_has_fired() {
    World::run(async |world| {
        let done = Arc::new(AtomicUsize::new(0));
        let tasks = [busy(0, &done), busy(1000, &done), busy(10_000, &done)];
        assert_took!(world.settle(), Duration::ZERO);
        assert_eq!(done.load(SeqCst), 3);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!((done.load(SeqCst), world.elapsed()), (303, MS));
    });
}

#[test]
fn several_tasks_settle_at_once() {
    World::run(async |world| {
        let done = Arc::new(AtomicUsize::new(0));
        let task = busy(100, &done);
        let settle = || {
            let (world, done) = (world.clone(), done.clone());
            tokio::spawn(async move {
                world.settle().await;
                done.load(SeqCst)
            })
        };
        let (first, second) = (settle(), settle());
        assert_eq!((first.await.unwrap(), second.await.unwrap()), (1, 1));
        assert_eq!(world.elapsed(), Duration::ZERO);
        task.await.unwrap();
    });
}

#[test]
fn a_world_with_nothing_to_do_is_settled() {
    World::run(async |world| {
        for _ in 0..3 {
            assert_took!(world.settle(), Duration::ZERO);
        }
    });
}
