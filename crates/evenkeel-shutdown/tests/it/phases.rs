//! The order of a stop, and the time that each phase has.

use std::future::pending;

use evenkeel_shutdown::{Outcome, Reason, Shutdown, Stop};
use evenkeel_testkit::{Record, World, assert_timeline, assert_took};
use tokio::time::sleep;

use crate::{
    Alive, alive,
    fixtures::{deaf, drains_in},
    ms, throw,
};

#[test]
fn readiness_then_the_delay_then_phase_after_phase() {
    World::run(async |w| {
        let record = w.record();
        let note = |what: &'static str, time: u64| {
            let record = record.clone();
            async move |stop: Stop| {
                stop.draining().await;
                record.note(format!("{what} drains"));
                sleep(ms(time)).await;
                record.note(format!("{what} has ended"));
            }
        };
        let close = |what: &'static str, time: u64| {
            let record = record.clone();
            async move || {
                record.note(format!("{what} is closed"));
                sleep(ms(time)).await;
            }
        };
        let (shutdown, stop) = Shutdown::manual();
        let mut ready = shutdown.handle().readiness();
        let shutdown = shutdown
            .pre_stop(ms(500))
            .phase("accept")
            .task("http", note("http", 30))
            .task("grpc", note("grpc", 20))
            .on_stop("registry", close("registry", 5))
            .phase("work")
            .task("jobs", note("jobs", 10))
            .phase("close")
            .on_stop("pool", close("pool", 1))
            .on_stop("log", close("log", 2));
        let probe = async {
            ready.wait_for(|ready| *ready).await.unwrap();
            record.note("ready");
            sleep(ms(100)).await;
            stop.drain("deploy");
            ready.wait_for(|ready| !*ready).await.unwrap();
            record.note("not ready");
        };
        let (report, ()) = tokio::join!(shutdown.run(), probe);
        assert_timeline!(
            record,
            [
                0 ms "ready",
                100 ms "not ready",
                600 ms "http drains",
                600 ms "grpc drains",
                620 ms "grpc has ended",
                630 ms "http has ended",
                630 ms "registry is closed",
                635 ms "jobs drains",
                645 ms "jobs has ended",
                645 ms "pool is closed",
                645 ms "log is closed",
            ]
        );
        assert_eq!((w.elapsed(), report.exit_code()), (ms(647), 0));
        assert!(!stop.is_aborting());
    });
}

#[test]
fn a_phase_that_overruns_does_not_take_the_time_of_the_next() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let shutdown = shutdown
            .task("deaf", deaf)
            .on_stop("slow", async || sleep(ms(9_000)).await)
            .phase("work")
            .task("jobs", drains_in(900))
            .task("late", drains_in(1_100))
            .phase("close")
            .reserve(ms(3_000))
            .on_stop("pool", async || sleep(ms(2_900)).await);
        stop.drain("deploy");
        let report = assert_took!(shutdown.run(), ms(9_900));
        // 10 s, less one for the first clean-up, one for the jobs, and three to close.
        assert!(report.tasks.iter().map(|task| task.after).eq([
            ms(5_000),
            ms(1_000),
            ms(6_900),
            ms(7_000),
            ms(2_900)
        ]));
        assert!(report.hung().map(|task| &*task.name).eq(["deaf", "slow", "late"]));
        assert!(!stop.is_aborting(), "it had its time to the end");
    });
}

#[test]
fn what_is_aborted_has_been_dropped_before_the_next_begins() {
    struct Last(Record, &'static str);
    impl Drop for Last {
        fn drop(&mut self) {
            self.0.note(format!("{} is dropped", self.1));
        }
    }
    World::run(async |w| {
        let (one, two, three) = (w.record().clone(), w.record().clone(), w.record().clone());
        let (shutdown, stop) = Shutdown::manual();
        let shutdown = shutdown
            .task("deaf", async move |_stop| {
                let _last = Last(one, "deaf");
                pending::<()>().await
            })
            .on_stop("slow", async move || {
                let last = Last(two, "slow");
                last.0.note("slow begins");
                pending::<()>().await;
                drop(last);
            })
            .phase("close")
            .on_stop("pool", async move || three.note("the pool is closed"));
        stop.drain("deploy");
        let report = shutdown.run().await;
        assert_eq!(report.hung().count(), 2);
        assert_timeline!(
            w.record(),
            [8 s "deaf is dropped", 8 s "slow begins", 9 s "slow is dropped", 9 s "the pool is closed"]
        );
    });
}

#[test]
fn time_that_is_not_needed_is_left_to_the_others() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let shutdown = shutdown
            .task("quick", drains_in(1))
            .phase("over")
            .reserve(ms(4_000))
            .task("short", async |_stop| {})
            .phase("close")
            .on_stop("slow", async || sleep(ms(9_998)).await);
        stop.drain("deploy");
        assert_eq!(assert_took!(shutdown.run(), ms(9_999)).hung().count(), 0);
        let (shutdown, stop) = Shutdown::manual();
        let shutdown = shutdown
            .task("slow", deaf)
            .phase("over")
            .reserve(ms(4_000))
            .task("short", async |_stop| {})
            .phase("close")
            .on_stop("pool", async || {});
        let trigger = async {
            sleep(ms(1)).await;
            stop.drain("deploy");
        };
        let (report, ()) = tokio::join!(shutdown.run(), trigger);
        assert_eq!(report.tasks[0].after, ms(9_001), "what has ended needs no time");
    });
}

