//! The programs that the tests start.

use std::{
    future::pending,
    io::stderr,
    panic::resume_unwind,
    pin::pin,
    process::{Termination, exit},
    sync::{Arc, mpsc},
    task::{Context, Wake, Waker},
    time::Duration,
};

use evenkeel_shutdown::{Report, Shutdown, Stop};
use tokio::{
    runtime::{Builder, Runtime},
    task::{spawn_blocking, yield_now},
    time::sleep,
};

use crate::process::STARTED;

/// Returns whether a test has started this program.
fn started() -> bool {
    std::env::var_os(STARTED).is_some()
}

pub(crate) fn threads() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// Does the same as returning the report from `main`.
pub(crate) fn end(report: Report) {
    println!("{}", report.reason);
    let code = i32::from(report.exit_code());
    report.report();
    exit(code);
}

/// Blocks its thread forever, which no abort can end.
pub(crate) fn block() {
    let (_keep, never) = mpsc::channel::<()>();
    let _ = never.recv();
}

/// Prints when it is dropped.
struct Last(&'static str);

impl Drop for Last {
    fn drop(&mut self) {
        println!("{}", self.0);
    }
}

pub(crate) async fn ready(_stop: Stop) {
    println!("ready");
}

/// Prints that it is asked to drain, and goes on.
pub(crate) async fn deaf(stop: Stop) {
    let _last = Last("aborted");
    stop.draining().await;
    println!("draining");
    pending().await
}

#[test]
#[ignore = "a program"]
fn drains() {
    if started() {
        let shutdown = Shutdown::new().task("ready", ready).task("server", async |stop| {
            stop.draining().await;
            println!("drained");
        });
        end(threads().block_on(shutdown.run()));
    }
}

#[test]
#[ignore = "a program"]
fn hangs() {
    if started() {
        let shutdown =
            Shutdown::new().grace(Duration::from_millis(50)).task("deaf", deaf).task("ready", ready);
        end(threads().block_on(shutdown.run()));
    }
}

#[test]
#[ignore = "a program"]
fn patient() {
    if started() {
        let shutdown =
            Shutdown::new().grace(Duration::from_secs(3600)).task("deaf", deaf).task("ready", ready);
        end(threads().block_on(shutdown.run()));
    }
}

#[test]
#[ignore = "a program"]
fn blocks() {
    if started() {
        let shutdown = Shutdown::new().task("deaf", deaf).task("stuck", async |_stop| {
            println!("ready");
            block();
        });
        end(threads().block_on(shutdown.run()));
    }
}

#[test]
#[ignore = "a program"]
fn blocks_soon() {
    if started() {
        // On one thread: neither the run nor its timers get another turn.
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        let shutdown = Shutdown::new()
            .grace(Duration::from_millis(50))
            .task("good", ready)
            .task("server", async |stop| stop.draining().await)
            .task("stuck", async |_stop| {
                yield_now().await;
                block();
            });
        end(runtime.block_on(shutdown.run()));
    }
}

#[test]
#[ignore = "a program"]
fn cannot_drop_its_runtime() {
    if started() {
        let runtime = threads();
        let shutdown = Shutdown::new()
            .grace(Duration::from_millis(50))
            .task("ready", ready)
            .task("lookup", async |_stop| spawn_blocking(block).await)
            .task("server", async |stop| stop.draining().await);
        let report = runtime.block_on(shutdown.run());
        println!("{}: returned", report.reason);
        drop(runtime);
        end(report);
    }
}

#[test]
#[ignore = "a program"]
fn stops_itself() {
    if started() {
        let runtime = threads();
        let shutdown =
            Shutdown::new().grace(Duration::ZERO).task("server", async |stop| stop.drain("enough"));
        let _report = runtime.block_on(shutdown.run());
        block();
    }
}

#[test]
#[ignore = "a program"]
fn goes_on() {
    if started() {
        let runtime = threads();
        let _report = runtime.block_on(Shutdown::new().task("short", async |_stop| {}).run());
        drop(runtime);
        println!("after");
        block();
    }
}

#[test]
#[ignore = "a program"]
fn runs_twice() {
    if started() {
        let server = async |stop: Stop| stop.draining().await;
        let first = Shutdown::new().grace(Duration::ZERO).task("ready", ready).task("server", server);
        let _report = threads().block_on(first.run());
        let second = Shutdown::new().task("server", server).task("patient", async |_stop| {
            // Longer than the first watchdog would wait.
            sleep(Duration::from_millis(2500)).await;
            println!("second");
        });
        end(threads().block_on(second.run()));
    }
}

#[test]
#[ignore = "a program"]
fn runs_two_at_once() {
    if started() {
        let server = || Shutdown::new().task("server", async |stop| stop.draining().await);
        let reports = threads().block_on(async {
            tokio::join!(server().run(), server().run(), Shutdown::new().task("ready", ready).run())
        });
        println!("{}", reports.0.reason);
        end(reports.1);
    }
}

#[test]
#[ignore = "a program"]
fn hears_its_own_signals() {
    if started() {
        let shutdown = Shutdown::new()
            .signals([1])
            .task("ready", ready)
            .task("server", async |stop| stop.draining().await);
        end(threads().block_on(shutdown.run()));
    }
}

#[test]
#[ignore = "a program"]
fn blocks_in_its_first_phase() {
    if started() {
        let shutdown = Shutdown::new()
            .grace(Duration::from_secs(2))
            .phase("accept")
            .task("good", ready)
            .task("stuck", async |_stop| block())
            .phase("close")
            .reserve(Duration::from_millis(500))
            .on_stop("pool", async || println!("the pool is closed"));
        let handle = shutdown.handle();
        let _guard = handle.guard("upload");
        end(threads().block_on(shutdown.run()));
    }
}

#[test]
#[ignore = "a program"]
fn is_interrupted_when_it_starts() {
    if started() {
        let shutdown = Shutdown::new();
        let handle = shutdown.handle();
        let shutdown = shutdown.task("start", async move |stop: Stop| {
            let _ = handle.on_stop("database", async || println!("the database is closed"));
            println!("connecting");
            stop.draining().await;
        });
        let report = threads().block_on(shutdown.run());
        println!("{} in the report", report.tasks.len());
        end(report);
    }
}

#[test]
#[ignore = "a program"]
fn ends_one_of_two_runs() {
    if started() {
        let server = async |stop: Stop| stop.draining().await;
        let short = Shutdown::new().grace(Duration::ZERO).task("short", async |stop| stop.drain("done"));
        let long = Shutdown::new().task("server", server).task("patient", async |_stop| {
            // Longer than the watchdog of the short one would wait.
            sleep(Duration::from_millis(2500)).await;
            println!("still here");
        });
        let (_short, report) = threads().block_on(async { tokio::join!(short.run(), long.run()) });
        end(report);
    }
}

#[test]
#[ignore = "a program"]
fn locks_stderr() {
    if started() {
        let shutdown = Shutdown::new().grace(Duration::ZERO).task("stuck", async |_stop| {
            let _locked = stderr().lock();
            println!("ready");
            block();
        });
        end(threads().block_on(shutdown.run()));
    }
}

#[test]
#[ignore = "a program"]
fn panics_when_it_is_woken() {
    if started() {
        struct Broken;
        impl Wake for Broken {
            fn wake(self: Arc<Self>) {
                resume_unwind(Box::new("broken"));
            }
        }
        let shutdown = Shutdown::new().task("ready", ready).task("stuck", async |_stop| block());
        let handle = shutdown.handle();
        let mut waits = [pin!(handle.stop().draining()), pin!(handle.stop().aborting())];
        for wait in &mut waits {
            assert!(
                wait.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::new(Broken)))).is_pending()
            );
        }
        end(threads().block_on(shutdown.run()));
    }
}

#[test]
#[ignore = "a program"]
fn cleans_up_and_goes_on() {
    if started() {
        let shutdown = Shutdown::new()
            .grace(Duration::from_millis(100))
            .task("short", async |_stop| {})
            .on_stop("pool", async || {});
        threads().block_on(async {
            let report = shutdown.run().await;
            // Longer than the watchdog would wait.
            sleep(Duration::from_millis(2500)).await;
            end(report);
        });
    }
}
