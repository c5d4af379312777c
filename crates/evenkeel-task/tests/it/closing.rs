//! A group that has stopped accepts no tasks, and says so.

use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        mpsc::{Sender, channel},
    },
    task::{Context, Poll, Wake},
};

use evenkeel_task::{BoxError, Group, Panic, Restart, State, group};
use evenkeel_testkit::{World, assert_took};
use tokio::{runtime::Runtime, time::sleep};

use crate::{Alive, alive, err, failures, ms, poll, throw};

async fn ended() -> Group {
    group(async |g| Ok(g)).await.unwrap()
}

#[test]
fn after_the_end_a_future_is_given_back() {
    World::run(async |_| {
        let g = ended().await;
        let closed = g.try_spawn(async { Ok::<_, BoxError>(7) }).unwrap_err();
        assert_eq!(format!("{closed} {closed:?}"), "the group takes no more tasks Rejected(..)");
        assert_eq!(closed.0.await.unwrap(), 7);
        assert!(g.task("late").try_spawn(async {}).is_err());
    });
}

#[test]
fn after_the_end_a_future_is_dropped() {
    World::run(async |_| {
        let left = Alive::default();
        let mine = left.clone();
        ended().await.spawn(async move { drop(mine) });
        assert_eq!(alive(&left), 0);
    });
}

#[test]
fn while_the_group_fails_tasks_are_refused_and_counted() {
    struct Respawn(Group);
    impl Drop for Respawn {
        fn drop(&mut self) {
            self.0.spawn(async { throw("refused tasks do not run") });
            assert!(self.0.try_spawn(async {}).is_err());
        }
    }
    World::run(async |_| {
        let error = group(async |g| {
            let respawn = Respawn(g.clone());
            g.spawn(async move {
                pending::<()>().await;
                drop(respawn);
            });
            g.spawn(async { err("first") });
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(failures(&error), ["-: first"]);
        assert_eq!(error.cancelled(), 2, "the one that was aborted, and the one it tried to spawn");
    });
}

/// Records whether its group accepted a task when it was dropped.
struct Asks(Group, Sender<bool>);

impl Drop for Asks {
    fn drop(&mut self) {
        self.1.send(self.0.try_spawn(pending::<()>()).is_ok()).unwrap();
    }
}

#[test]
fn from_the_first_failure_on_tasks_are_refused() {
    World::run(async |_| {
        let (tell, told) = channel();
        let run = group(async |g| {
            g.spawn(async { err("first") });
            // Runs after the failure, and before the group is polled again.
            let asks = Asks(g.clone(), tell.clone());
            g.spawn(async move { drop(asks) });
            Ok(())
        });
        assert_eq!(run.await.unwrap_err().finished(), 1);
        assert!(!told.recv().unwrap());

        let aborted = group(async |g| {
            let _asks = Asks(g.clone(), tell.clone());
            g.stop().abort("enough");
            pending::<Result<(), BoxError>>().await
        });
        assert_eq!(failures(&aborted.await.unwrap_err()), ["group: aborted: enough"]);
        assert!(!told.recv().unwrap());
    });
}

struct Nobody;

impl Wake for Nobody {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_group_that_has_ended_keeps_no_waker() {
    World::run(async |_| {
        let nobody = Arc::new(Nobody);
        let mut run = Box::pin(group(async |g| Ok(g)));
        let Poll::Ready(Ok(_kept)) = run.as_mut().poll(&mut Context::from_waker(&nobody.clone().into()))
        else {
            panic!("it has nothing to wait for");
        };
        assert_eq!(Arc::strong_count(&nobody), 1);
    });
}

#[test]
fn after_the_group_was_dropped_tasks_are_refused() {
    World::run(async |_| {
        let mut kept = None;
        let mut run = Box::pin(group(async |g| {
            kept = Some(g.clone());
            pending::<Result<(), BoxError>>().await
        }));
        let nobody = Arc::new(Nobody);
        assert!(run.as_mut().poll(&mut Context::from_waker(&nobody.clone().into())).is_pending());
        drop(run);
        let g = kept.unwrap();
        assert_eq!(Arc::strong_count(&nobody), 1, "the waker is kept");
        assert!(g.try_spawn(async {}).is_err());
        assert!(g.stop().is_aborting());
        assert_eq!(g.stop().reason(), Some("the future of the group was dropped"));
    });
}

#[test]
fn spawning_outside_of_a_runtime_panics_and_leaves_the_group_whole() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let done = group(async |g| {
            let there = g.clone();
            let panic = std::thread::spawn(move || Panic::catch(|| there.spawn(async {}))).join().unwrap();
            assert!(panic.unwrap_err().message().unwrap().contains("no reactor running"));
            let there = g.clone();
            let supervised =
                move || Panic::catch(|| there.task("x").supervise(Restart::new([]), async || {}));
            assert!(std::thread::spawn(supervised).join().unwrap().is_err());
            assert_eq!(g.live().len(), 0);
            g.spawn(async {});
            Ok(())
        });
        done.await.unwrap();
    });
}

