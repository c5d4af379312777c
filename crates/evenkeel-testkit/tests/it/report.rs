//! The report of a world.

use std::future::pending;

use evenkeel_testkit::World;
use tokio::{
    task::yield_now,
    time::{sleep, timeout},
};

use crate::{MS, SECOND};

#[test]
fn a_report_has_the_time_of_the_body_and_not_that_of_the_rest() {
    let (output, report) = World::builder().run_report(async |world| {
        tokio::spawn(sleep(60 * SECOND));
        sleep(SECOND).await;
        world.record().note("slept");
        "output"
    });
    assert_eq!((output, report.virtual_elapsed, report.leaked), ("output", SECOND, 0));
    assert_eq!(report.record.timeline(), [(SECOND, "slept".to_owned())]);
}

#[test]
fn tasks_that_may_leak_are_counted() {
    let ((), report) = World::builder().allow_leaks(3).run_report(async |_| {
        tokio::spawn(pending::<()>());
        tokio::spawn(pending::<()>());
    });
    assert_eq!(report.leaked, 2);
}

#[test]
fn the_body_is_polled_only_when_it_was_woken() {
    let ((), report) = World::builder().run_report(async |world| {
        let busy = tokio::spawn(async {
            for _ in 0..1000 {
                yield_now().await;
            }
        });
        let held = world.hold();
        world.settle().await;
        drop(held);
        let _ = timeout(SECOND, sleep(MS)).await;
        busy.await.unwrap();
    });
    // At first, when settled, and after the sleep.
    assert_eq!(report.polls, 3);
}
