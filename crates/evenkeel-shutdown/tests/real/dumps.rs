//! Dumps of real processes: at SIGUSR1, in the report of what hung, and by a watchdog beside workers that are blocked.

use std::{mem, panic::Location, sync::Arc, time::Duration};

use evenkeel_inspect::{
    FindingKind, HolderEdge, Inspect, Inspected, InspectedResource, Registration, TaskId, WaiterEdge,
    register, watchdog,
};
use evenkeel_shutdown::{Shutdown, Stop};
use tokio::{
    runtime::Builder,
    time::{Instant, sleep},
};

use crate::{
    process::{Program, STARTED},
    programs::{block, end, ready, threads},
};

/// Returns whether a test has started this program.
fn started() -> bool {
    std::env::var_os(STARTED).is_some()
}

async fn server(stop: Stop) {
    stop.draining().await;
    println!("drained");
}

/// Has a guard until somebody types a line, and prints the dumps, each with an end.
#[test]
#[ignore = "a program"]
fn has_a_guard() {
    if started() {
        let shutdown = Shutdown::new().grace(Duration::from_secs(3600)).dump_on_sigusr1_with(|dump| {
            println!("{dump}\nend of dump");
        });
        let guard = shutdown.handle().guard("upload");
        std::thread::spawn(move || {
            let _ = std::io::stdin().read_line(&mut String::new());
            drop(guard);
        });
        end(threads().block_on(shutdown.task("server", server).task("ready", ready).run()));
    }
}

/// Leaks a guard, in virtual time.
#[test]
#[ignore = "a program"]
fn leaks_a_guard() {
    if started() {
        let runtime =
            Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
        end(runtime.block_on(async {
            let (shutdown, stop) = Shutdown::manual();
            mem::forget(shutdown.handle().guard("upload"));
            stop.drain("deploy");
            shutdown.task("server", server).run().await
        }));
    }
}

#[test]
#[ignore = "a program"]
fn prints_dumps() {
    if started() {
        let shutdown = Shutdown::new().dump_on_sigusr1().task("server", server).task("ready", ready);
        end(threads().block_on(shutdown.run()));
    }
}

/// The function of its dumps never returns, or panics.
fn has_a_bad_function(blocks: bool) {
    if started() {
        let shutdown = Shutdown::new().dump_on_sigusr1_with(move |_| {
            println!("called");
            if blocks {
                block();
            }
            panic!("no dump");
        });
        end(threads().block_on(shutdown.task("server", server).task("ready", ready).run()));
    }
}

#[test]
#[ignore = "a program"]
fn has_a_function_that_blocks() {
    has_a_bad_function(true);
}

#[test]
#[ignore = "a program"]
fn has_a_function_that_panics() {
    has_a_bad_function(false);
}

/// Goes on after its run.
#[test]
#[ignore = "a program"]
fn goes_on() {
    if started() {
        let shutdown = Shutdown::new().dump_on_sigusr1_with(|_| println!("during the run"));
        drop(threads().block_on(shutdown.task("job", async |_stop| {}).run()));
        Shutdown::disarm();
        println!("over");
        block();
    }
}

/// All workers of its runtime are blocked.
#[test]
#[ignore = "a program"]
fn blocks_its_workers() {
    if started() {
        let shutdown = Shutdown::new().dump_on_sigusr1();
        let shutdown = (0..2).fold(shutdown, |shutdown, _| {
            shutdown.task("stuck", async |_stop| {
                println!("blocked");
                block();
            })
        });
        end(threads().block_on(shutdown.run()));
    }
}

/// A look at its object never ends.
#[test]
#[ignore = "a program"]
fn has_an_object_that_blocks() {
    struct Bad {
        _registration: Registration,
    }
    impl Inspect for Bad {
        fn inspect(&self, _now: Instant) -> Option<Inspected> {
            block();
            None
        }
    }
    if started() {
        let _bad = Arc::new_cyclic(|bad: &std::sync::Weak<Bad>| Bad { _registration: register(bad.clone()) });
        let shutdown = Shutdown::new().grace(Duration::from_millis(500)).dump_on_sigusr1();
        let shutdown = shutdown.task("deaf", async |_stop| std::future::pending::<()>().await);
        let shutdown = shutdown.task("ready", ready);
        let report = threads().block_on(shutdown.run());
        println!("{}", report.reason);
        std::process::exit(i32::from(report.exit_code()));
    }
}

/// A task that waits for what it has itself.
struct Ferry {
    task: TaskId,
    since: Instant,
    _registration: Registration,
}

impl Inspect for Ferry {
    fn inspect(&self, now: Instant) -> Option<Inspected> {
        let (time, taken, asked) =
            (now.saturating_duration_since(self.since), Location::caller(), Location::caller());
        let mut ferry = InspectedResource::new("ferry", 1);
        ferry.in_use = 1;
        ferry.holders.push(HolderEdge::new(1, Some(self.task), taken, time));
        ferry.waiters.push(WaiterEdge::new(1, self.task, asked, time));
        Some(Inspected::Resource(ferry))
    }
}

/// The only worker of its runtime is blocked from the start, so that no timer fires there.
#[test]
#[ignore = "a program"]
fn has_a_watchdog() {
    if started() {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        runtime.spawn(async {
            let watchdog = watchdog(Duration::from_millis(20), |finding, _| {
                println!("{}: {}", finding.kind.name(), finding.steps[0].waits_at.expect("a place").line());
            });
            println!("watchdog: {}", line!() - 3);
            block();
            drop(watchdog);
        });
        block();
    }
}

