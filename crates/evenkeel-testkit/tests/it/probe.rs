//! Polls and wakes are counted.

use std::{
    future::{pending, poll_fn},
    pin::pin,
    task::Poll,
};

use evenkeel_testkit::{World, assert_polls, probe::meter};
use tokio::{
    sync::Notify,
    task::yield_now,
    time::{sleep, timeout},
};

use crate::{MS, SECOND, panic_of};

#[test]
fn a_future_that_is_ready_is_polled_once_and_never_woken() {
    let (output, counts) = World::run(async |_| meter(async { 42 }).await);
    assert_eq!((output, counts.polls, counts.wakes), (42, 1, 0));
    assert_eq!((counts.spurious_wakes, counts.spurious_polls), (0, 0));
}

#[test]
fn each_wait_is_a_poll_and_a_wake() {
    let ((), counts) = World::run(async |_| {
        meter(async {
            sleep(SECOND).await;
            yield_now().await;
            sleep(2 * SECOND).await;
            sleep(MS).await;
        })
        .await
    });
    assert_eq!((counts.polls, counts.wakes, counts.spurious_wakes, counts.spurious_polls), (5, 4, 0, 0));
    assert_eq!(counts.longest_gap, 2 * SECOND);
}

#[test]
fn a_wake_that_says_nothing_new_is_spurious() {
    let ((), counts) = World::run(async |_| {
        let mut left = 3;
        let noisy = poll_fn(|cx| {
            left -= 1;
            for _ in 0..left {
                cx.waker().wake_by_ref();
            }
            if left == 0 { Poll::Ready(()) } else { Poll::Pending }
        });
        meter(noisy).await
    });
    assert_eq!((counts.polls, counts.wakes, counts.spurious_wakes), (3, 3, 1));
}

#[test]
fn a_poll_that_nobody_asked_for_is_spurious() {
    World::run(async |_| {
        let mut idle = meter(pending::<()>());
        let neighbour = async {
            for _ in 0..10 {
                sleep(MS).await;
            }
        };
        let _ = timeout(SECOND, async { tokio::join!(&mut idle, neighbour) }).await;
        let counts = idle.counts();
        assert_eq!((counts.polls, counts.wakes, counts.spurious_polls), (12, 0, 11));
        assert_eq!(counts.longest_gap, 990 * MS);
        assert!(format!("{idle:?}").starts_with("Metered { counts: Counts { polls: 12, "));
    });
}

#[test]
fn a_wake_reaches_the_task_that_polled_last() {
    World::run(async |_| {
        let notify = Notify::new();
        let mut waiting = meter(notify.notified());
        assert!(timeout(MS, &mut waiting).await.is_err());
        let waiting = async {
            let mut waiting = pin!(waiting);
            waiting.as_mut().await.1
        };
        let (counts, ()) = tokio::join!(waiting, async { notify.notify_waiters() });
        assert_eq!((counts.wakes, counts.spurious_wakes), (1, 0));
    });
}

#[cfg(target_os = "linux")]
#[test]
fn the_longest_poll_is_the_one_that_computes() {
    let counts = |to: u32| {
        let computing = async {
            for number in 0..to {
                std::hint::black_box(number);
            }
        };
        World::run(async |_| meter(computing).await.1)
    };
    assert!(counts(0).longest_poll < counts(1_000_000).longest_poll);
}

#[test]
fn assert_polls_compares_and_says_what_it_was() {
    let output = World::run(async |_| {
        assert_polls!(yield_now(), == 2);
        assert_polls!(yield_now(), > 1);
        assert_polls!(async { "output" }, <= 1)
    });
    assert_eq!(output, "output");
    let message = panic_of(|| World::run(async |_| assert_polls!(yield_now(), < 1 + 1)));
    assert!(message.starts_with("polls\n  expected: < 2\n       got: 2\nCounts {"), "{message}");
}
