//! Draining, aborting and failing, in exact virtual time.

use std::{
    future::{pending, poll_fn},
    task::Poll,
};

use evenkeel_shutdown::{BoxError, Outcome, Reason, Shutdown};
use evenkeel_testkit::{World, assert_took};
use tokio::{
    task::coop::consume_budget,
    time::{Instant, advance, sleep},
};

use crate::{Alive, alive, fixtures::deaf, ms, throw};

#[test]
fn it_ends_when_all_tasks_have_ended() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let shutdown = shutdown
            .task("a", async |_stop| sleep(ms(10)).await)
            .task("b", async |_stop| sleep(ms(30)).await);
        let report = assert_took!(shutdown.run(), ms(30));
        assert_eq!((report.reason.clone(), report.exit_code(), report.hung().count()), (Reason::Ended, 0, 0));
        assert!(report.tasks.iter().map(|task| task.after).eq([ms(10), ms(30)]));
        assert!(!stop.is_draining());
    });
}

#[test]
fn without_tasks_it_ends_at_once() {
    World::run(async |_| {
        let report = assert_took!(Shutdown::manual().0.run(), ms(0));
        assert_eq!((report.reason.clone(), report.exit_code()), (Reason::Ended, 0));
        let (shutdown, stop) = Shutdown::manual();
        stop.drain("before it ran");
        assert_eq!(shutdown.run().await.reason, Reason::Stopped("before it ran".into()));
    });
}

#[test]
fn a_drain_is_clean_when_all_end_within_the_grace_period() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let shutdown = shutdown.task("server", async |stop| {
            stop.draining().await;
            assert_eq!(stop.reason(), Some("deploy"));
            sleep(ms(9_999)).await;
        });
        let trigger = async {
            sleep(ms(500)).await;
            stop.drain("deploy");
        };
        let (report, ()) = assert_took!(async { tokio::join!(shutdown.run(), trigger) }, ms(10_499));
        assert_eq!(report.reason, Reason::Stopped("deploy".into()));
        assert_eq!(report.exit_code(), 0);
        assert!(!stop.is_aborting());
    });
}

#[test]
fn the_grace_period_is_10_seconds_and_then_everything_is_aborted() {
    World::run(async |_| {
        let left = Alive::default();
        let mine = left.clone();
        let (shutdown, stop) = Shutdown::manual();
        let line = line!() + 2;
        let shutdown = shutdown
            .task("deaf", async move |_stop| {
                pending::<()>().await;
                drop(mine);
            })
            .task("good", async |stop| stop.draining().await);
        stop.drain("deploy");
        let report = assert_took!(shutdown.run(), ms(10_000));
        assert_eq!(alive(&left), 0);
        let hung: Vec<_> = report.hung().collect();
        assert_eq!((hung.len(), hung[0].name.as_ref(), hung[0].after), (1, "deaf", ms(10_000)));
        assert_eq!((hung[0].place.file(), hung[0].place.line()), (file!(), line));
        assert!(stop.is_aborting());
        assert_eq!((stop.reason(), report.exit_code()), (Some("deploy"), 1));
    });
}

#[test]
fn an_abort_does_not_wait_for_the_grace_period() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let shutdown = shutdown.task("deaf", async |_stop| pending::<()>().await);
        let trigger = async {
            stop.drain("first");
            sleep(ms(3)).await;
            stop.abort("second");
        };
        let (report, ()) = assert_took!(async { tokio::join!(shutdown.run(), trigger) }, ms(3));
        assert_eq!(report.reason, Reason::Stopped("first".into()));
        assert_eq!(report.hung().count(), 1);
    });
}

#[test]
fn without_a_grace_period_a_drain_aborts() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let shutdown = shutdown.grace(ms(0)).task("deaf", async |_stop| pending::<()>().await);
        stop.drain("now");
        assert_eq!(assert_took!(shutdown.run(), ms(0)).hung().count(), 1);
    });
}