#[test]
#[ignore = "a program"]
fn drops_its_watchdog() {
    if started() {
        threads().block_on(async {
            let ferry = Arc::new_cyclic(|ferry: &std::sync::Weak<Ferry>| Ferry {
                task: TaskId::current(),
                since: Instant::now(),
                _registration: register(ferry.clone()),
            });
            let (told, findings) = std::sync::mpsc::channel();
            let watchdog = watchdog(Duration::from_millis(1), move |finding, _| {
                // On a machine that is slow its beat may be late, too.
                if finding.kind == FindingKind::SelfWait {
                    let _ = told.send(());
                }
            });
            // Once, and not again while it lasts.
            println!("told: {}", findings.recv().is_ok());
            sleep(Duration::from_millis(50)).await;
            println!("again: {}", findings.try_recv().is_ok());
            let beats =
                || evenkeel_inspect::dump().resources.iter().any(|resource| resource.kind == "runtime");
            println!("a beat: {}", beats());
            drop(watchdog);
            // The function is dropped with the thread.
            println!("ended: {}", findings.recv().is_err());
            let beats =
                || evenkeel_inspect::dump().resources.iter().any(|resource| resource.kind == "runtime");
            while beats() {
                tokio::task::yield_now().await;
            }
            println!("no beat");
            drop(ferry);
        });
        std::process::exit(0);
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_signal_tells_what_the_stop_waits_for_and_does_not_count() {
    let mut program = Program::start("dumps::has_a_guard");
    program.prints("ready").await.signal("USR1");
    // Before the stop.
    program.tells("has 'guard upload' for ").await;
    program.prints("end of dump").await.signal("TERM").prints("drained").await.signal("USR1");
    let waits = program.tells(" waits for the tasks and guards since ").await;
    assert!(waits.contains(" left,"), "{waits}");
    program.prints("end of dump").await.types("done\n").await.prints("stopped by SIGTERM").await;
    // Two signals more would have ended it at once, and the guard was dropped in time.
    assert_eq!(program.ends_with_open_stdin().await, (Some(0), String::new()));
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_report_that_main_returns_has_the_dump() {
    let mut program = Program::start("dumps::leaks_a_guard");
    program.prints("drained").await.prints("stopped: deploy").await;
    let (code, errors, dump) = program.ends_with_dump().await;
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.ends_with(") is still held after 10s\n"), "{errors}");
    assert!(dump.contains("has 'guard upload' for 9.8s, from") && !dump.contains("task server"), "{dump}");
}

#[tokio::test]
#[ignore = "real tier"]
async fn without_it_the_signal_ends_a_process() {
    let mut program = Program::start("programs::drains");
    program.prints("ready").await.signal("USR1");
    assert_eq!(program.ends().await, (None, String::new()), "the system's action");
}

#[tokio::test]
#[ignore = "real tier"]
async fn dumps_go_to_stderr_also_when_nobody_reads_it() {
    let mut program = Program::start("dumps::prints_dumps");
    program.prints("ready").await.signal("USR1").complains("has 'task server' for ").await.signal("TERM");
    program.prints("drained").await.prints("stopped by SIGTERM").await;
    assert_eq!(program.ends().await.0, Some(0));
    let mut program = Program::start("dumps::prints_dumps");
    program.nobody_reads_its_errors().prints("ready").await.signal("USR1").signal("TERM");
    program.prints("drained").await.prints("stopped by SIGTERM").await;
    assert_eq!(program.ends().await.0, Some(0));
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_function_that_blocks_or_panics_holds_nothing_up() {
    for name in ["dumps::has_a_function_that_blocks", "dumps::has_a_function_that_panics"] {
        let mut program = Program::start(name);
        program.prints("ready").await.signal("USR1").prints("called").await.signal("USR1").signal("TERM");
        program.prints("drained").await.prints("stopped by SIGTERM").await;
        assert_eq!(program.ends().await.0, Some(0), "{name}");
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn after_the_run_a_dump_goes_to_stderr() {
    let mut program = Program::start("dumps::goes_on");
    program.prints("over").await.signal("USR1").complains("nothing is known to stand still").await;
    program.signal("TERM");
    assert_eq!(program.ends().await.0, Some(143));
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_runtime_without_a_free_worker_is_looked_at() {
    let mut program = Program::start("dumps::blocks_its_workers");
    program.prints("blocked").await.prints("blocked").await.signal("USR1");
    program.complains("has 'task stuck' for ").await;
}

#[tokio::test]
#[ignore = "real tier"]
async fn an_object_that_blocks_delays_no_stop() {
    let mut program = Program::start("dumps::has_an_object_that_blocks");
    program.prints("ready").await.signal("USR1").signal("TERM");
    program.prints("stopped by SIGTERM").await;
    assert_eq!(program.ends().await.0, Some(1), "the watchdog would have ended it with 143");
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_watchdog_tells_of_a_runtime_that_is_blocked() {
    let mut program = Program::start("dumps::has_a_watchdog");
    let line = program.tells("watchdog: ").await;
    assert_eq!(program.tells("late-timer: ").await, line, "the beat of the runtime");
    let mut program = Program::start("dumps::drops_its_watchdog");
    for line in ["told: true", "again: false", "a beat: true", "ended: true", "no beat"] {
        program.prints(line).await;
    }
    assert_eq!(program.ends().await, (Some(0), String::new()));
}