#[test]
fn a_task_that_is_cut_with_its_runtime_is_a_failure_that_says_so() {
    let gone = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let handle = gone.handle().clone();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut kept = None;
        let run = Group::builder().collect_all().run(async |g| {
            kept = Some(g.clone());
            let inside = handle.enter();
            g.task("queued").spawn(pending::<()>());
            drop(inside);
            gone.shutdown_background();
            // A runtime that has shut down drops a spawned future at once.
            let _inside = handle.enter();
            g.task("late").spawn(pending::<()>());
            Ok(())
        });
        let error = run.await.unwrap_err();
        assert_eq!(failures(&error), ["queued: runtime shut down", "late: runtime shut down"]);
        assert!(error.first().to_string().ends_with(": its runtime was shut down"), "{error}");
        assert_eq!((error.finished(), error.cancelled()), (0, 0));
        assert_eq!(kept.unwrap().live().len(), 0);
    });
}

#[test]
fn a_task_of_another_runtime_that_ends_stops_the_group() {
    World::run(async |_| {
        let other = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let handle = other.handle().clone();
        let failed = group(async |g| {
            g.task("here").spawn(sleep(ms(1000)));
            let inside = handle.enter();
            g.task("there").spawn(pending::<()>());
            drop(inside);
            // The group is polled once, then its runtime is dropped.
            std::thread::spawn(move || other.block_on(tokio::task::yield_now())).join().unwrap();
            sleep(ms(1)).await;
            Ok(())
        });
        let error = assert_took!(failed, ms(0)).unwrap_err();
        assert_eq!(failures(&error), ["there: runtime shut down"]);
        assert_eq!((error.finished(), error.cancelled()), (0, 1));
    });
}

#[test]
fn a_group_that_stops_already_has_told_those_of_a_runtime_that_ends() {
    let other = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let handle = other.handle().clone();
    World::run(async move |_| {
        let failed = group(async |g| {
            let inside = handle.enter();
            g.task("there").spawn(pending::<()>());
            drop(inside);
            g.spawn(async move {
                std::thread::spawn(move || drop(other)).join().unwrap();
                err("bad")
            });
            Ok(())
        });
        let error = failed.await.unwrap_err();
        assert_eq!(failures(&error), ["there: runtime shut down", "-: bad"]);
    });
}

/// Panics when it is dropped before it has run.
struct Unused;

impl Drop for Unused {
    fn drop(&mut self) {
        throw("dropped")
    }
}

#[test]
fn what_was_never_polled_is_dropped_where_it_is() {
    World::run(async |_| {
        let run = group(async |g| {
            g.spawn(async { throw("it runs") });
            let unused = Unused;
            g.task("unused").spawn(async move { std::mem::forget(unused) });
            assert_eq!(g.live().len(), 0);
            Err::<(), BoxError>("enough".into())
        });
        let error = run.await.unwrap_err();
        assert_eq!(failures(&error), ["body: enough", "unused: panicked: dropped"]);
        assert_eq!((error.finished(), error.cancelled()), (0, 1));
    });
}

#[test]
fn live_lists_the_oldest_first() {
    World::run(async |_| {
        let run = Group::builder().limit(3).run(async |g| {
            for name in ["a", "b", "c", "d"] {
                g.task(name).spawn(pending::<()>());
                sleep(ms(1)).await;
            }
            let delays = [ms(1)];
            g.task("e").supervise(Restart::new(delays), async || {});
            sleep(ms(1)).await;
            let live = g.live();
            let states: Vec<_> =
                live.iter().map(|task| (task.name.as_deref().unwrap(), task.state)).collect();
            let (runs, waits) = (State::Running, State::Waiting);
            assert_eq!(states, [("a", runs), ("b", runs), ("c", runs), ("d", waits), ("e", waits)]);
            assert_eq!(live[0].age, ms(5));
            g.stop().abort("enough");
            pending::<Result<(), BoxError>>().await
        });
        assert_eq!(run.await.unwrap_err().cancelled(), 5);
    });
}

#[test]
fn what_is_refused_is_counted_also_if_it_panics_when_dropped() {
    World::run(async |_| {
        let run = Group::builder().grace(ms(5)).run(async |g| {
            let again = g.clone();
            g.spawn(async move {
                again.stop().draining().await;
                let unused = Unused;
                let panic = Panic::catch(|| again.spawn(async move { std::mem::forget(unused) }));
                assert!(panic.is_err());
            });
            sleep(ms(1)).await;
            err("enough")
        });
        let error = run.await.unwrap_err();
        assert_eq!((failures(&error), error.cancelled()), (vec!["body: enough".to_owned()], 1));
    });
}

/// Owns a runtime, as the waker of an executor may: dropping the waker drops the runtime.
struct Executor(#[expect(dead_code, reason = "its destructor counts")] Mutex<Option<Runtime>>);

impl Wake for Executor {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_waker_may_be_the_last_to_hold_the_runtime_of_the_tasks() {
    let (done, ended) = channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let handle = runtime.handle().clone();
        let executor = Arc::new(Executor(Mutex::new(Some(runtime)))).into();
        let mut run = Box::pin(group(async move |g| {
            let _inside = handle.enter();
            g.spawn(pending::<()>());
            err("enough")
        }));
        assert!(run.as_mut().poll(&mut Context::from_waker(&executor)).is_pending());
        drop(executor);
        // Polls the group with another waker, which drops the first one.
        assert!(poll(&mut run).is_pending());
        done.send(poll(&mut run).is_ready()).unwrap();
    });
    assert!(ended.recv_timeout(std::time::Duration::from_secs(10)).expect("no deadlock"));
}
