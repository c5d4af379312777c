//! The work of joining and aborting grows with the number of tasks, and is cut into pieces.

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::pin::pin;

use evenkeel_task::{GroupError, group};
use evenkeel_testkit::World;
use tokio::time::sleep;

use crate::{Alive, alive, err, ms, throw};

const TASKS: usize = 20_000;

/// How often a future is polled until it ends.
async fn polls<F: Future>(future: F) -> (F::Output, usize) {
    let mut future = pin!(future);
    let count = Cell::new(0);
    let output = poll_fn(|cx| {
        count.set(count.get() + 1);
        future.as_mut().poll(cx)
    });
    (output.await, count.get())
}

#[test]
fn a_join_wakes_once_however_many_tasks_there_are() {
    World::run(async |_| {
        let (joined, polls) = polls(group(async |g| {
            for _ in 0..TASKS {
                g.spawn(sleep(ms(1)));
            }
            Ok(())
        }))
        .await;
        joined.unwrap();
        assert_eq!(polls, 2);
    });
}

#[test]
fn aborting_lets_others_run_after_each_1024_tasks() {
    World::run(async |_| {
        let left = Alive::default();
        let (error, polls) = polls(group(async |g| {
            for _ in 0..TASKS {
                let mine = left.clone();
                g.spawn(async move {
                    pending::<()>().await;
                    drop(mine);
                });
            }
            g.spawn(async { err("first") });
            Ok(())
        }))
        .await;
        let error: GroupError = error.unwrap_err();
        assert_eq!((error.cancelled(), alive(&left)), (TASKS, 0));
        // One to begin with, one for the failure, one after each chunk but the last, one for the last task.
        assert_eq!(polls, 2 + TASKS / 1024 + 1);
    });
}

#[test]
fn only_the_first_failure_wakes_the_group() {
    struct Sore;
    impl Drop for Sore {
        fn drop(&mut self) {
            throw("sore")
        }
    }
    World::run(async |_| {
        let (error, polls) = polls(group(async |g| {
            g.spawn(async {
                sleep(ms(1)).await;
                err("first")
            });
            for _ in 0..500 {
                g.spawn(async {
                    let _sore = Sore;
                    pending::<()>().await;
                });
            }
            Ok(())
        }))
        .await;
        assert_eq!(error.unwrap_err().failures().len(), 501);
        assert_eq!(polls, 3);
    });
}

#[test]
fn room_of_ended_tasks_is_used_again() {
    World::run(async |_| {
        let (error, polls) = polls(group(async |g| {
            for _ in 0..50 {
                for _ in 0..500 {
                    g.spawn(async {});
                }
                sleep(ms(1)).await;
            }
            g.spawn(pending::<()>());
            err("end")
        }))
        .await;
        let error = error.unwrap_err();
        assert_eq!((error.finished(), error.cancelled()), (25_000, 1));
        // 51 of the body, one for the last task: the abort had one chunk only.
        assert_eq!(polls, 52);
    });
}
