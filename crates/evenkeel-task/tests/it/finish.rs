//! Groups that a value ends early.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use evenkeel_task::{BoxError, FinishGroup, Group, group};
use evenkeel_testkit::{World, cancel};
use tokio::{
    runtime::Runtime,
    time::{Instant, sleep},
};

use crate::{Alive, alive, err, failures, ms, throw, took};

/// Ends the group with a value after a time.
fn finish_after<R: Send + 'static>(g: &FinishGroup<R>, time: u64, value: R) {
    let group = g.clone();
    g.spawn(async move {
        sleep(ms(time)).await;
        group.finish(value);
    });
}

#[test]
fn a_value_ends_the_group_with_its_body_and_its_tasks() {
    World::run(async |_| {
        let left = Alive::default();
        let run = Group::builder().run_until_finished(async |g| {
            let mine = left.clone();
            g.spawn(async move {
                pending::<()>().await;
                drop(mine);
            });
            finish_after(&g, 5, "found");
            finish_after(&g, 7, "later");
            sleep(ms(1000)).await;
            Ok("body")
        });
        took(ms(5), async { assert_eq!(run.await.unwrap(), "found") }).await;
        assert_eq!(alive(&left), 0);
    });
}

#[test]
fn without_a_value_the_body_has_the_result() {
    World::run(async |_| {
        let run = Group::builder().run_until_finished(async |g| {
            g.spawn(sleep(ms(3)));
            Ok(7)
        });
        took(ms(3), async { assert_eq!(run.await.unwrap(), 7) }).await;
        let run = Group::builder().run_until_finished(async |g: FinishGroup<u8>| {
            g.spawn(async { err("first") });
            Ok(7)
        });
        assert_eq!(failures(&run.await.unwrap_err()), ["-: first"]);
    });
}

#[test]
fn of_two_values_the_first_one_is_the_result() {
    World::run(async |_| {
        let left = Alive::default();
        let run = Group::builder().run_until_finished(async |g| {
            assert!(g.finish(None));
            assert!(!g.finish(Some(left.clone())));
            assert_eq!(alive(&left), 0, "dropped where it is offered");
            // The value comes before that of the body, and before its error.
            Ok(Some(left.clone()))
        });
        assert!(run.await.unwrap().is_none());
        let run = Group::builder().run_until_finished(async |g| {
            g.finish(1);
            Err("after it".into())
        });
        assert_eq!(run.await.unwrap(), 1);
    });
}

#[test]
fn the_body_may_finish_and_wait() {
    World::run(async |_| {
        let run = Group::builder().run_until_finished(async |g| {
            g.spawn(pending::<()>());
            g.finish(1);
            assert!(g.try_spawn(async {}).is_err(), "nothing begins any more");
            pending().await
        });
        took(ms(0), async { assert_eq!(run.await.unwrap(), 1) }).await;
    });
}

#[test]
fn tasks_have_their_grace() {
    World::run(async |_| {
        let cleaned = Arc::new(AtomicUsize::new(0));
        let run = Group::builder().grace(ms(10)).run_until_finished(async |g| {
            for takes in [4, 20] {
                let (stop, cleaned) = (g.stop().clone(), cleaned.clone());
                g.spawn(async move {
                    stop.draining().await;
                    sleep(ms(takes)).await;
                    assert_eq!(stop.reason(), Some("another task has the result"));
                    cleaned.fetch_add(1, Ordering::Relaxed);
                    err("an error of a task that was told to stop")
                });
            }
            finish_after(&g, 5, "found");
            Ok("body")
        });
        took(ms(15), async { assert_eq!(run.await.unwrap(), "found") }).await;
        assert_eq!(cleaned.load(Ordering::Relaxed), 1, "the other one was aborted");
    });
}

#[test]
fn a_failure_that_came_first_is_the_result() {
    World::run(async |_| {
        let run = Group::builder().run_until_finished(async |g| {
            let late = g.clone();
            g.task("first").spawn(async { err("no disk") });
            g.spawn(async move {
                assert!(!late.finish(7));
            });
            Ok(1)
        });
        assert_eq!(failures(&run.await.unwrap_err()), ["first: no disk"]);
    });
}