#[test]
fn clean_ups_run_whatever_the_reason_was() {
    World::run(async |_| {
        for (end, reason) in [(Ok(()), Reason::Ended), (Err("no disk"), Reason::Failed("job".into()))] {
            let (shutdown, stop) = Shutdown::manual();
            let mut ready = shutdown.handle().readiness();
            let shutdown = shutdown
                .pre_stop(ms(5_000))
                .task("job", async move |_stop| {
                    sleep(ms(10)).await;
                    end
                })
                .on_stop("pool", async move || {
                    assert!(!*ready.borrow_and_update());
                    sleep(ms(1)).await;
                    Err::<(), _>("not closed")
                });
            // No task is left for which the delay could matter.
            let report = assert_took!(shutdown.run(), ms(11));
            assert_eq!((report.reason.clone(), stop.is_draining()), (reason, true));
            assert!(matches!(report.tasks[1].outcome, Outcome::Failed(_)));
            assert_eq!(report.exit_code(), 1);
        }
    });
}

#[test]
fn the_second_signal_cuts_everything_off() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let handle = shutdown.handle();
        let shutdown = shutdown
            .task("http", deaf)
            .on_stop("registry", async || {})
            .phase("work")
            .task("jobs", deaf)
            .phase("close")
            .on_stop("pool", async || {});
        let guard = handle.guard("upload");
        let trigger = async {
            stop.drain("first");
            sleep(ms(3)).await;
            stop.abort("second");
        };
        let (report, ()) = assert_took!(async { tokio::join!(shutdown.run(), trigger) }, ms(3));
        drop(guard);
        assert!(report.hung().map(|hung| &*hung.name).eq(["http", "upload"]));
        let not_reached = report.tasks.iter().filter(|task| matches!(task.outcome, Outcome::NotReached));
        assert!(not_reached.map(|task| (&*task.name, task.after)).eq([
            ("registry", ms(0)),
            ("jobs", ms(3)),
            ("pool", ms(0))
        ]));
    });
}

#[test]
fn an_abort_begins_nothing_more_even_if_it_comes_with_the_end_of_the_last_task() {
    World::run(async |_| {
        let (shutdown, _) = Shutdown::manual();
        let shutdown = shutdown
            .task("judge", async |stop| stop.abort("at once"))
            .on_stop("registry", async || {})
            .phase("close")
            .on_stop("pool", async || {});
        let handle = shutdown.handle();
        let _guard = handle.guard("upload");
        let report = assert_took!(shutdown.run(), ms(0));
        let ends = report.tasks.iter().map(|task| (&*task.name, task.outcome.to_string()));
        let not_reached = "was cut off before its turn".to_owned();
        assert!(
            ends.eq([
                ("judge", "finished".to_owned()),
                ("registry", not_reached.clone()),
                ("pool", not_reached.clone()),
                ("upload", not_reached)
            ]),
            "{report}"
        );
    });
}

#[test]
fn without_a_grace_period_no_clean_up_begins_or_hangs() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let shutdown = shutdown.grace(ms(0)).task("http", deaf).on_stop("pool", async || {});
        stop.drain("deploy");
        let report = assert_took!(shutdown.run(), ms(0));
        assert!(report.hung().map(|hung| &*hung.name).eq(["http"]), "{report}");
        assert!(matches!(report.tasks[1].outcome, Outcome::NotReached), "{report}");
    });
}