#[test]
fn what_is_never_short_of_work_beside_it_does_not_stop_its_clock() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let handle = shutdown.handle();
        let shutdown = shutdown.task("deaf", deaf).task("old", deaf);
        let beside = async {
            let busy = async {
                loop {
                    consume_budget().await;
                }
            };
            let clock = async {
                loop {
                    advance(ms(100)).await;
                }
            };
            let stops = async {
                let in_time = handle.stop_task("old", ms(1_000)).await;
                stop.drain("deploy");
                (in_time, shutdown.run().await)
            };
            let start = Instant::now();
            tokio::select! {
                biased;
                () = busy => unreachable!(),
                () = clock => unreachable!(),
                ends = stops => Some(ends),
                () = poll_fn(|_| if start.elapsed() < ms(60_000) { Poll::Pending } else { Poll::Ready(()) }) => None,
            }
        };
        let (in_time, report) = beside.await.expect("the grace period is never over");
        assert!(!in_time);
        assert_eq!(report.hung().count(), 2, "{report}");
    });
}

#[test]
fn a_grace_period_without_end_is_one() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let shutdown =
            shutdown.grace(std::time::Duration::MAX).task("slow", async |_stop| sleep(ms(1 << 33)).await);
        stop.drain("now");
        assert_eq!(assert_took!(shutdown.run(), ms(1 << 33)).exit_code(), 0);
    });
}

#[test]
fn a_failure_drains_the_others() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let shutdown = shutdown
            .task("import", async |_stop| {
                sleep(ms(5)).await;
                Err::<(), BoxError>("no such file".into())
            })
            .task("server", async |stop| {
                stop.draining().await;
                sleep(ms(5)).await;
            });
        let report = assert_took!(shutdown.run(), ms(10));
        assert_eq!((report.reason.clone(), report.exit_code()), (Reason::Failed("import".into()), 1));
        assert!(
            matches!(&report.tasks[0].outcome, Outcome::Failed(error) if error.to_string() == "no such file")
        );
        assert!(matches!(&report.tasks[1].outcome, Outcome::Finished));
        assert_eq!(stop.reason(), Some("stopped because task 'import' failed"));
    });
}

#[test]
fn a_panic_is_a_failure_wherever_it_comes_from() {
    struct Sore;
    impl Drop for Sore {
        fn drop(&mut self) {
            throw("destructor")
        }
    }
    World::run(async |_| {
        let shutdown = Shutdown::manual()
            .0
            .grace(ms(20))
            .task("future", async |_stop| throw("future"))
            .task(
                "closure",
                |stop| {
                    if stop.is_aborting() { std::future::ready(()) } else { throw("closure") }
                },
            )
            .task("destructor", async |_stop| {
                let _sore = Sore;
                pending::<()>().await
            });
        let report = assert_took!(shutdown.run(), ms(20));
        assert_eq!(report.reason, Reason::Failed("future".into()));
        for task in &report.tasks {
            assert!(
                matches!(&task.outcome, Outcome::Panicked(p) if p.message() == Some(&task.name)),
                "{task}"
            );
        }
    });
}

#[test]
fn a_failure_while_draining_is_in_the_report_and_not_the_reason() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let shutdown = shutdown.task("bad", async |stop| {
            stop.draining().await;
            Err::<(), _>("flush")
        });
        stop.drain("deploy");
        let report = shutdown.run().await;
        assert_eq!((report.reason.clone(), report.exit_code()), (Reason::Stopped("deploy".into()), 1));
    });
}

#[test]
fn a_task_can_stop_the_program() {
    World::run(async |_| {
        let shutdown = Shutdown::manual()
            .0
            .task("menu", async |stop| stop.drain("the user has left"))
            .task("server", async |stop| stop.draining().await);
        let report = assert_took!(shutdown.run(), ms(0));
        assert_eq!(
            (report.reason.clone(), report.exit_code()),
            (Reason::Stopped("the user has left".into()), 0)
        );
    });
}

#[test]
fn tasks_start_in_order_and_only_when_it_runs() {
    World::run(async |_| {
        let (tell, mut told) = tokio::sync::mpsc::channel(4);
        let mut shutdown = Shutdown::manual().0;
        for name in ["a", "b", "c"] {
            let tell = tell.clone();
            shutdown = shutdown.task(name, async move |_stop| tell.send(name).await);
        }
        assert!(format!("{shutdown:?}").starts_with(r#"Shutdown { tasks: ["a", "b", "c"], grace: 10s"#));
        sleep(ms(1)).await;
        assert!(told.is_empty());
        assert_eq!(shutdown.run().await.exit_code(), 0);
        for name in ["a", "b", "c"] {
            assert_eq!(told.recv().await, Some(name));
        }
    });
}