#[test]
fn a_group_that_collects_failures_is_stopped_by_a_value_and_returns_them() {
    World::run(async |_| {
        let run = Group::builder().collect_all().run_until_finished(async |g| {
            g.task("first").spawn(async { err("no disk") });
            finish_after(&g, 5, 7);
            pending().await
        });
        let error = took(ms(5), async { run.await.unwrap_err() }).await;
        assert_eq!(failures(&error), ["first: no disk"]);

        let run = Group::builder().collect_all().run_until_finished(async |g| {
            finish_after(&g, 5, 7);
            pending().await
        });
        took(ms(5), async { assert_eq!(run.await.unwrap(), 7) }).await;
    });
}

#[test]
fn a_panic_after_the_value_is_not_lost() {
    struct PanicsOnDrop;
    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            throw("dropped")
        }
    }
    World::run(async |_| {
        let run = Group::builder().run_until_finished(async |g| {
            let guard = PanicsOnDrop;
            g.task("held").spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            });
            finish_after(&g, 1, 7);
            Ok(1)
        });
        assert_eq!(failures(&run.await.unwrap_err()), ["held: panicked: dropped"]);

        let run = Group::builder().grace(ms(9)).run_until_finished(async |g| {
            let stop = g.stop().clone();
            g.task("outer").spawn(async move {
                stop.draining().await;
                group(async |inner| {
                    inner.task("inner").spawn(async { throw("boom") });
                    Ok(())
                })
                .await
            });
            finish_after(&g, 1, 7);
            Ok(1)
        });
        assert_eq!(failures(&run.await.unwrap_err()), ["outer: [inner: panicked: boom]"]);
    });
}

#[test]
fn an_abort_or_a_deadline_that_came_first_is_the_result() {
    World::run(async |_| {
        let run = Group::builder().run_until_finished(async |g| {
            g.stop().abort("not needed");
            assert!(!g.finish(7));
            Ok(1)
        });
        assert_eq!(failures(&run.await.unwrap_err()), ["group: aborted: not needed"]);

        let run = Group::builder().run_until_finished(async |g| {
            assert!(g.finish(7));
            g.stop().abort("too late");
            Ok(1)
        });
        assert_eq!(run.await.unwrap(), 7);

        let builder = Group::builder().deadline(Instant::now() + ms(5)).grace(ms(5));
        let run = builder.run_until_finished(async |g| {
            finish_after(&g, 7, 7);
            pending().await
        });
        assert_eq!(failures(&run.await.unwrap_err()), ["group: deadline"]);
    });
}

#[test]
fn after_the_end_a_value_is_dropped() {
    World::run(async |_| {
        let left = Alive::default();
        let mut kept = None;
        let run = Group::builder().run_until_finished(async |g| {
            kept = Some(g.clone());
            Ok(None)
        });
        assert!(run.await.unwrap().is_none());
        assert!(!kept.unwrap().finish(Some(left.clone())));
        assert_eq!(alive(&left), 0);
    });
}

#[test]
fn the_body_and_the_value_may_borrow() {
    World::run(async |_| {
        let text = String::from("a b c");
        let run = Group::builder().run_until_finished(async |g| {
            let found = text.split(' ').next_back();
            g.finish(found);
            pending().await
        });
        assert_eq!(run.await.unwrap(), Some("c"));
    });
}

#[test]
fn a_group_that_is_dropped_drops_its_value() {
    let cuts = cancel::every_point(
        async || Alive::default(),
        async |left| {
            let value = left.clone();
            let run = Group::builder().grace(ms(2)).run_until_finished(async |g| {
                let stop = g.stop().clone();
                g.spawn(async move {
                    stop.draining().await;
                    sleep(ms(1)).await;
                });
                finish_after(&g, 1, value);
                pending().await
            });
            drop(run.await.unwrap());
        },
        async |left| assert_eq!(alive(&left), 0, "a value was lost"),
    );
    assert_eq!(cuts.points(), 3, "the body, the drain and the grace");
}

#[test]
fn of_values_on_many_threads_one_is_the_result() {
    let runtime = Runtime::new().unwrap();
    for _ in 0..200 {
        let accepted = Arc::new(AtomicUsize::new(usize::MAX));
        let run = Group::builder().run_until_finished(async |g| {
            for number in 0..8 {
                let (group, accepted) = (g.clone(), accepted.clone());
                g.spawn(async move {
                    if group.finish(number) {
                        let before = accepted.swap(number, Ordering::Relaxed);
                        assert_eq!(before, usize::MAX, "one value is the result");
                    }
                    Ok::<(), BoxError>(())
                });
            }
            pending().await
        });
        let result = runtime.block_on(run).unwrap();
        assert_eq!(accepted.load(Ordering::Relaxed), result);
    }
}
