//! No task panics unseen.

use std::panic::{AssertUnwindSafe, catch_unwind};

use evenkeel_testkit::World;
use tokio::{
    task::{spawn_blocking, yield_now},
    time::sleep,
};

use crate::{SECOND, panic_of};

#[test]
fn a_detached_panic_fails_the_test() {
    let message = panic_of(|| {
        World::run(async |_| {
            tokio::spawn(async { panic!("boom") });
        });
    });
    assert!(message.starts_with("1 task(s) panicked, and 0 may: boom ("), "{message}");
    assert!(message.contains("tests/it/panic.rs:"), "{message}");
    assert!(message.contains("allow_panics(1)"), "{message}");
}

#[test]
fn a_panic_after_the_end_of_the_body_fails_the_test() {
    let message = panic_of(|| {
        World::run(async |_| {
            tokio::spawn(async {
                sleep(SECOND).await;
                panic!("late {}", 1);
            });
        });
    });
    assert!(message.contains("late 1"), "{message}");
}

#[test]
fn a_panic_in_a_blocking_task_fails_the_test() {
    let message = panic_of(|| {
        World::run(async |_| {
            let _ = spawn_blocking(|| panic!("blocked")).await;
        });
    });
    assert!(message.contains("blocked"), "{message}");
}

#[test]
fn a_panic_that_the_test_means_passes() {
    World::builder().allow_panics(2).run(async |_| {
        assert!(tokio::spawn(async { panic!("meant") }).await.unwrap_err().is_panic());
        tokio::spawn(async { panic!("meant, too") });
        yield_now().await;
    });
}

#[test]
fn a_panic_more_than_the_test_means_fails_it() {
    let message = panic_of(|| {
        World::builder().allow_panics(1).run(async |_| {
            for _ in 0..2 {
                let _ = tokio::spawn(async { panic!("again") }).await;
            }
        });
    });
    assert!(message.starts_with("2 task(s) panicked, and 1 may"), "{message}");
}

#[test]
fn a_panic_that_the_body_catches_is_its_own_affair() {
    World::run(async |_| {
        assert!(catch_unwind(|| panic!("caught")).is_err());
    });
}

#[test]
fn the_panic_of_the_body_is_the_panic_of_the_test() {
    let message = panic_of(|| {
        World::run(async |_| {
            tokio::spawn(async { panic!("the task's") });
            yield_now().await;
            panic!("the body's");
        });
    });
    assert_eq!(message, "the body's");
}

#[test]
fn a_world_is_not_blamed_for_the_panics_of_another() {
    let _ = catch_unwind(AssertUnwindSafe(|| {
        World::run(async |_| drop(tokio::spawn(async { panic!("not mine") })));
    }));
    World::run(async |_| drop(tokio::spawn(async {})));
}
