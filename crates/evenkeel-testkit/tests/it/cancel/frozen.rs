//! Operations that block others while they are not polled.

use std::sync::Arc;

use evenkeel_testkit::cancel::{CancelReport, every_point};
use tokio::{
    sync::{Mutex, Semaphore},
    task::{JoinSet, yield_now},
    time::sleep,
};

use super::{anything_goes, nothing};
use crate::{MS, SECOND};

/// A lock for which another task asks after a while.
async fn contended() -> Arc<Mutex<()>> {
    let lock = Arc::new(Mutex::new(()));
    let other = lock.clone();
    tokio::spawn(async move {
        sleep(5 * MS).await;
        let _guard = other.lock().await;
        sleep(SECOND).await;
    });
    lock
}

fn frozen_rows(cuts: &CancelReport) -> Vec<String> {
    let table = cuts.to_string();
    let rows = table.lines().filter(|row| row.contains("  frozen  "));
    rows.map(|row| row.rsplit("  ").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_held_lock_is_found() {
    let cuts = every_point(
        contended,
        async |lock| {
            let _guard = lock.lock().await;
            sleep(10 * MS).await;
        },
        anything_goes,
    );
    assert_eq!((cuts.points(), cuts.held_up()), (1, 1));
    assert_eq!(frozen_rows(&cuts), ["held up 1 task(s) while it was not polled"]);
}

#[test]
fn a_lock_that_is_not_held_over_an_await_passes() {
    let cuts = every_point(
        contended,
        async |lock| {
            drop(lock.lock().await);
            sleep(10 * MS).await;
        },
        anything_goes,
    );
    assert_eq!((cuts.points(), cuts.held_up()), (1, 0));
    assert_eq!(frozen_rows(&cuts), ["ok"]);
}

#[test]
fn a_place_in_a_queue_is_found() {
    let cuts = every_point(
        async || {
            let semaphore = Arc::new(Semaphore::new(0));
            for _ in 0..3 {
                let other = semaphore.clone();
                tokio::spawn(async move {
                    sleep(MS).await;
                    drop(other.acquire().await);
                });
            }
            let source = semaphore.clone();
            tokio::spawn(async move {
                sleep(SECOND).await;
                source.add_permits(1);
            });
            semaphore
        },
        async |semaphore| drop(semaphore.acquire().await),
        anything_goes,
    );
    // The operation asked first, so the permit is assigned to it, and it does not take it.
    assert_eq!((cuts.points(), cuts.held_up()), (1, 3));
}

#[test]
fn tasks_of_its_own_are_not_held_up() {
    let cuts = every_point(
        nothing,
        async |()| {
            let mut helpers = JoinSet::new();
            for _ in 0..3 {
                helpers.spawn(std::future::pending::<()>());
            }
            yield_now().await;
        },
        anything_goes,
    );
    assert_eq!((cuts.points(), cuts.held_up()), (1, 0));
}

#[test]
fn tasks_that_take_longer_anyway_are_not_held_up() {
    let cuts = every_point(
        async || drop(tokio::spawn(sleep(90 * 60 * SECOND))),
        async |()| sleep(MS).await,
        anything_goes,
    );
    assert_eq!((cuts.points(), cuts.held_up()), (1, 0));
}

#[test]
fn a_frozen_operation_is_polled_no_more() {
    let cuts = every_point(
        async || Arc::new(Semaphore::new(0)),
        async |polls| {
            for _ in 0..3 {
                sleep(MS).await;
                polls.add_permits(1);
            }
        },
        async |polls| polls.available_permits(),
    );
    assert_eq!(frozen_rows(&cuts), ["atomic", "releases", "releases"]);
}
