//! Processes whose tasks have ended by themselves: they end in time, or may go on.

use std::{
    future::pending,
    io,
    pin::pin,
    task::{Context, Waker},
    time::Duration,
};

use evenkeel_shutdown::Shutdown;
use tokio::{runtime::Builder, sync::oneshot, task::spawn_blocking, time::sleep};

use crate::{
    process::{Program, STARTED},
    programs::{block, end, ready, threads},
};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn reads() {
    let mut line = String::new();
    let _ = io::stdin().read_line(&mut line);
}

/// As `#[tokio::main]` does it, on one thread or on several.
fn parks(threads: bool) {
    if std::env::var_os(STARTED).is_some() {
        let mut builder = if threads { Builder::new_multi_thread() } else { Builder::new_current_thread() };
        let runtime = builder.enable_all().build().expect("a runtime");
        let report = runtime.block_on(async {
            let shutdown = Shutdown::new().grace(ms(300)).task("console", async |_stop| {
                spawn_blocking(reads);
                println!("ready");
            });
            shutdown.task("job", async |_stop| sleep(ms(20)).await).run().await
        });
        drop(runtime);
        println!("not parked");
        end(report);
    }
}

#[test]
#[ignore = "a program"]
fn parks_its_stdin() {
    parks(true);
}

#[test]
#[ignore = "a program"]
fn parks_its_stdin_on_one_thread() {
    parks(false);
}

#[test]
#[ignore = "a program"]
fn parks_its_stdin_and_drops_the_run() {
    if std::env::var_os(STARTED).is_some() {
        let runtime = threads();
        runtime.block_on(async {
            spawn_blocking(reads);
            let run =
                pin!(Shutdown::new().grace(ms(300)).task("server", async |stop| stop.draining().await).run());
            tokio::select! {
                _ = run => unreachable!(),
                () = sleep(ms(20)) => println!("dropped"),
            }
        });
        drop(runtime);
        println!("not parked");
    }
}

#[test]
#[ignore = "a program"]
fn ends_with_its_runtime() {
    if std::env::var_os(STARTED).is_some() {
        let runtime = threads();
        runtime
            .spawn(Shutdown::new().grace(ms(300)).task("server", async |stop| stop.draining().await).run());
        runtime.block_on(async {
            sleep(ms(50)).await;
            spawn_blocking(reads);
        });
        drop(runtime);
        println!("not parked");
    }
}

#[test]
#[ignore = "a program"]
fn blocks_one_of_its_workers() {
    if std::env::var_os(STARTED).is_some() {
        let runtime = threads();
        runtime.block_on(async {
            drop(Shutdown::new().grace(ms(300)).task("job", async |_stop| {}).run().await);
            let (blocking, blocked) = oneshot::channel();
            tokio::spawn(async {
                let _ = blocking.send(());
                block();
            });
            blocked.await.expect("it is polled");
        });
        drop(runtime);
        println!("not blocked");
    }
}

#[test]
#[ignore = "a program"]
fn goes_on_and_says_so() {
    if std::env::var_os(STARTED).is_some() {
        let runtime = threads();
        let report = runtime.block_on(Shutdown::new().grace(ms(50)).task("job", async |_stop| {}).run());
        drop(runtime);
        Shutdown::disarm();
        threads().block_on(async { sleep(ms(700)).await });
        println!("went on");
        end(report);
    }
}

#[test]
#[ignore = "a program"]
fn goes_on_after_a_stop_and_says_so() {
    if std::env::var_os(STARTED).is_some() {
        let shutdown = Shutdown::new().grace(ms(50)).task("server", async |stop| stop.drain("enough"));
        let report = threads().block_on(shutdown.run());
        Shutdown::disarm();
        threads().block_on(async { sleep(ms(2_700)).await });
        println!("went on");
        end(report);
    }
}

#[test]
#[ignore = "a program"]
fn has_no_grace_period() {
    if std::env::var_os(STARTED).is_some() {
        let runtime = threads();
        let report = runtime.block_on(Shutdown::new().grace(ms(0)).task("job", async |_stop| {}).run());
        drop(runtime);
        threads().block_on(async { sleep(ms(100)).await });
        end(report);
    }
}

