//! No task outlives its test.

use std::{future::pending, time::Duration};

use evenkeel_testkit::World;
use tokio::{
    sync::oneshot,
    task::spawn_local,
    time::{interval, sleep},
};

use crate::{MS, panic_of};

#[test]
fn a_task_that_never_ends_fails_the_test() {
    let message = panic_of(|| {
        World::run(async |_| {
            tokio::spawn(pending::<()>());
            tokio::spawn(sleep(MS));
            spawn_local(pending::<()>());
        });
    });
    assert!(message.starts_with("2 task(s) still alive 1 h of virtual time after"), "{message}");
}

#[test]
fn a_task_that_ticks_for_ever_fails_the_test() {
    let message = panic_of(|| {
        World::run(async |_| {
            tokio::spawn(async {
                let mut ticks = interval(Duration::from_secs(60));
                loop {
                    ticks.tick().await;
                }
            });
        });
    });
    assert!(message.starts_with("1 task(s) still alive"), "{message}");
}

#[test]
fn tasks_that_end_by_themselves_are_no_leak() {
    World::run(async |_| {
        tokio::spawn(sleep(Duration::from_secs(59 * 60)));
        tokio::spawn(sleep(Duration::from_secs(60 * 60)));
        let (keep, closed) = oneshot::channel::<()>();
        tokio::spawn(closed);
        tokio::spawn(pending::<()>()).abort();
        drop(keep);
    });
}

#[test]
fn as_many_leaks_as_allowed_pass() {
    let leak = |allowed| {
        World::builder().allow_leaks(allowed).run(async |_| {
            tokio::spawn(pending::<()>());
            tokio::spawn(pending::<()>());
        });
    };
    leak(2);
    assert!(panic_of(|| leak(1)).contains("and 1 may be"));
}
