//! Adding and stopping tasks and clean-ups while a run goes on.

use std::future::pending;

use evenkeel_shutdown::{BoxError, Handle, Kind, Outcome, Reason, Rejected, Shutdown, Stop};
use evenkeel_testkit::{World, assert_took};
use tokio::time::sleep;

use crate::{Alive, alive, ms};

async fn server(stop: Stop) {
    stop.draining().await
}

#[test]
fn one_task_can_be_stopped_alone() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let handle = shutdown.handle();
        let left = Alive::default();
        let mine = left.clone();
        let shutdown = shutdown
            .task("import", async move |stop| {
                stop.draining().await;
                assert_eq!(stop.reason(), Some("the program stops"));
                sleep(ms(20)).await;
                drop(mine);
            })
            .vital()
            .task("http", server);
        let admin = async {
            sleep(ms(100)).await;
            assert!(assert_took!(handle.stop_task("import", ms(21)), ms(20)));
            assert_eq!((alive(&left), stop.is_draining()), (0, false));
            assert!(assert_took!(handle.stop_task("import", ms(21)), ms(0)), "it has ended");
            assert!(assert_took!(handle.stop_task("nobody", ms(21)), ms(0)));
            sleep(ms(100)).await;
            stop.drain("deploy");
        };
        let (report, ()) = tokio::join!(shutdown.run(), admin);
        assert!(report.tasks.iter().map(|task| task.after).eq([ms(120), ms(220)]));
        assert_eq!(report.exit_code(), 0);
    });
}

#[test]
fn one_task_that_hangs_is_aborted_alone() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let handle = shutdown.handle();
        let left = Alive::default();
        let (mine, other) = (left.clone(), left.clone());
        let shutdown = shutdown
            .task("deaf", async move |_stop| {
                pending::<()>().await;
                drop(mine);
            })
            .task("deaf", async move |stop| {
                stop.draining().await;
                drop(other);
            })
            .task("http", server);
        let admin = async {
            assert!(!assert_took!(handle.stop_task("deaf", ms(30)), ms(30)));
            assert_eq!(alive(&left), 0);
            assert!(!stop.is_draining());
            stop.drain("deploy");
        };
        let (report, ()) = tokio::join!(shutdown.run(), admin);
        assert_eq!(report.reason, Reason::Stopped("deploy".into()));
        assert!(report.hung().map(|task| (&*task.name, task.after)).eq([("deaf", ms(30))]));
    });
}

#[test]
fn one_that_takes_the_place_of_another_is_not_aborted_with_it() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let handle = shutdown.handle();
        let shutdown = shutdown.task("part", async |_stop| pending::<()>().await);
        let replace = async {
            // During a drain the new task, too, has been asked to stop.
            stop.drain("deploy");
            sleep(ms(1)).await;
            let spawn = async {
                sleep(ms(5)).await;
                handle.spawn("part", async |_stop| sleep(ms(100)).await).unwrap();
            };
            tokio::join!(handle.stop_task("part", ms(10)), spawn).0
        };
        let (report, in_time) = tokio::join!(shutdown.run(), replace);
        assert!(!in_time);
        assert!(report.hung().map(|task| task.after).eq([ms(11)]), "{report}");
        assert!(matches!(report.tasks[1].outcome, Outcome::Finished), "{report}");
    });
}

#[test]
fn a_signal_during_the_start_up_rolls_back_what_had_started() {
    /// Opens one thing after the other, and reports the things that were closed, and when.
    async fn start(handle: Handle, stop: Stop) {
        for name in ["a", "b", "c"] {
            tokio::select! {
                () = sleep(ms(100)) => {}
                () = stop.draining() => return,
            }
            handle.on_stop(name, async || sleep(ms(5)).await).unwrap();
            handle.spawn(format!("{name}'s server"), server).unwrap();
        }
    }
    World::run(async |_| {
        for (at, opened) in [(50_u64, 0_usize), (150, 1), (250, 2), (350, 3)] {
            let (shutdown, stop) = Shutdown::manual();
            let handle = shutdown.handle();
            let shutdown = shutdown.task("start", async move |stop| start(handle, stop).await);
            let trigger = async {
                sleep(ms(at)).await;
                stop.drain("not now");
            };
            let (report, ()) = tokio::join!(shutdown.run(), trigger);
            let closed = report.tasks.iter().filter(|task| task.kind == Kind::CleanUp);
            assert!(closed.map(|task| &*task.name).eq(["a", "b", "c"].into_iter().take(opened)));
            assert_eq!((report.tasks.len(), report.exit_code()), (1 + 2 * opened, 0), "{report}");
        }
    });
}

#[test]
fn what_comes_during_the_stop_stops_at_once_and_with_the_first_deadline() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let handle = shutdown.handle();
        let (late, later) = (handle.clone(), handle.clone());
        let shutdown = shutdown
            .task("http", async move |stop| {
                stop.draining().await;
                sleep(ms(4_000)).await;
                // This task sees that it is late; another one does not look.
                late.spawn("good", async |stop| assert!(stop.is_draining())).unwrap();
                late.spawn("deaf", async |_stop| pending::<()>().await).unwrap();
            })
            .on_stop("pool", async move || {
                assert!(later.spawn("too late", server).is_err());
                sleep(ms(600)).await;
                later.on_stop("cache", async || sleep(ms(500)).await).unwrap();
            });
        stop.drain("deploy");
        let report = assert_took!(shutdown.run(), ms(10_000));
        let of = |task: &evenkeel_shutdown::TaskReport| (task.name.to_string(), task.after);
        assert!(report.tasks.iter().map(of).eq([
            ("http".to_owned(), ms(4_000)),
            ("pool".to_owned(), ms(600)),
            ("good".to_owned(), ms(0)),
            ("deaf".to_owned(), ms(5_000)),
            ("cache".to_owned(), ms(400)),
        ]));
        assert!(report.hung().map(|task| &*task.name).eq(["deaf", "cache"]));
    });
}

