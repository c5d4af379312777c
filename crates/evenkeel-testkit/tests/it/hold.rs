//! A clock that is held stands still.

use std::{sync::mpsc, time::Duration};

use evenkeel_testkit::{World, assert_took};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use crate::{MS, SECOND, panic_of};

#[test]
fn a_timeout_waits_for_another_thread() {
    World::run(async |world| {
        let (ask, asked) = mpsc::channel::<oneshot::Sender<u32>>();
        let thread = std::thread::spawn(move || {
            for (number, ask) in asked.into_iter().enumerate() {
                ask.send(u32::try_from(number).unwrap()).unwrap();
            }
        });
        let held = world.hold();
        for number in 0..10 {
            let (answer, answered) = oneshot::channel();
            ask.send(answer).unwrap();
            assert_eq!(assert_took!(timeout(MS, answered), Duration::ZERO), Ok(Ok(number)));
        }
        drop((held, ask));
        thread.join().unwrap();
        assert_took!(sleep(SECOND), SECOND);
    });
}

#[test]
fn all_holds_must_go() {
    World::run(async |world| {
        let (first, second) = (world.hold(), world.clone().hold());
        let late = tokio::spawn(sleep(MS));
        for held in [first, second] {
            assert_took!(world.settle(), Duration::ZERO);
            assert!(!late.is_finished());
            drop(held);
        }
        assert_took!(async { late.await.unwrap() }, MS);
    });
}

#[test]
fn tasks_run_on_in_a_held_world() {
    World::run(async |world| {
        let _held = world.hold();
        assert_eq!(tokio::spawn(async { 42 }).await.unwrap(), 42);
        assert_eq!(tokio::task::spawn_blocking(|| 43).await.unwrap(), 43);
    });
}

#[test]
fn a_hold_that_is_never_dropped_is_over_at_the_wall_limit() {
    let message = panic_of(|| {
        World::builder().wall_limit(20 * MS).run(async |world| {
            let _held = world.hold();
            sleep(MS).await;
        });
    });
    assert!(message.contains(" 0ns of virtual time, "), "{message}");
    assert!(message.ends_with("or a blocking task or a hold stops the clock"), "{message}");
}
