//! The cost of joining and aborting is linear in the number of tasks, and comes in pieces.

use std::{
    future::{pending, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Wake},
};

use evenkeel_task::{Group, GroupError, Stop, Stopping, group};
use evenkeel_testkit::{
    World,
    probe::meter,
    waker::{WakerEvent, counting, with_hook},
};
use tokio::time::sleep;

use crate::{Alive, alive, err, ms, throw};

const TASKS: usize = 20_000;

/// Counts the polls of a future until it ends.
async fn polls<F: Future>(future: F) -> (F::Output, u64) {
    let (output, counts) = meter(future).await;
    (output, counts.polls)
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
        // One poll to begin with, one for the failure, one after each chunk but the last, one for the last task.
        assert_eq!(polls, 2 + TASKS as u64 / 1024 + 1);
    });
}

#[test]
fn a_group_that_stops_wakes_at_most_1024_tasks_in_a_poll() {
    World::run(async |_| {
        let wakes = Arc::new(AtomicUsize::new(0));
        let mut run = pin!(Group::builder().grace(ms(5)).run(async |g| {
            for _ in 0..5000 {
                let (stop, wakes) = (g.stop().clone(), wakes.clone());
                g.spawn(async move {
                    let mut draining = pin!(stop.draining());
                    poll_fn(|cx| {
                        let (task, wakes) = (cx.waker().clone(), wakes.clone());
                        let waker = with_hook(move |event| {
                            if event == WakerEvent::Wake {
                                wakes.fetch_add(1, Ordering::Relaxed);
                                task.wake_by_ref();
                            }
                        });
                        draining.as_mut().poll(&mut Context::from_waker(&waker))
                    })
                    .await;
                    assert!(stop.is_draining());
                });
            }
            sleep(ms(1)).await;
            err("enough")
        }));
        let mut most = 0;
        let output = poll_fn(|cx| {
            let before = wakes.load(Ordering::Relaxed);
            let output = run.as_mut().poll(cx);
            most = most.max(wakes.load(Ordering::Relaxed) - before);
            output
        })
        .await;
        assert_eq!(output.unwrap_err().finished(), 5000);
        assert_eq!((wakes.load(Ordering::Relaxed), most), (5000, 1024));
    });
}

#[test]
fn room_of_those_who_gave_up_waiting_for_a_stop_is_used_again() {
    let stop = Stop::new();
    let (waker, wakes) = counting();
    let wait = || {
        let mut waiter = stop.draining();
        assert!(pin!(&mut waiter).poll(&mut Context::from_waker(&waker)).is_pending());
        waiter
    };
    // Every second waiter is dropped, on several pages, and others take the slots.
    let mut kept: Vec<_> = (0..5000).map(|_| wait()).collect();
    kept = kept.into_iter().step_by(2).collect();
    kept.extend((0..2000).map(|_| wait()));
    (0..10_000).for_each(|_| drop(wait()));
    stop.drain("enough");
    assert_eq!((wakes.load(Ordering::Relaxed), kept.len()), (4500, 4500));
    drop(kept);
    assert!(pin!(stop.draining()).poll(&mut Context::from_waker(&waker)).is_ready());
}

/// A waiter that is woken may drop others, on pages that are woken after it, and the signal itself.
#[test]
fn a_waiter_that_is_woken_may_drop_all_others() {
    struct DropsAll(Arc<Mutex<Vec<Stopping>>>, AtomicUsize);
    impl Wake for DropsAll {
        fn wake(self: Arc<Self>) {
            self.1.fetch_add(1, Ordering::Relaxed);
            let all = std::mem::take(&mut *self.0.lock().unwrap());
            drop(all);
        }
    }
    let stop = Stop::new();
    let all: Arc<Mutex<Vec<_>>> = Arc::default();
    let drops = Arc::new(DropsAll(Arc::clone(&all), AtomicUsize::new(0)));
    let waker = Arc::clone(&drops).into();
    for _ in 0..3000 {
        let mut waiter = stop.draining();
        assert!(pin!(&mut waiter).poll(&mut Context::from_waker(&waker)).is_pending());
        all.lock().unwrap().push(waiter);
    }
    stop.drain("enough");
    // The wakers of the first page were taken together; the others were dropped.
    assert_eq!((drops.1.load(Ordering::Relaxed), all.lock().unwrap().len()), (1024, 0));
    drop(stop);
    assert_eq!(Arc::strong_count(&drops), 2);
}

/// Joins tasks that are ready when it begins to wait, and counts its polls.
async fn join(tasks: usize) -> u64 {
    let (joined, polls) = polls(group(async move |g| {
        (0..tasks).for_each(|_| g.spawn(async {}));
        Ok(())
    }))
    .await;
    joined.unwrap();
    polls
}

/// `FuturesUnordered` of handles and `join_all` go over all tasks again and again when they are awaited in a task:
/// quadratic there, and linear in `block_on`. The test counts polls: one to begin with and one for the last task.
#[test]
fn a_join_is_one_wake_wherever_it_is_awaited() {
    let one = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let workers = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    for tasks in [10_000, 40_000] {
        assert_eq!(one().block_on(join(tasks)), 2, "block_on");
        let runtime = workers();
        assert_eq!(runtime.block_on(runtime.spawn(join(tasks))).unwrap(), 2, "a worker");
        let local = tokio::task::LocalSet::new();
        let spawned = local.run_until(async { tokio::task::spawn_local(join(tasks)).await.unwrap() });
        assert_eq!(one().block_on(spawned), 2, "a LocalSet");
    }
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
        // 51 polls of the body, one for the last task: the abort had one chunk only.
        assert_eq!(polls, 52);
    });
}
