//! Signals before the run, with and without a runtime.

use std::time::Duration;

use evenkeel_shutdown::{Shutdown, Stop};
use evenkeel_task::catch_panic;
use tokio::time::sleep;

use crate::{
    process::{Program, STARTED},
    programs::{block, end, ready, threads},
};

async fn server(stop: Stop) {
    stop.draining().await;
    println!("drained");
}

#[test]
#[ignore = "a program"]
fn starts_slowly() {
    if std::env::var_os(STARTED).is_some() {
        // Outside of a runtime.
        let shutdown = Shutdown::new();
        let stop = shutdown.handle().stop().clone();
        println!("new");
        let runtime = threads();
        runtime.block_on(async {
            tokio::select! {
                () = sleep(Duration::from_secs(3600)) => println!("connected"),
                () = stop.draining() => println!("the start-up is over"),
            }
        });
        let shutdown = shutdown.pre_stop(Duration::from_secs(5)).task("server", server);
        end(runtime.block_on(shutdown.on_stop("pool", async || println!("closed")).run()));
    }
}

#[test]
#[ignore = "a program"]
fn starts_and_looks_at_nothing() {
    if std::env::var_os(STARTED).is_some() {
        let shutdown = Shutdown::new().signals([1, 15]);
        println!("new");
        let runtime = threads();
        let mut line = String::new();
        let _ = std::io::stdin().read_line(&mut line);
        println!("started");
        end(runtime.block_on(shutdown.task("server", server).run()));
    }
}

#[test]
#[ignore = "a program"]
fn never_starts() {
    if std::env::var_os(STARTED).is_some() {
        let shutdown = Shutdown::new().grace(Duration::from_millis(50));
        println!("new");
        block();
        drop(shutdown);
    }
}

#[test]
#[ignore = "a program"]
fn takes_more_time_later() {
    if std::env::var_os(STARTED).is_some() {
        let shutdown = Shutdown::new().grace(Duration::from_secs(1));
        let stop = shutdown.handle().stop().clone();
        println!("new");
        let runtime = threads();
        runtime.block_on(stop.draining());
        let shutdown = shutdown.grace(Duration::from_secs(3600)).task("slow", async |_stop| {
            sleep(Duration::from_millis(1_500)).await;
            println!("slow");
        });
        end(runtime.block_on(shutdown.run()));
    }
}

#[test]
#[ignore = "a program"]
fn gives_up_its_start() {
    if std::env::var_os(STARTED).is_some() {
        let shutdown = Shutdown::new();
        drop(shutdown);
        println!("given up");
        block();
    }
}

/// Creates a second `Shutdown` for later, with a short grace period.
#[test]
#[ignore = "a program"]
fn has_a_second_one_for_later() {
    if std::env::var_os(STARTED).is_some() {
        let later = Shutdown::new().grace(Duration::from_millis(50)).task("later", server);
        let first = Shutdown::new().task("ready", ready).task("server", async |stop| {
            stop.draining().await;
            sleep(Duration::from_millis(2_700)).await;
            println!("drained");
        });
        end(threads().block_on(first.run()));
        drop(later);
    }
}

#[test]
#[ignore = "a program"]
fn listens_itself() {
    if std::env::var_os(STARTED).is_some() {
        threads().block_on(async {
            let shutdown =
                Shutdown::with_signals([15]).task("server", server).task("prompt", async |_stop| {
                    for _ in 0..2 {
                        println!("prompt");
                        tokio::signal::ctrl_c().await?;
                        println!("interrupted");
                    }
                    std::io::Result::Ok(())
                });
            end(shutdown.run().await);
        });
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_signal_before_the_run_stops_the_start_up_and_drains_at_once() {
    for (signal, words) in [("INT", "stopped by SIGINT"), ("TERM", "stopped by SIGTERM")] {
        let mut program = Program::start("starts::starts_slowly");
        program.prints("new").await.signal(signal).prints("the start-up is over").await;
        program.prints("drained").await.prints("closed").await.prints(words).await;
        assert_eq!(program.ends().await, (Some(0), String::new()));
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_signal_before_the_run_waits_for_it() {
    for (signal, words) in [("TERM", "stopped by SIGTERM"), ("HUP", "stopped by signal 1")] {
        let mut program = Program::start("starts::starts_and_looks_at_nothing");
        program.prints("new").await.train(&[(signal, 0), (signal, 30)]).await;
        program.types("go\n").await.prints("started").await.prints("drained").await.prints(words).await;
        assert_eq!(program.ends().await, (Some(0), String::new()));
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_watchdog_ends_a_start_up_that_does_not_end() {
    let mut program = Program::start("starts::never_starts");
    program.prints("new").await.signal("TERM");
    let (code, errors) = program.ends().await;
    assert_eq!(code, Some(143));
    assert!(errors.starts_with("asked to stop before the run, which has not begun"), "{errors}");
    let mut program = Program::start("starts::never_starts");
    program.prints("new").await.train(&[("TERM", 0), ("TERM", 300), ("INT", 600)]).await;
    assert_eq!(program.ends().await, (Some(130), String::new()));
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_run_that_has_not_begun_leaves_another_its_time() {
    let mut program = Program::start("starts::has_a_second_one_for_later");
    program.prints("ready").await.signal("TERM").prints("drained").await;
    assert_eq!(program.ends().await, (Some(0), String::new()));
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_grace_period_may_be_set_when_the_signal_has_come() {
    let mut program = Program::start("starts::takes_more_time_later");
    program.prints("new").await.signal("TERM").prints("slow").await;
    assert_eq!(program.ends().await.0, Some(0));
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_start_that_was_given_up_leaves_signals_that_end() {
    let mut program = Program::start("starts::gives_up_its_start");
    program.prints("given up").await.signal("TERM");
    assert_eq!(program.ends().await, (Some(143), String::new()));
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_signal_that_cannot_be_heard_shows_when_the_run_begins() {
    for number in [i32::MIN, -1, 0, 9, 11, 19, 100, 127, 128, i32::MAX] {
        let run = Shutdown::with_signals([15, number]).task("server", server).run();
        let panic = catch_panic(run).await.expect_err("it cannot be heard").to_string();
        assert!(panic.contains(&format!("signal {number} cannot be listened to: ")), "{panic}");
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_program_may_listen_to_the_others_itself() {
    let mut program = Program::start("starts::listens_itself");
    for _ in 0..2 {
        program.prints("prompt").await.train(&[("INT", 100)]).await.prints("interrupted").await;
    }
    program.signal("TERM").prints("drained").await;
    assert_eq!(program.ends().await.0, Some(0));
}
