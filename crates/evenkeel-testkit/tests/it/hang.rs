//! No test hangs.

use std::{
    future::pending,
    sync::{Arc, mpsc},
    time::Duration,
};

use evenkeel_testkit::World;
use tokio::{
    sync::{Notify, oneshot},
    task::{spawn_blocking, yield_now},
    time::sleep,
};

use crate::{MS, SECOND, is_child, panic_of, run_child};

#[test]
fn a_deadlock_fails_at_once() {
    let message = panic_of(|| {
        World::run(async |_| {
            let never = Arc::new(Notify::new());
            let other = never.clone();
            tokio::spawn(async move { other.notified().await });
            sleep(3 * SECOND).await;
            never.notified().await;
        });
    });
    assert!(message.starts_with("deadlock: nothing can run"), "{message}");
    assert!(message.contains("1 task(s) alive"), "{message}");
}

#[test]
fn waiting_for_a_blocking_task_is_no_deadlock() {
    World::run(async |_| {
        let (send, receive) = oneshot::channel();
        let (go, gone) = mpsc::channel();
        let blocking = spawn_blocking(move || {
            gone.recv().unwrap();
            send.send(42).unwrap();
        });
        let thread = std::thread::spawn(move || go.send(()).unwrap());
        assert_eq!(receive.await, Ok(42));
        blocking.await.unwrap();
        thread.join().unwrap();
    });
}

#[test]
fn a_world_that_never_stops_running_is_over_at_its_wall_limit() {
    let message = panic_of(|| {
        World::builder().wall_limit(20 * MS).run(async |_| {
            loop {
                sleep(MS).await;
            }
        });
    });
    assert!(message.starts_with("not over after 20ms of real time, "), "{message}");
    assert!(message.contains("of virtual time, with 0 task(s) alive beside the test body"), "{message}");
}

#[test]
fn a_world_of_yields_is_over_at_its_wall_limit() {
    let message = panic_of(|| {
        World::builder().wall_limit(20 * MS).run(async |_| {
            tokio::spawn(async {
                loop {
                    yield_now().await;
                }
            });
        });
    });
    assert!(message.contains(" 0ns of virtual time, with 1 task(s) alive"), "{message}");
}

#[test]
fn a_blocking_task_that_holds_the_clock_is_over_at_the_wall_limit() {
    let (release, released) = mpsc::channel::<()>();
    let message = panic_of(|| {
        World::builder().wall_limit(20 * MS).run(async |_| {
            spawn_blocking(move || released.recv());
            sleep(MS).await;
        });
    });
    assert!(message.contains("or a blocking task or a hold stops the clock"), "{message}");
    drop(release);
}

#[test]
fn a_world_within_its_limit_passes() {
    World::builder().wall_limit(Duration::MAX).run(async |_| sleep(SECOND).await);
}

#[test]
fn a_blocked_thread_aborts_the_process_and_says_which_test_it_was() {
    if is_child() {
        return World::builder().wall_limit(20 * MS).run(async |_| {
            tokio::spawn(pending::<()>());
            loop {
                std::thread::park();
            }
        });
    }
    let output = run_child("hang::a_blocked_thread_aborts_the_process_and_says_which_test_it_was", &[]);
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(printed.contains("the world of test 'hang::a_blocked_thread_aborts"), "{printed}");
    assert!(printed.contains("is not over after 20ms of real time, and its thread is blocked"), "{printed}");
}

#[test]
#[should_panic = "a wall limit of zero"]
fn a_wall_limit_of_zero_is_refused() {
    let _ = World::builder().wall_limit(Duration::ZERO);
}
