//! Handles of tasks: their values, and the abort of one task alone.

use std::{
    future::{pending, ready},
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    thread,
};

use evenkeel_task::{BoxError, Group, GroupError, NoValue, TaskHandle, group};
use evenkeel_testkit::{
    World, cancel,
    waker::{WakerEvent, panicking, with_hook},
};
use tokio::{
    runtime::{Builder, Runtime},
    task::yield_now,
    time::sleep,
};

use crate::{Alive, alive, err, failures, ms, poll, throw, took};

struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        throw("dropped")
    }
}

async fn after(time: u64) -> Result<u64, BoxError> {
    sleep(ms(time)).await;
    Ok(time)
}

#[test]
fn a_handle_returns_the_value_as_the_task_ends() {
    World::run(async |_| {
        let sum = group(async |g| {
            let (slow, quick) = (g.spawn_with_handle(after(5)), g.task("quick").spawn_with_handle(after(2)));
            assert!(!quick.is_finished());
            took(ms(2), async { assert_eq!(quick.await, Ok(2)) }).await;
            took(ms(3), async { assert_eq!(slow.await, Ok(5)) }).await;
            assert_eq!(g.spawn_with_handle(async {}).await, Ok(()));
            Ok(7)
        });
        assert_eq!(sum.await.unwrap(), 7);
    });
}

#[test]
fn a_failure_is_the_groups_and_the_handle_says_so() {
    World::run(async |_| {
        let run = Group::builder().collect_all().run(async |g| {
            let failed = g.task("failed").spawn_with_handle(async { err("no disk") });
            let panicked = g.task("panicked").spawn_with_handle(async { throw("boom") });
            let guard = PanicsOnDrop;
            let destructor = g.task("destructor").spawn_with_handle(async move {
                let _guard = guard;
                Ok::<_, BoxError>(Alive::default())
            });
            assert_eq!(failed.await, Err(NoValue::Failed));
            assert_eq!(panicked.await, Err(NoValue::Panicked));
            assert_eq!(destructor.await, Err(NoValue::Panicked));
            Ok(())
        });
        let error = run.await.unwrap_err();
        let expected = ["failed: no disk", "panicked: panicked: boom", "destructor: panicked: dropped"];
        assert_eq!(failures(&error), expected);
    });
}

#[test]
fn the_failure_comes_before_that_of_a_task_that_awaits_the_handle() {
    World::run(async |_| {
        let run = Group::builder().collect_all().run(async |g| {
            let first = g.task("first").spawn_with_handle(async { err("no disk") });
            g.task("second").spawn(first);
            Ok(())
        });
        let expected = ["first: no disk", "second: the task failed, and its group has the error"];
        assert_eq!(failures(&run.await.unwrap_err()), expected);
    });
}

#[test]
fn an_abort_ends_one_task_and_nothing_else() {
    World::run(async |_| {
        let left = Alive::default();
        let run = Group::builder().collect_all().run(async |g| {
            let task = |mine: Alive| async move {
                pending::<()>().await;
                drop(mine);
            };
            let [polled, unpolled] = [(); 2].map(|()| g.spawn_with_handle(task(left.clone())));
            unpolled.abort();
            unpolled.abort();
            yield_now().await;
            polled.abort();
            let mut polled = Box::pin(polled);
            assert_eq!(
                (polled.as_mut().await, unpolled.await),
                (Err(NoValue::Cancelled), Err(NoValue::Cancelled))
            );
            assert_eq!((alive(&left), g.live().len()), (0, 0));
            g.spawn(async { err("to see the counts") });
            assert_eq!(g.spawn_with_handle(after(1)).await, Ok(1));
            Ok(())
        });
        let error = run.await.unwrap_err();
        assert_eq!((error.finished(), error.cancelled(), error.failures().len()), (1, 2, 1));
    });
}

#[test]
fn a_task_that_waits_for_a_slot_is_aborted_at_once() {
    World::run(async |_| {
        let run = Group::builder().limit(1).run(async |g| {
            let runs = g.spawn_with_handle(after(5));
            let [waits, next] = [1, 2].map(|time| g.spawn_with_handle(after(time)));
            yield_now().await;
            waits.abort();
            took(ms(0), async { assert_eq!(waits.await, Err(NoValue::Cancelled)) }).await;
            took(ms(7), async { assert_eq!(next.await, Ok(2)) }).await;
            runs.abort();
            assert_eq!(runs.await, Ok(5), "an abort after the end changes nothing");
            Ok(())
        });
        run.await.unwrap();
    });
}

