//! Guards for work in flight.

use std::future::pending;

use evenkeel_shutdown::{Kind, Outcome, Reason, Shutdown};
use evenkeel_testkit::{World, assert_took};
use tokio::time::sleep;

use crate::ms;

#[test]
fn the_drain_waits_for_guards_and_what_comes_after_it_too() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let handle = shutdown.handle();
        let closing = handle.clone();
        let shutdown = shutdown
            .task("http", async |stop| stop.draining().await)
            .on_stop("pool", async move || assert_eq!(closing.in_flight(), 0));
        let guards = [(); 3].map(|()| handle.guard("request"));
        assert_eq!(handle.in_flight(), 3);
        let work = async {
            stop.drain("deploy");
            for guard in guards {
                sleep(ms(10)).await;
                drop(guard);
            }
        };
        let (report, ()) = assert_took!(async { tokio::join!(shutdown.run(), work) }, ms(30));
        assert_eq!((report.exit_code(), report.tasks.len()), (0, 2));
    });
}

#[test]
fn a_guard_that_is_left_is_named_with_place_and_age() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let shutdown = shutdown.phase("accept").task("http", async |stop| stop.draining().await);
        let handle = shutdown.handle();
        let shutdown = shutdown.phase("close").on_stop("pool", async || {});
        let done = handle.guard("download");
        sleep(ms(500)).await;
        let line = line!() + 1;
        let left = handle.guard("upload");
        drop(done);
        stop.drain("deploy");
        // The last second is kept for the pool.
        let report = assert_took!(shutdown.run(), ms(9_000));
        drop(left);
        let hung: Vec<_> = report.hung().collect();
        let [hung] = hung[..] else { panic!("{report}") };
        assert_eq!((&*hung.name, hung.kind, hung.after), ("upload", Kind::Guard, ms(9_000)));
        assert_eq!((hung.place.file(), hung.place.line()), (file!(), line));
        assert!(matches!(hung.outcome, Outcome::Held));
        assert!(hung.to_string().ends_with(") is still held after 9s"), "{hung}");
        assert_eq!(report.exit_code(), 1);
        assert!(!stop.is_aborting());
    });
}

#[test]
fn a_guard_does_not_keep_the_program_up_and_is_waited_for_at_its_end() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let handle = shutdown.handle();
        let guard = handle.guard("request");
        let shutdown = shutdown.task("job", async |_stop| sleep(ms(5)).await);
        let work = async {
            sleep(ms(8)).await;
            drop(guard);
        };
        let (report, ()) = assert_took!(async { tokio::join!(shutdown.run(), work) }, ms(8));
        assert_eq!((report.reason.clone(), report.exit_code()), (Reason::Ended, 0));
        assert!(stop.is_draining());
    });
}

#[test]
fn without_guards_nothing_ends_early_and_nothing_hangs() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let handle = shutdown.handle();
        let mut ready = handle.readiness();
        let shutdown = shutdown.task("http", async |stop| stop.draining().await);
        let trigger = async {
            ready.wait_for(|ready| *ready).await.unwrap();
            // Taken and dropped before the request to stop.
            drop(handle.guard("request"));
            sleep(ms(100)).await;
            stop.drain("deploy");
        };
        let (report, ()) = assert_took!(async { tokio::join!(shutdown.run(), trigger) }, ms(100));
        assert_eq!(report.exit_code(), 0);
    });
}

#[test]
fn guards_may_be_taken_during_the_drain_and_after_the_run() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let handle = shutdown.handle();
        let inner = handle.clone();
        let shutdown = shutdown.task("http", async move |stop| {
            stop.draining().await;
            let guard = inner.guard("the last request");
            tokio::spawn(async move {
                sleep(ms(20)).await;
                drop(guard);
            });
        });
        stop.drain("deploy");
        let report = assert_took!(shutdown.run(), ms(20));
        assert_eq!(report.exit_code(), 0);
        let late = handle.guard("nobody waits");
        assert_eq!(handle.in_flight(), 1);
        drop(late);
        assert_eq!(handle.in_flight(), 0);
    });
}

#[test]
fn a_guard_of_a_later_phase_does_not_hold_up_an_earlier_one() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let shutdown = shutdown.task("deaf", async |_stop| pending::<()>().await).phase("work");
        let handle = shutdown.handle();
        let shutdown = shutdown.reserve(ms(2_000)).task("jobs", async |stop| stop.draining().await);
        let guard = handle.guard("job");
        stop.drain("deploy");
        let work = async {
            sleep(ms(9_500)).await;
            drop(guard);
        };
        let (report, ()) = assert_took!(async { tokio::join!(shutdown.run(), work) }, ms(9_500));
        assert!(report.tasks.iter().map(|task| task.after).eq([ms(8_000), ms(8_000)]));
        assert!(report.hung().map(|task| &*task.name).eq(["deaf"]));
    });
}

#[test]
fn a_guard_that_is_taken_late_still_keeps_the_time_of_its_phase() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let shutdown = shutdown.task("deaf", async |_stop| pending::<()>().await).phase("work");
        let handle = shutdown.handle();
        let shutdown = shutdown.reserve(ms(4_000));
        let work = async {
            stop.drain("deploy");
            // Until now nothing came after the deaf task, which had the whole grace period.
            sleep(ms(1_000)).await;
            let guard = handle.guard("job");
            sleep(ms(8_000)).await;
            drop(guard);
        };
        let (report, ()) = assert_took!(async { tokio::join!(shutdown.run(), work) }, ms(9_000));
        assert!(report.hung().map(|task| (&*task.name, task.after)).eq([("deaf", ms(6_000))]), "{report}");
    });
}
