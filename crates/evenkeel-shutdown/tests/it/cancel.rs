//! Runs, dropped at every await point.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use evenkeel_shutdown::{Handle, Report, Shutdown, Stop};
use evenkeel_testkit::cancel;
use tokio::{task::JoinHandle, time::sleep};

use crate::{Alive, alive, ms};

#[test]
fn a_run_leaves_no_task() {
    type State = (Alive, Arc<AtomicUsize>);
    let cuts = cancel::every_point(
        async || State::default(),
        async |(left, work): State| {
            let (shutdown, stop) = Shutdown::manual();
            let mut shutdown = shutdown.grace(ms(10));
            for steps in [2, 4, 100] {
                let (left, work) = (left.clone(), work.clone());
                shutdown = shutdown.task("worker", async move |stop| {
                    for step in 1..=steps {
                        sleep(ms(step)).await;
                        work.fetch_add(1, Ordering::Relaxed);
                        if step == 3 {
                            stop.drain("one has finished");
                        }
                    }
                    drop(left);
                });
            }
            let report = shutdown.run().await;
            assert_eq!((report.hung().count(), stop.is_aborting()), (1, true));
        },
        async |(left, work): State| {
            assert_eq!(alive(&left), 0, "a task was not dropped");
            let before = work.load(Ordering::Relaxed);
            sleep(ms(10_000)).await;
            assert_eq!(work.load(Ordering::Relaxed), before, "a task goes on working");
        },
    );
    assert_eq!(
        cuts.points(),
        5 + usize::from(cfg!(feature = "inspect")),
        "two ends of tasks, the drain, the end of the grace period, the end of the last task; before that a look"
    );
}

#[test]
fn a_run_with_phases_leaves_nothing() {
    #[derive(Clone, Default)]
    struct State {
        left: Alive,
        closed: Arc<AtomicUsize>,
        handle: Arc<Mutex<Option<Handle>>>,
    }
    let cuts = cancel::every_point(
        async || State::default(),
        async |state: State| {
            let (shutdown, stop) = Shutdown::manual();
            let handle = shutdown.handle();
            *state.handle.lock().unwrap() = Some(handle.clone());
            let (one, two, three) = (state.left.clone(), state.left.clone(), state.left.clone());
            let closed = state.closed.clone();
            let shutdown = shutdown
                .grace(ms(1_000))
                .pre_stop(ms(10))
                .task("start", async move |stop| {
                    sleep(ms(5)).await;
                    let _ = handle.on_stop("late", async move || drop(one));
                    let guard = handle.guard("request");
                    tokio::spawn(async move {
                        stop.draining().await;
                        sleep(ms(7)).await;
                        drop(guard);
                    });
                })
                .task("server", async move |stop| {
                    stop.draining().await;
                    sleep(ms(3)).await;
                    drop(two);
                })
                .phase("close")
                .task("deaf", async |_stop| std::future::pending::<()>().await)
                .on_stop("pool", async move || {
                    sleep(ms(2)).await;
                    closed.fetch_add(1, Ordering::Relaxed);
                    drop(three);
                });
            let trigger = async {
                sleep(ms(20)).await;
                stop.drain("deploy");
            };
            let (report, ()) = tokio::join!(shutdown.run(), trigger);
            assert!(report.hung().map(|task| &*task.name).eq(["deaf"]), "{report}");
        },
        async |state: State| {
            assert_eq!(alive(&state.left), 0, "a task or a clean-up was not dropped");
            let handle = state.handle.lock().unwrap().take();
            if let Some(handle) = handle {
                assert_eq!(handle.in_flight(), 0);
                assert!(!*handle.readiness().borrow(), "it still calls itself ready");
                assert!(handle.spawn("late", async |_stop| {}).is_err(), "it still takes tasks");
                assert!(handle.on_stop("late", async || {}).is_err(), "it still takes clean-ups");
            }
            assert!(state.closed.load(Ordering::Relaxed) <= 1);
        },
    );
    assert!(cuts.points() >= 8, "{cuts}");
}

#[test]
fn to_stop_one_task_may_be_given_up() {
    let cuts = cancel::every_point(
        async || {
            let (shutdown, stop) = Shutdown::manual();
            let handle = shutdown.handle();
            let shutdown = shutdown
                .task("slow", async |stop| {
                    stop.draining().await;
                    sleep(ms(50)).await;
                })
                .task("deaf", async |_stop| std::future::pending::<()>().await)
                .task("server", async |stop| stop.draining().await);
            let run = Rc::new(RefCell::new(Some(tokio::task::spawn_local(shutdown.run()))));
            (run, handle, stop)
        },
        async |(_, handle, _): (_, Handle, Stop)| {
            assert!(handle.stop_task("slow", ms(60)).await);
            assert!(!handle.stop_task("deaf", ms(60)).await);
        },
        async |(run, handle, stop): (Rc<RefCell<Option<JoinHandle<Report>>>>, Handle, Stop)| {
            // The dropped step can be repeated, and the program goes on.
            assert!(handle.stop_task("slow", ms(60)).await);
            handle.stop_task("deaf", ms(60)).await;
            assert!(!stop.is_draining());
            stop.drain("the test is over");
            let run = run.borrow_mut().take().unwrap();
            let report = run.await.unwrap();
            assert!(report.hung().map(|task| &*task.name).eq(["deaf"]), "{report}");
        },
    );
    assert!(cuts.points() >= 2, "{cuts}");
}
