//! Wakers that do things that would stop the signal thread.

use std::{
    panic::resume_unwind,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Wake, Waker},
    time::Duration,
};

use evenkeel_shutdown::{Report, Shutdown};
use tokio::{runtime::Builder, signal::ctrl_c};

use crate::{
    process::{Program, STARTED},
    programs::{block, deaf, end, ready, threads},
};

struct Hostile<F: Fn() + Send + Sync>(F);

impl<F: Fn() + Send + Sync> Wake for Hostile<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

/// Runs with a waker that waits for both steps of the stop, before all others.
fn runs_with(does: impl Fn() + Send + Sync + 'static) {
    let waker = Waker::from(Arc::new(Hostile(does)));
    let shutdown = Shutdown::new().grace(Duration::from_secs(3600)).task("deaf", deaf).task("ready", ready);
    let handle = shutdown.handle();
    let mut waits = [pin!(handle.stop().draining()), pin!(handle.stop().aborting())];
    for wait in &mut waits {
        assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    end(threads().block_on(shutdown.run()));
}

#[test]
#[ignore = "a program"]
fn drops_another_run() {
    if std::env::var_os(STARTED).is_some() {
        type Run = Pin<Box<dyn Future<Output = Report> + Send>>;
        let others = threads();
        let inside = others.enter();
        let others: Vec<Run> = (0..2)
            .map(|_| {
                let other = Shutdown::new().task("server", async |stop| stop.draining().await);
                let mut run: Run = Box::pin(other.run());
                assert!(run.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
                run
            })
            .collect();
        drop(inside);
        let others = Mutex::new(others);
        runs_with(move || {
            let other = others.lock().expect("nobody panics").pop();
            println!("{}", if other.is_some() { "dropping" } else { "none is left" });
        });
    }
}

#[test]
#[ignore = "a program"]
fn blocks_when_woken() {
    if std::env::var_os(STARTED).is_some() {
        runs_with(block);
    }
}

#[test]
#[ignore = "a program"]
fn blocks_when_woken_by_the_watchdog() {
    if std::env::var_os(STARTED).is_some() {
        let shutdown = Shutdown::new().grace(Duration::from_millis(50));
        let shutdown = shutdown.task("ready", ready).task("stuck", async |_stop| block());
        let handle = shutdown.handle();
        let mut wait = pin!(handle.stop().aborting());
        let waker = Waker::from(Arc::new(Hostile(block)));
        assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        end(threads().block_on(shutdown.run()));
    }
}

/// Listens to a signal by tokio as well, in a runtime that is not polled.
fn hears_by_tokio(does: impl Fn() + Send + Sync + 'static) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _inside = runtime.enter();
    let _shutdown = Shutdown::new();
    let mut wait = pin!(ctrl_c());
    let waker = Waker::from(Arc::new(Hostile(does)));
    assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    println!("ready");
    block();
}

#[test]
#[ignore = "a program"]
fn blocks_when_woken_by_tokio() {
    if std::env::var_os(STARTED).is_some() {
        hears_by_tokio(block);
    }
}

#[test]
#[ignore = "a program"]
fn panics_when_woken_by_tokio() {
    if std::env::var_os(STARTED).is_some() {
        hears_by_tokio(|| resume_unwind(Box::new("broken")));
    }
}

#[test]
#[ignore = "a program"]
fn signals_itself_when_woken() {
    if std::env::var_os(STARTED).is_some() {
        let shutdown = Shutdown::new().signal_window(Duration::ZERO).grace(Duration::from_secs(3600));
        let shutdown = shutdown.task("deaf", deaf).task("ready", ready);
        let handle = shutdown.handle();
        let mut wait = pin!(handle.stop().draining());
        let back = handle.clone();
        let waker = Waker::from(Arc::new(Hostile(move || {
            drop(Shutdown::new());
            Shutdown::disarm();
            back.signal(2);
        })));
        assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        end(threads().block_on(shutdown.run()));
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_waker_that_drops_other_runs_keeps_no_signal_from_being_heard() {
    let mut program = Program::start("wakers::drops_another_run");
    program.prints("ready").await.signal("TERM").prints("draining").await;
    program.train(&[("TERM", 300)]).await.prints("aborted").await;
    assert_eq!(program.ends().await.0, Some(1));
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_waker_that_blocks_keeps_no_signal_from_being_heard() {
    let mut program = Program::start("wakers::blocks_when_woken");
    program.prints("ready").await.signal("TERM").prints("draining").await;
    program.train(&[("TERM", 300)]).await.prints("aborted").await;
    assert_eq!(program.ends().await.0, Some(1));
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_waker_that_blocks_does_not_keep_the_process_up() {
    let mut program = Program::start("wakers::blocks_when_woken_by_the_watchdog");
    program.prints("ready").await.signal("TERM");
    let (code, errors) = program.ends().await;
    assert_eq!(code, Some(143));
    assert!(errors.contains("task 'stuck' ("), "{errors}");
}

#[tokio::test]
#[ignore = "real tier"]
async fn who_else_listens_to_a_signal_keeps_none_from_being_heard() {
    for name in ["wakers::blocks_when_woken_by_tokio", "wakers::panics_when_woken_by_tokio"] {
        let mut program = Program::start(name);
        program.prints("ready").await.train(&[("INT", 0), ("TERM", 300), ("TERM", 600)]).await;
        assert_eq!(program.ends().await, (Some(143), String::new()), "{name}");
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_waker_may_use_all_of_the_crate() {
    let mut program = Program::start("wakers::signals_itself_when_woken");
    program.prints("ready").await.signal("TERM").prints("aborted").await;
    assert_eq!(program.ends().await.0, Some(1));
}