#[test]
fn a_panic_of_a_destructor_in_an_abort_is_the_groups() {
    World::run(async |_| {
        let run = group(async |g| {
            let guard = PanicsOnDrop;
            let handle = g.task("held").spawn_with_handle(async move {
                let _guard = guard;
                pending::<()>().await;
            });
            yield_now().await;
            handle.abort();
            g.spawn(async move {
                assert_eq!(handle.await, Err(NoValue::Panicked));
                pending::<()>().await;
            });
            pending::<Result<(), BoxError>>().await
        });
        assert_eq!(failures(&run.await.unwrap_err()), ["held: panicked: dropped"]);
    });
}

#[test]
fn a_task_goes_on_without_its_handle_and_drops_its_value_in_the_group() {
    World::run(async |_| {
        let (left, mine) = (Alive::default(), Alive::default());
        let inner = mine.clone();
        let value = left.clone();
        let run = group(async |g| {
            drop(g.spawn_with_handle(async move {
                sleep(ms(5)).await;
                drop(inner);
                Ok::<_, BoxError>(value)
            }));
            Ok(())
        });
        took(ms(5), async { run.await.unwrap() }).await;
        assert_eq!((alive(&left), alive(&mine)), (0, 0));

        let run = group(async |g| {
            drop(g.task("kept").spawn_with_handle(async { Ok::<_, BoxError>(PanicsOnDrop) }));
            Ok(())
        });
        assert_eq!(failures(&run.await.unwrap_err()), ["kept: panicked: dropped"]);
    });
}

#[test]
fn a_handle_outlives_its_group_and_owns_the_value() {
    World::run(async |_| {
        let left = Alive::default();
        let value = left.clone();
        let handle =
            group(async |g| Ok(g.spawn_with_handle(async move { Ok::<_, BoxError>(value) }))).await.unwrap();
        assert_eq!((handle.is_finished(), alive(&left)), (true, 1));
        drop(handle);
        assert_eq!(alive(&left), 0);

        let g = group(async |g| Ok(g)).await.unwrap();
        let value = left.clone();
        let rejected = g.spawn_with_handle(async move { Ok::<_, BoxError>(value) });
        assert!(rejected.is_finished());
        rejected.abort();
        assert_eq!((rejected.await.err(), alive(&left)), (Some(NoValue::Cancelled), 0));
    });
}

#[test]
fn a_group_that_stops_cancels_the_tasks_with_handles() {
    World::run(async |_| {
        let mut kept = None;
        let run = group(async |g| {
            kept = Some(g.spawn_with_handle(pending::<()>()));
            yield_now().await;
            Err::<(), BoxError>("enough".into())
        });
        let error = run.await.unwrap_err();
        assert_eq!((failures(&error), error.cancelled()), (vec!["body: enough".to_owned()], 1));
        assert_eq!(kept.unwrap().await, Err(NoValue::Cancelled));
    });
}

#[test]
fn a_runtime_that_is_shut_down_is_a_failure_and_an_abort_before_it_is_none() {
    for (is_aborted, expected) in [(false, NoValue::Failed), (true, NoValue::Cancelled)] {
        let runtime = Builder::new_current_thread().build().unwrap();
        let kept: Mutex<Option<TaskHandle<()>>> = Mutex::default();
        let mut run = Box::pin(group(async |g| {
            *kept.lock().unwrap() = Some(g.spawn_with_handle(pending::<()>()));
            Ok(())
        }));
        runtime.block_on(async { assert!(poll(&mut run).is_pending()) });
        let mut handle = Box::pin(kept.lock().unwrap().take().unwrap());
        if is_aborted {
            handle.abort();
        }
        drop(runtime);
        assert_eq!(poll(&mut handle), std::task::Poll::Ready(Err(expected)));
    }
}

#[test]
#[should_panic(expected = "polled after it returned its result")]
fn a_handle_returns_once() {
    World::run(async |_| {
        let run = group(async |g| {
            let mut handle = g.spawn_with_handle(ready(()));
            assert_eq!((&mut handle).await, Ok(()));
            let _again = handle.await;
            Ok(())
        });
        run.await.unwrap();
    });
}

