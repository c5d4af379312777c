//! The real clock: nothing is virtual, and the checks are the same.

use std::future::pending;

use evenkeel_testkit::{Clock, World, took};
use tokio::time::sleep;

use crate::{MS, panic_of};

#[test]
fn time_passes_by_itself() {
    let ((), report) = World::builder().clock(Clock::Real).run_report(async |world| {
        let before = world.elapsed();
        let ((), slept) = took(sleep(5 * MS)).await;
        assert!(slept >= 5 * MS && world.elapsed() >= before + slept);
    });
    assert!(report.virtual_elapsed >= 5 * MS && report.wall >= report.virtual_elapsed);
}

#[test]
fn what_is_left_gets_a_second() {
    World::builder().clock(Clock::Real).run(async |world| {
        tokio::spawn(sleep(5 * MS));
        world.settle().await;
    });
    let message = panic_of(|| {
        World::builder().clock(Clock::Real).run(async |_| drop(tokio::spawn(pending::<()>())));
    });
    assert!(
        message.starts_with("1 task(s) still alive a second after the end of the test body"),
        "{message}"
    );
}

#[test]
fn it_cannot_be_held() {
    let message = panic_of(|| World::builder().clock(Clock::Real).run(async |world| drop(world.hold())));
    assert_eq!(message, "the real clock cannot be held");
}