#[test]
fn an_abort_in_the_delay_finds_nobody_hanging() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let handle = shutdown.handle();
        let shutdown = shutdown.pre_stop(ms(500)).task("http", deaf);
        let guard = handle.guard("upload");
        let trigger = async {
            stop.drain("first");
            sleep(ms(499)).await;
            stop.abort("second");
        };
        let (report, ()) = assert_took!(async { tokio::join!(shutdown.run(), trigger) }, ms(499));
        drop(guard);
        assert_eq!(report.hung().count(), 0);
        assert!(report.tasks.iter().all(|task| matches!(task.outcome, Outcome::NotReached)), "{report}");
        assert_eq!((report.tasks.len(), report.exit_code()), (2, 1));
    });
}

#[test]
fn a_phase_with_a_handle_keeps_its_place() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let handle = shutdown.handle();
        let shutdown = shutdown.phase("work").task("jobs", drains_in(1));
        let guard = handle.guard("before it");
        let work = async {
            stop.drain("deploy");
            sleep(ms(5)).await;
            drop(guard);
        };
        let (report, ()) = assert_took!(async { tokio::join!(shutdown.run(), work) }, ms(6));
        assert_eq!(report.tasks[0].phase.as_deref(), Some("work"));
    });
}

#[test]
fn panics_while_it_stops_are_all_in_the_report_and_stop_nothing() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let panics = async |stop: Stop| {
            stop.draining().await;
            throw("while it drains")
        };
        let left = Alive::default();
        let (one, two) = (left.clone(), left.clone());
        let shutdown = shutdown
            .task("one", panics)
            .task("two", panics)
            .on_stop("pool", async move || {
                sleep(ms(1)).await;
                drop(one);
            })
            .on_stop("cache", async || throw("while it is closed"))
            .phase("close")
            .on_stop("log", move || {
                drop(two);
                if true { throw("in the closure") } else { std::future::ready(()) }
            });
        stop.drain("deploy");
        let report = assert_took!(shutdown.run(), ms(1));
        let panicked = report.tasks.iter().filter(|task| matches!(task.outcome, Outcome::Panicked(_)));
        assert!(panicked.map(|task| &*task.name).eq(["one", "two", "cache", "log"]));
        assert_eq!((report.reason.clone(), alive(&left)), (Reason::Stopped("deploy".into()), 0));
    });
}

#[test]
fn what_a_task_leaves_behind_hears_the_stop_in_its_turn() {
    World::run(async |w| {
        let (shutdown, stop) = Shutdown::manual();
        let (soft, hard) = (w.record().clone(), w.record().clone());
        let shutdown = shutdown
            .pre_stop(ms(10))
            .task("http", drains_in(20))
            .phase("work")
            .task("short", async |stop| {
                let aborting = stop.aborting();
                tokio::spawn(async move {
                    stop.draining().await;
                    soft.note("drain");
                });
                tokio::spawn(async move {
                    aborting.await;
                    hard.note("abort");
                });
            })
            .phase("close")
            .on_stop("pool", async || sleep(ms(30)).await);
        stop.drain("deploy");
        assert_took!(shutdown.run(), ms(60)).hung().for_each(drop);
        w.settle().await;
        assert_timeline!(w.record(), [30 ms "drain", 60 ms "abort"]);
    });
}

#[test]
fn the_end_of_a_vital_task_stops_the_program() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let shutdown = shutdown
            .task("short", async |_stop| sleep(ms(1)).await)
            .task("http", async |_stop| sleep(ms(2)).await)
            .vital()
            .task("cache", drains_in(3));
        let report = assert_took!(shutdown.run(), ms(5));
        assert_eq!((report.reason.clone(), report.exit_code()), (Reason::VitalTaskEnded("http".into()), 0));
        assert_eq!(stop.reason(), Some("stopped because the vital task 'http' ended"));
    });
}

#[test]
fn the_first_phase_is_named_if_nothing_was_given_before() {
    World::run(async |_| {
        let (shutdown, _) = Shutdown::manual();
        let record = Record::new();
        let late = record.clone();
        let report = shutdown
            .phase("accept")
            .task("http", async |_stop| {})
            .phase("close")
            .on_stop("pool", async move || late.note("closed"))
            .run()
            .await;
        assert!(report.tasks.iter().map(|task| task.phase.as_deref()).eq([Some("accept"), Some("close")]));
        assert_timeline!(record, [0 ms "closed"]);
        let place = report.tasks[1].place;
        assert_eq!(
            report.to_string().lines().last(),
            Some(format!("  clean-up 'pool' of phase 'close' ({place}) finished after 0ns").as_str())
        );
    });
}
