//! No task blocks the thread of its world.
#![cfg(target_os = "linux")]

use std::{hint::black_box, time::Duration};

use evenkeel_testkit::World;
use tokio::{task::yield_now, time::sleep};

use crate::{MS, SECOND, panic_of};

/// The limit of the tests.
const LIMIT: Duration = Duration::from_micros(100);

/// Computes for much longer than the limit on any machine.
fn compute() {
    for number in 0..2_000_000_u32 {
        black_box(number);
    }
}

#[test]
fn a_task_that_computes_for_long_fails_the_test() {
    let message = panic_of(|| {
        World::builder().block_limit(LIMIT).run(async |_| {
            sleep(SECOND).await;
            tokio::spawn(async {
                sleep(SECOND).await;
                compute();
            });
        });
    });
    assert!(message.starts_with("blocked: the thread computed for "), "{message}");
    assert!(message.contains(" without a rest, and may for 100µs: "), "{message}");
}

#[test]
fn a_body_that_computes_for_long_fails_the_test() {
    let message = panic_of(|| World::builder().block_limit(LIMIT).run(async |_| compute()));
    assert!(message.starts_with("blocked: "), "{message}");
}

#[test]
fn tasks_that_always_leave_one_that_can_run_fail_the_test() {
    let message = panic_of(|| {
        World::builder().block_limit(LIMIT).run(async |_| {
            for _ in 0..200 {
                (0..1000).for_each(|number| drop(black_box(vec![number])));
                yield_now().await;
            }
        });
    });
    assert!(message.starts_with("blocked: "), "{message}");
}

#[test]
fn each_rest_begins_a_new_span_and_the_longest_counts() {
    let busy = |computations: usize, rest: bool| {
        let (_, report) = World::builder().block_limit(Duration::MAX).run_report(async |_| {
            for _ in 0..computations {
                (0..50_000_u32).map(black_box).for_each(drop);
                if rest {
                    sleep(MS).await;
                }
            }
        });
        report.max_busy
    };
    let (one, many, rested) = (busy(1, false), busy(20, false), busy(20, true));
    assert!(one < many && rested < many, "{one:?}, {many:?}, {rested:?}");
}

#[test]
fn what_other_threads_compute_does_not_count() {
    World::builder().block_limit(SECOND).run(async |_| {
        tokio::task::spawn_blocking(compute).await.unwrap();
    });
}

#[test]
#[should_panic = "a block limit of zero"]
fn a_block_limit_of_zero_is_refused() {
    let _ = World::builder().block_limit(Duration::ZERO);
}
