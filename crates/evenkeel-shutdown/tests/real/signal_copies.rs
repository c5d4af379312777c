//! One request that arrives as several signals, as runners, stop commands and closing terminals send it.

use std::{future::pending, time::Duration};

use evenkeel_shutdown::Shutdown;
use tokio::time::sleep;

use crate::{
    process::{Program, STARTED},
    programs::{deaf, end, ready, threads},
};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Listens to HUP as well, and takes half a second to drain.
#[test]
#[ignore = "a program"]
fn takes_its_time() {
    if std::env::var_os(STARTED).is_some() {
        let shutdown =
            Shutdown::new().signals([1, 2, 15]).task("ready", ready).task("server", async |stop| {
                stop.draining().await;
                println!("draining");
                sleep(ms(500)).await;
                println!("drained");
            });
        let report = threads().block_on(shutdown.run());
        let counted = report.signals.iter().filter(|signal| signal.counted).count();
        println!("{counted} of {} counted", report.signals.len());
        end(report);
    }
}

/// Drains at once, and goes on: with its runtime, and then without one.
#[test]
#[ignore = "a program"]
fn goes_on_after_the_run() {
    if std::env::var_os(STARTED).is_some() {
        let runtime = threads();
        let shutdown =
            Shutdown::new().task("ready", ready).task("server", async |stop| stop.draining().await);
        let report = runtime.block_on(async {
            let report = shutdown.run().await;
            println!("over");
            sleep(ms(100)).await;
            report
        });
        drop(runtime);
        threads().block_on(async { sleep(ms(300)).await });
        println!("done");
        end(report);
    }
}

#[test]
#[ignore = "a program"]
fn runs_again_at_once() {
    if std::env::var_os(STARTED).is_some() {
        let server = || Shutdown::new().task("server", async |stop| stop.draining().await);
        let report = threads().block_on(async {
            drop(server().task("ready", ready).run().await);
            println!("again");
            server().run().await
        });
        end(report);
    }
}

#[test]
#[ignore = "a program"]
fn hears_every_signal() {
    if std::env::var_os(STARTED).is_some() {
        let shutdown = Shutdown::new().signal_window(ms(0)).grace(Duration::from_secs(3600));
        end(threads().block_on(shutdown.task("deaf", deaf).task("ready", ready).run()));
    }
}

/// Does not drain, and blocks the thread that is to abort it.
#[test]
#[ignore = "a program"]
fn hangs_in_two_tasks() {
    if std::env::var_os(STARTED).is_some() {
        let shutdown = Shutdown::new().grace(Duration::from_secs(3600)).task("deaf", deaf);
        let shutdown = shutdown.on_stop("never", async || pending::<()>().await).task("ready", ready);
        end(threads().block_on(shutdown.run()));
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn one_request_in_several_signals_cuts_nothing() {
    let trains: [&[(&str, u64)]; 9] = [
        // npm, pnpm run, bun, timeout, dumb-init -c, node --watch.
        &[("INT", 0), ("INT", 0)],
        &[("INT", 0), ("INT", 1)],
        // pnpm exec.
        &[("INT", 0), ("TERM", 1)],
        // nodemon, at a key and at its own TERM.
        &[("INT", 0), ("INT", 18), ("INT", 35)],
        &[("TERM", 0), ("INT", 16), ("INT", 42)],
        &[("TERM", 0), ("INT", 17), ("INT", 66)],
        // Terminals that close.
        &[("HUP", 0), ("HUP", 0), ("HUP", 1)],
        &[("HUP", 0), ("TERM", 3)],
        // watchfiles.
        &[("INT", 0), ("INT", 64)],
    ];
    for signals in trains {
        let mut program = Program::start("signal_copies::takes_its_time");
        program.prints("ready").await.train(signals).await.prints("drained").await;
        // The kernel merges two pending signals of one kind; another kind stays a signal of its own.
        let heard = program.tells("1 of ").await;
        let kinds = signals.iter().any(|(name, _)| *name != signals[0].0);
        assert!(!kinds || !heard.starts_with('1'), "{signals:?}: {heard}");
        assert_eq!(program.ends().await, (Some(0), String::new()), "{signals:?}");
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_second_request_of_a_runner_that_kills_next_gives_a_report() {
    // GNU parallel: TERM, TERM after 222 ms, TERM after 336, and KILL after 400.
    let mut program = Program::start("signal_copies::takes_its_time");
    program.prints("ready").await.signal("TERM").prints("draining").await;
    program.train(&[("TERM", 222)]).await;
    let (code, errors) = program.ends().await;
    assert_eq!(code, Some(1));
    assert!(errors.contains("task 'server' (") && errors.contains(") was aborted after "), "{errors}");
    assert!(
        errors.contains("\n  SIGTERM came 2")
            && errors.contains("ms after the first signal: another request\n"),
        "{errors}"
    );
}

#[tokio::test]
#[ignore = "real tier"]
async fn two_presses_below_a_runner_abort_and_are_no_third_signal() {
    for _ in 0..3 {
        let mut program = Program::start("signal_copies::hangs_in_two_tasks");
        program.prints("ready").await.train(&[("INT", 0), ("INT", 1)]).await.prints("draining").await;
        program.train(&[("INT", 300), ("INT", 300), ("TERM", 301)]).await.prints("aborted").await;
        let (code, errors) = program.ends().await;
        assert_eq!(code, Some(1), "a third signal would be 130 or 143: {errors}");
        assert!(errors.contains("'never'"), "{errors}");
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_copy_after_the_run_does_not_end_a_program_that_goes_on() {
    for copies in [&[("INT", 0), ("INT", 20)][..], &[("INT", 0), ("TERM", 60), ("INT", 140)]] {
        let mut program = Program::start("signal_copies::goes_on_after_the_run");
        program.prints("ready").await.train(copies).await.prints("over").await.prints("done").await;
        assert_eq!(program.ends().await, (Some(0), String::new()));
    }
    // A signal that is no copy ends it.
    let mut program = Program::start("signal_copies::goes_on_after_the_run");
    program.prints("ready").await.signal("INT").prints("over").await.train(&[("INT", 250)]).await;
    assert_eq!(program.ends().await.0, Some(130));
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_copy_does_not_stop_the_next_run() {
    let mut program = Program::start("signal_copies::runs_again_at_once");
    program.prints("ready").await.signal("INT").prints("again").await.signal("INT").signal("TERM");
    sleep(ms(300)).await;
    program.signal("TERM").prints("stopped by SIGTERM").await;
    assert_eq!(program.ends().await.0, Some(0));
}

#[tokio::test]
#[ignore = "real tier"]
async fn without_a_window_every_signal_counts() {
    let mut program = Program::start("signal_copies::hears_every_signal");
    program.prints("ready").await.signal("INT").prints("draining").await;
    program.signal("TERM").prints("aborted").await;
    assert_eq!(program.ends().await.0, Some(1));
}