#[test]
fn after_the_run_what_comes_is_given_back() {
    World::run(async |_| {
        let (shutdown, _) = Shutdown::manual();
        let handle = shutdown.handle();
        assert_eq!(shutdown.task("short", async |_stop| {}).run().await.tasks.len(), 1);
        let late = handle.spawn("late", async |_stop| Ok::<_, BoxError>(7));
        let Err(Rejected(task)) = late else { panic!("it is over") };
        assert_eq!(task(Stop::new()).await.unwrap(), 7);
        assert!(handle.on_stop("late", async || {}).is_err());
        assert!(!*handle.readiness().borrow());
        assert!(format!("{handle:?}").starts_with("Handle { stop: Stop {"));
    });
}

#[test]
fn what_comes_before_the_run_is_started_with_it() {
    World::run(async |_| {
        let (shutdown, _) = Shutdown::manual();
        let handle = shutdown.handle();
        handle.spawn("early", async |_stop| sleep(ms(7)).await).unwrap();
        sleep(ms(100)).await;
        let report = assert_took!(shutdown.run(), ms(7));
        assert_eq!(report.tasks[0].after, ms(7));
    });
}

#[test]
fn the_error_of_another_is_a_failure_like_any_other() {
    World::run(async |_| {
        // A task that was not asked to stop, and returns a "cancelled" of another origin.
        let (shutdown, stop) = Shutdown::manual();
        let handle = shutdown.handle();
        let shutdown = shutdown
            .task("reader", async |stop| {
                tokio::select! {
                    () = sleep(ms(5)) => Err("operation was cancelled"),
                    () = stop.draining() => Ok(()),
                }
            })
            .task("http", server);
        let report = assert_took!(shutdown.run(), ms(5));
        assert_eq!(report.reason, Reason::Failed("reader".into()));
        assert!(matches!(report.tasks[0].outcome, Outcome::Failed(_)));
        assert!(stop.is_draining() && handle.stop().is_draining());
    });
}

#[test]
fn nothing_is_kept_of_a_program_that_never_ran() {
    World::run(async |_| {
        let left = Alive::default();
        let (shutdown, _) = Shutdown::manual();
        let handle = shutdown.handle();
        let (mine, theirs, again) = (left.clone(), left.clone(), handle.clone());
        let shutdown = shutdown.task("http", async move |_stop| drop((mine, again)));
        handle.spawn("jobs", async move |_stop| drop(theirs)).unwrap();
        assert_eq!(alive(&left), 2);
        drop(shutdown);
        assert_eq!(alive(&left), 0);
        assert!(assert_took!(handle.stop_task("http", ms(10)), ms(0)));
        assert!(handle.spawn("late", server).is_err());
    });
}

#[test]
fn a_task_may_abort_the_program_by_its_own_signal() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let shutdown = shutdown
            .task("judge", async |stop| {
                sleep(ms(5)).await;
                stop.drain("slowly");
                sleep(ms(5)).await;
                stop.abort("at once");
                pending::<()>().await
            })
            .phase("work")
            .task("jobs", async |_stop| pending::<()>().await);
        let report = assert_took!(shutdown.run(), ms(10));
        assert_eq!((report.reason.clone(), stop.is_aborting()), (Reason::Stopped("slowly".into()), true));
        assert!(matches!(report.tasks[0].outcome, Outcome::Aborted), "{report}");
        assert!(matches!(report.tasks[1].outcome, Outcome::NotReached), "{report}");
    });
}

#[test]
fn a_program_that_was_stopped_before_it_ran_is_never_ready() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let mut ready = shutdown.handle().readiness();
        let seen = ready.clone();
        let shutdown = shutdown.task("http", async move |stop| {
            assert!(!*seen.borrow());
            stop.draining().await;
            sleep(ms(5)).await;
        });
        stop.drain("before it ran");
        assert_took!(shutdown.run(), ms(5)).hung().for_each(drop);
        assert!(!*ready.borrow_and_update());
    });
}

#[test]
fn it_says_who_is_there() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let handle = shutdown.handle();
        let shutdown = shutdown
            .task("short", async |_stop| {})
            .task("http", server)
            .phase("close")
            .on_stop("pool", async || sleep(ms(5)).await);
        let guard = handle.guard("upload");
        let live = || -> Vec<_> {
            handle.live().into_iter().map(|task| (task.kind, task.name, task.phase, task.after)).collect()
        };
        assert_eq!(live(), [(Kind::Guard, "upload".into(), None, ms(0))]);
        let watch = async {
            sleep(ms(3)).await;
            let there =
                [(Kind::Task, "http".into(), None, ms(3)), (Kind::Guard, "upload".into(), None, ms(3))];
            assert_eq!(live(), there);
            drop(guard);
            stop.drain("deploy");
            sleep(ms(4)).await;
            assert_eq!(live(), [(Kind::CleanUp, "pool".into(), Some("close".into()), ms(4))]);
            assert!(handle.live()[0].to_string().ends_with(") is still running after 4ms"));
        };
        tokio::join!(shutdown.run(), watch).0.hung().for_each(drop);
        assert_eq!(live(), []);
    });
}