#[test]
#[ignore = "a program"]
fn goes_on_after_a_clean_up_that_was_cut() {
    if std::env::var_os(STARTED).is_some() {
        threads().block_on(async {
            let shutdown = Shutdown::new().grace(ms(100)).task("job", async |_stop| {});
            let report = shutdown.on_stop("pool", async || pending::<()>().await).run().await;
            // Longer than from the abort to the end of the process.
            sleep(ms(2_700)).await;
            println!("went on");
            end(report);
        });
    }
}

#[test]
#[ignore = "a program"]
fn runs_again_for_long() {
    if std::env::var_os(STARTED).is_some() {
        let first = threads();
        drop(first.block_on(Shutdown::new().grace(ms(50)).task("job", async |_stop| {}).run()));
        drop(first);
        let shutdown = Shutdown::new().task("job", async |_stop| sleep(ms(700)).await);
        end(threads().block_on(shutdown.run()));
    }
}

#[test]
#[ignore = "a program"]
fn waits_for_its_second_run() {
    if std::env::var_os(STARTED).is_some() {
        // It exists already, but does not run: it is no reason for the process to go on.
        let _second = Shutdown::new().task("never", ready);
        let runtime = threads();
        runtime.block_on(async {
            spawn_blocking(block);
            drop(Shutdown::new().grace(ms(50)).task("job", async |_stop| {}).run().await);
        });
        println!("ready");
    }
}

#[test]
#[ignore = "a program"]
fn is_polled_once() {
    if std::env::var_os(STARTED).is_some() {
        let runtime = threads();
        let _inside = runtime.enter();
        let mut run = Box::pin(Shutdown::new().task("server", async |stop| stop.draining().await).run());
        assert!(run.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(run);
        println!("ready");
        block();
    }
}

const WHY: &str = "all tasks ended, but not the process: a blocking call is still running, or main is";

#[tokio::test]
#[ignore = "real tier"]
async fn a_process_that_hangs_at_its_end_is_ended_with_the_reason() {
    let names = [
        "ends::parks_its_stdin",
        "ends::parks_its_stdin_on_one_thread",
        "ends::parks_its_stdin_and_drops_the_run",
        "ends::ends_with_its_runtime",
        "ends::blocks_one_of_its_workers",
        "ends::waits_for_its_second_run",
    ];
    for name in names {
        let program = Program::start(name);
        let (code, errors) = program.ends_with_open_stdin().await;
        assert_eq!(code, Some(1), "{name}: {errors}");
        assert!(errors.contains(WHY), "{name}: {errors}");
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_process_that_hangs_for_a_moment_is_not() {
    let mut program = Program::start("ends::parks_its_stdin");
    program
        .prints("ready")
        .await
        .types("go\n")
        .await
        .prints("not parked")
        .await
        .prints("all tasks ended")
        .await;
    assert_eq!(program.ends().await, (Some(0), String::new()));
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_program_that_goes_on_on_purpose_is_left_alone() {
    for name in ["ends::goes_on_and_says_so", "ends::goes_on_after_a_stop_and_says_so"] {
        let mut program = Program::start(name);
        program.prints("went on").await;
        assert_eq!(program.ends().await, (Some(0), String::new()), "{name}");
    }
    let mut program = Program::start("ends::runs_again_for_long");
    program.prints("all tasks ended").await;
    assert_eq!(program.ends().await, (Some(0), String::new()));
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_grace_period_of_nothing_leaves_main_the_time_to_return() {
    let mut program = Program::start("ends::has_no_grace_period");
    program.prints("all tasks ended").await;
    assert_eq!(program.ends().await, (Some(0), String::new()));
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_clean_up_that_is_cut_leaves_main_all_the_time_it_wants() {
    let mut program = Program::start("ends::goes_on_after_a_clean_up_that_was_cut");
    program.prints("went on").await;
    let (code, errors) = program.ends().await;
    assert_eq!(code, Some(1));
    assert!(errors.starts_with("all tasks ended\n") && errors.contains("clean-up 'pool'"), "{errors}");
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_signal_ends_a_process_that_hangs_at_its_end() {
    for name in ["ends::parks_its_stdin", "ends::is_polled_once"] {
        let mut program = Program::start(name);
        program.prints("ready").await.train(&[("TERM", 100)]).await;
        let (code, _) = program.ends_with_open_stdin().await;
        assert_eq!(code, Some(143), "{name}");
    }
}