#[test]
fn dropping_a_wait_for_a_handle_loses_no_value() {
    let cuts = cancel::every_point(
        async || Alive::default(),
        async |left| {
            let value = left.clone();
            let run = group(async |g| {
                let handle = g.spawn_with_handle(async move {
                    sleep(ms(2)).await;
                    Ok::<_, BoxError>(value)
                });
                tokio::pin!(handle);
                let cut = tokio::time::timeout(ms(1), &mut handle).await;
                assert!(cut.is_err());
                drop(handle.await?);
                Ok(())
            });
            run.await.unwrap();
        },
        async |left| assert_eq!(alive(&left), 0, "a value was lost"),
    );
    assert_eq!(cuts.points(), 2, "two waits; the task has ended before the join");
}

#[test]
fn an_abort_on_another_thread_is_a_value_or_a_cancel() {
    let runtime = Runtime::new().unwrap();
    let counts = runtime.block_on(async {
        let run = Group::builder().collect_all().run(async |g| {
            let mut values = 0;
            for round in 0..500 {
                let handle = g.spawn_with_handle(async move {
                    yield_now().await;
                    Ok::<_, BoxError>(round)
                });
                if round % 2 == 0 {
                    thread::yield_now();
                }
                handle.abort();
                match handle.await {
                    Ok(value) => {
                        assert_eq!(value, round);
                        values += 1;
                    }
                    Err(reason) => assert_eq!(reason, NoValue::Cancelled),
                }
            }
            g.task("counted").spawn(async { err("to see the counts") });
            Ok::<usize, BoxError>(values).map(|values| assert!(values <= 500))
        });
        let error: GroupError = run.await.unwrap_err();
        error.finished() + error.cancelled()
    });
    assert_eq!(counts, 500);
}

#[test]
fn a_handle_wakes_the_last_waker_once_and_keeps_none() {
    World::run(async |_| {
        let run = group(async |g| {
            let events = Arc::new(Mutex::new(Vec::new()));
            let [first, last, unneeded] = [1, 2, 3].map(|id| {
                let events = events.clone();
                with_hook(move |event| events.lock().unwrap().push((id, event)))
            });
            let poll =
                |handle: &mut TaskHandle<u64>, waker| pin!(handle).poll(&mut Context::from_waker(waker));
            let (mut waits, mut dropped) = (g.spawn_with_handle(after(1)), g.spawn_with_handle(after(1)));
            assert!(poll(&mut waits, &first).is_pending());
            assert!(poll(&mut waits, &last).is_pending());
            assert!(poll(&mut dropped, &unneeded).is_pending());
            drop(dropped);
            sleep(ms(2)).await;
            assert_eq!(poll(&mut waits, &first), Poll::Ready(Ok(1)));
            let events = events.lock().unwrap().clone();
            let of = |id| {
                events.iter().filter(move |event| event.0 == id).map(|event| event.1).collect::<Vec<_>>()
            };
            assert_eq!(of(1), [WakerEvent::Clone, WakerEvent::Drop]);
            assert_eq!(of(2), [WakerEvent::Clone, WakerEvent::Wake, WakerEvent::Drop]);
            assert_eq!(of(3), [WakerEvent::Clone, WakerEvent::Drop]);
            Ok(())
        });
        run.await.unwrap();
    });
}

#[test]
fn a_panic_of_the_waker_of_a_handle_ends_nothing() {
    World::run(async |_| {
        let run = group(async |g| {
            let mut handle = g.spawn_with_handle(after(1));
            let waker = panicking("broken");
            assert!(pin!(&mut handle).poll(&mut Context::from_waker(&waker)).is_pending());
            sleep(ms(2)).await;
            assert!(g.live().is_empty());
            Ok(handle.await?)
        });
        assert_eq!(run.await.unwrap(), 1);
    });
}

#[test]
fn a_value_may_be_a_large_part_of_the_stack() {
    const KIB: usize = 1024;
    let run = || {
        World::run(async |_| {
            let run = group(async |g| {
                let pages = g.spawn_with_handle(async { Ok::<_, BoxError>([7_u8; 64 * KIB]) });
                Ok(pages.await?.iter().filter(|byte| **byte == 7).count())
            });
            assert_eq!(run.await.unwrap(), 64 * KIB);
        });
    };
    thread::Builder::new().stack_size(2048 * KIB).spawn(run).unwrap().join().unwrap();
}
