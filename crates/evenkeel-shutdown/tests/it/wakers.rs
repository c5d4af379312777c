//! Wakers that panic, and wakers that call back, with every wait of the crate.

use std::{
    future::pending,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Waker},
};

use evenkeel_shutdown::{Handle, Report, Shutdown};
use evenkeel_testkit::{
    World, assert_took,
    waker::{panicking, with_hook},
};
use tokio::time::{sleep, timeout};

use crate::ms;

fn poll(future: &mut Pin<Box<impl Future + ?Sized>>, waker: &Waker) {
    assert!(future.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
}

// In these tests the run has a task of its own: in the task that gives the signal it would be polled anyway.

#[test]
fn a_waker_that_panics_keeps_no_other_from_hearing_the_stop() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let handle = shutdown.handle();
        let broken = panicking("broken");
        // Registered before the run, and so before all waiters of the run.
        let mut waits = [Box::pin(handle.stop().draining()), Box::pin(handle.stop().aborting())];
        waits.iter_mut().for_each(|wait| poll(wait, &broken));
        let shutdown = shutdown.grace(ms(500)).task("deaf", async |_stop| pending::<()>().await);
        let run = tokio::spawn(shutdown.run());
        sleep(ms(10)).await;
        handle.signal(2);
        let report = assert_took!(run, ms(500)).unwrap();
        assert_eq!(report.hung().count(), 1, "{report}");
        assert!(stop.is_aborting());
    });
}

#[test]
fn nor_is_a_stop_by_hand_lost() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let mut wait = Box::pin(stop.draining());
        poll(&mut wait, &panicking("broken"));
        let run = tokio::spawn(shutdown.task("server", async |stop| stop.draining().await).run());
        sleep(ms(10)).await;
        // The caller may see the panic; the run sees the stop in any case.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| stop.drain("deploy")));
        assert_eq!(assert_took!(run, ms(0)).unwrap().exit_code(), 0);
    });
}

#[test]
fn a_waker_that_panics_keeps_nobody_from_the_end_of_a_task() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let handle = shutdown.handle();
        let shutdown = shutdown.task("slow", async |stop| {
            stop.draining().await;
            sleep(ms(20)).await;
        });
        // Registered before all others.
        let mut broken = Box::pin(handle.stop_task("slow", ms(1_000)));
        poll(&mut broken, &panicking("broken"));
        let run = tokio::spawn(shutdown.run());
        let later = handle.clone();
        let good = tokio::spawn(async move { later.stop_task("slow", ms(1_000)).await });
        assert!(assert_took!(good, ms(20)).unwrap());
        assert_eq!(assert_took!(run, ms(0)).unwrap().exit_code(), 0);
        assert!(!stop.is_draining());
    });
}

#[test]
fn a_waker_that_panics_keeps_nobody_from_the_readiness() {
    World::run(async |_| {
        for _ in 0..20 {
            let (shutdown, stop) = Shutdown::manual();
            let handle = shutdown.handle();
            let broken = panicking("broken");
            let mut receivers: Vec<_> = (0..10).map(|_| handle.readiness()).collect();
            let mut waits: Vec<_> = receivers.iter_mut().map(|ready| Box::pin(ready.changed())).collect();
            waits.iter_mut().for_each(|wait| poll(wait, &broken));
            let shutdown = shutdown.task("server", async |stop| stop.draining().await);
            let mut ready = handle.readiness();
            let beside = async {
                timeout(ms(10), ready.wait_for(|ready| *ready))
                    .await
                    .expect("it hears")
                    .expect("it is there");
                stop.drain("deploy");
                timeout(ms(10), ready.wait_for(|ready| !*ready))
                    .await
                    .expect("it hears")
                    .expect("it is there");
            };
            let (report, ()) = tokio::join!(shutdown.run(), beside);
            assert_eq!(report.exit_code(), 0);
        }
    });
}

#[test]
fn readiness_outlives_those_that_nobody_reads_and_not_the_run() {
    let (shutdown, _) = Shutdown::manual();
    let handle = shutdown.handle();
    let kept = handle.readiness();
    for _ in 0..10_000 {
        drop(handle.readiness());
    }
    assert!(kept.has_changed().is_ok());
    drop((shutdown, handle));
    assert!(kept.has_changed().is_err(), "the run is gone");
}

#[test]
fn a_waker_may_call_back_wherever_it_is_cloned_woken_or_dropped() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let handle = shutdown.handle();
        let calls = Arc::new(AtomicUsize::new(0));
        let (mine, back) = (calls.clone(), handle.clone());
        let nosy = with_hook(move |_| {
            // Without a limit each poll that clones it would find a change, and poll again.
            if mine.fetch_add(1, Ordering::Relaxed) >= 100 {
                return;
            }
            let _ = back.live();
            drop(back.guard("brief"));
            drop(back.readiness());
            let _ = back.on_stop("late", async || {});
            let _ = back.spawn("late", async |_stop| {});
        });
        let shutdown = shutdown.grace(ms(100)).task("deaf", async |_stop| pending::<()>().await);
        let nosy_too = nosy.clone();
        let beside = async {
            sleep(ms(1)).await;
            let mut waits: [Pin<Box<dyn Future<Output = ()>>>; 3] = [
                Box::pin(async {
                    let _ = handle.stop_task("none", ms(5)).await;
                }),
                Box::pin(async {
                    let _ = handle.stop_task("deaf", ms(50)).await;
                }),
                Box::pin(handle.stop().draining()),
            ];
            for wait in &mut waits[1..] {
                poll(wait, &nosy);
                poll(wait, &nosy_too);
            }
            stop.drain("deploy");
            sleep(ms(1)).await;
        };
        let (report, ()) = tokio::join!(shutdown.run(), beside);
        assert!(calls.load(Ordering::Relaxed) > 0);
        assert!(report.tasks.iter().any(|task| task.name == "deaf"), "{report}");
    });
}

#[test]
fn a_waker_may_drop_another_run() {
    World::run(async |_| {
        type Run = Pin<Box<dyn Future<Output = Report> + Send>>;
        let other: Arc<Mutex<Option<Run>>> = Arc::default();
        let (inner, _) = Shutdown::manual();
        let mut run: Run = Box::pin(inner.task("inner", async |_stop| pending::<()>().await).run());
        poll(&mut run, Waker::noop());
        *other.lock().unwrap() = Some(run);
        let (shutdown, _) = Shutdown::manual();
        let handle: Handle = shutdown.handle();
        let mine = other.clone();
        let drops = with_hook(move |_| {
            let run = mine.lock().unwrap().take();
            drop(run);
        });
        let mut wait = pin!(handle.stop().draining());
        assert!(wait.as_mut().poll(&mut Context::from_waker(&drops)).is_pending());
        let shutdown = shutdown.task("server", async |stop| stop.draining().await);
        let (report, ()) = tokio::join!(shutdown.run(), async { handle.signal(15) });
        assert_eq!(report.exit_code(), 0);
        assert!(other.lock().unwrap().is_none());
    });
}
