//! Signals, exit codes and the watchdog, with real processes in real time.
//!
//! Each program is a test of the module `programs` that does nothing unless it is started by one of the tests here,
//! which runs this very binary again.
#![cfg(unix)]
#![expect(clippy::print_stdout, reason = "the programs talk to the tests")]

mod programs;

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// Tells a program that it is meant.
const STARTED: &str = "EVENKEEL_SHUTDOWN_PROGRAM";

/// A program that runs. It is killed when this is dropped.
struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// No test takes that long; one that hangs fails.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), future).await.unwrap_or_else(|_| panic!("{what} takes too long"))
}

impl Program {
    fn start(name: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this binary has a path"))
            .args(["--exact", &format!("programs::{name}"), "--ignored", "--nocapture"])
            .env(STARTED, "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("this binary can be run");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { child, lines }
    }

    /// Waits until the program prints a line that ends so.
    async fn prints(&mut self, text: &str) -> &mut Self {
        let found = async {
            while let Some(line) = self.lines.next_line().await.expect("it prints text") {
                if line.ends_with(text) {
                    return true;
                }
            }
            false
        };
        assert!(soon(text, found).await, "the program ended and has not printed {text:?}");
        self
    }

    /// Sends a signal, INT or TERM.
    async fn signal(&mut self, name: &str) -> &mut Self {
        let id = self.child.id().expect("it runs");
        let kill = format!("kill -{name} {id}");
        let sent = Command::new("sh").args(["-c", &kill]).status().await.expect("there is a shell");
        assert!(sent.success());
        self
    }

    /// Waits for its end, and gives its exit code and what it wrote to stderr.
    async fn ends(mut self) -> (Option<i32>, String) {
        let status: ExitStatus = soon("the end", self.child.wait()).await.expect("it can be waited for");
        let mut errors = String::new();
        let stderr = self.child.stderr.as_mut().expect("it is piped");
        stderr.read_to_string(&mut errors).await.expect("it writes text");
        (status.code(), errors)
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn either_signal_drains_and_the_exit_code_is_0() {
    for (signal, words) in [("INT", "stopped by SIGINT"), ("TERM", "stopped by SIGTERM")] {
        let mut program = Program::start("drains");
        program.prints("ready").await.signal(signal).await.prints("drained").await.prints(words).await;
        assert_eq!(program.ends().await.0, Some(0));
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_end_of_the_grace_period_aborts_and_the_report_names_what_hung() {
    let mut program = Program::start("hangs");
    program.prints("ready").await.signal("TERM").await.prints("aborted").await;
    let (code, errors) = program.ends().await;
    assert_eq!(code, Some(1));
    assert!(errors.contains("task 'deaf' (") && errors.contains(") was aborted after "), "{errors}");
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_second_signal_aborts_at_once() {
    let mut program = Program::start("patient");
    program.prints("ready").await.signal("TERM").await.prints("draining").await;
    program.signal("TERM").await.prints("aborted").await;
    assert_eq!(program.ends().await.0, Some(1));
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_third_signal_ends_the_process_with_its_number() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut program = Program::start("blocks");
        program.prints("ready").await.signal(signal).await.prints("draining").await;
        program.signal(signal).await.prints("aborted").await.signal(signal).await;
        assert_eq!(program.ends().await, (Some(code), String::new()));
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_watchdog_ends_a_process_whose_runtime_waits_for_a_blocking_call() {
    let mut program = Program::start("cannot_drop_its_runtime");
    program.prints("ready").await.signal("TERM").await.prints("returned").await;
    let (code, errors) = program.ends().await;
    assert_eq!(code, Some(143));
    assert!(errors.contains("a blocking call"), "{errors}");
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_watchdog_ends_a_process_whose_task_blocks_and_names_it() {
    let mut program = Program::start("blocks_soon");
    program.prints("ready").await.signal("INT").await;
    let (code, errors) = program.ends().await;
    assert_eq!(code, Some(130));
    assert!(errors.contains("task 'stuck' (") && errors.contains(") hangs"), "{errors}");
    assert!(!errors.contains("'good'"), "{errors}");
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_watchdog_ends_a_process_that_no_signal_has_stopped() {
    let program = Program::start("stops_itself");
    assert_eq!(program.ends().await.0, Some(1));
}

#[tokio::test]
#[ignore = "real tier"]
async fn after_a_run_a_signal_ends_the_process() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut program = Program::start("goes_on");
        program.prints("after").await.signal(signal).await;
        assert_eq!(program.ends().await.0, Some(code));
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_second_run_hears_signals_and_calls_the_first_watchdog_off() {
    let mut program = Program::start("runs_twice");
    program.prints("ready").await.signal("INT").await.prints("second").await.signal("TERM").await;
    program.prints("stopped by SIGTERM").await;
    assert_eq!(program.ends().await.0, Some(0));
}

#[tokio::test]
#[ignore = "real tier"]
async fn runs_at_the_same_time_all_hear_a_signal() {
    let mut program = Program::start("runs_two_at_once");
    program.prints("ready").await.signal("INT").await;
    program.prints("stopped by SIGINT").await.prints("stopped by SIGINT").await;
    assert_eq!(program.ends().await.0, Some(0));
}
