//! Programs of this test binary as processes of their own.

use std::{
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStderr, ChildStdout, Command},
    time::{Instant, sleep_until, timeout},
};

/// Tells a program that it is to run.
pub(crate) const STARTED: &str = "EVENKEEL_SHUTDOWN_PROGRAM";

/// A program that runs. It is killed when this is dropped.
pub(crate) struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    // The lines of its stderr, once somebody has read one before its end.
    errors: Option<Lines<BufReader<ChildStderr>>>,
}

/// No test takes that long; one that hangs fails.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), future).await.unwrap_or_else(|_| panic!("{what} takes too long"))
}

impl Program {
    pub(crate) fn start(name: &str) -> Self {
        Self::start_with(name, &[])
    }

    /// Starts it with variables in its environment.
    pub(crate) fn start_with(name: &str, variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this binary has a path"))
            .args(["--exact", name, "--ignored", "--nocapture"])
            .env(STARTED, "1")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("this binary can be run");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { child, lines, errors: None }
    }

    /// Closes the pipe of its stderr.
    pub(crate) fn nobody_reads_its_errors(&mut self) -> &mut Self {
        self.child.stderr = None;
        self
    }

    /// Returns the text after the label, from the next line that has the label.
    pub(crate) async fn tells(&mut self, label: &str) -> String {
        let found = async {
            loop {
                let line = self.lines.next_line().await.expect("it prints text").expect("it goes on");
                if let Some((_, text)) = line.split_once(label) {
                    return text.to_owned();
                }
            }
        };
        soon(label, found).await
    }

    /// Waits until the program prints a line with this end.
    pub(crate) async fn prints(&mut self, text: &str) -> &mut Self {
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

    /// Waits until the program prints a line with this part to stderr.
    pub(crate) async fn complains(&mut self, part: &str) -> &mut Self {
        let errors = match &mut self.errors {
            Some(errors) => errors,
            none => none.insert(BufReader::new(self.child.stderr.take().expect("it is piped")).lines()),
        };
        let found = async {
            while let Some(line) = errors.next_line().await.expect("it writes text") {
                if line.contains(part) {
                    return true;
                }
            }
            false
        };
        assert!(soon(part, found).await, "the program ended and has not complained of {part:?}");
        self
    }

    /// Sends a signal, without the end of its name.
    pub(crate) fn signal(&mut self, name: &str) -> &mut Self {
        let signal = match name {
            "HUP" => Signal::HUP,
            "INT" => Signal::INT,
            "TERM" => Signal::TERM,
            "USR1" => Signal::USR1,
            _ => panic!("{name} is not sent by any test"),
        };
        let id = self.child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        kill_process(id.expect("it runs"), signal).expect("it is ours");
        self
    }

    /// Sends signals, each at its number of milliseconds after the first.
    pub(crate) async fn train(&mut self, signals: &[(&str, u64)]) -> &mut Self {
        let start = Instant::now();
        for (name, after) in signals {
            sleep_until(start + Duration::from_millis(*after)).await;
            self.signal(name);
        }
        self
    }

    /// Writes to its stdin, which stays open.
    pub(crate) async fn types(&mut self, text: &str) -> &mut Self {
        let stdin = self.child.stdin.as_mut().expect("it is piped");
        stdin.write_all(text.as_bytes()).await.expect("it is read");
        self
    }

    /// As `ends`, and somebody could still write to its stdin.
    pub(crate) async fn ends_with_open_stdin(mut self) -> (Option<i32>, String) {
        // Waiting for a child closes it.
        let _stdin = self.child.stdin.take();
        self.ends().await
    }

    /// Waits for its end, and returns its exit code and its stderr but for the dump.
    pub(crate) async fn ends(self) -> (Option<i32>, String) {
        let (code, errors, _) = self.ends_with_dump().await;
        (code, errors)
    }

    /// Waits for its end, and returns its exit code, its stderr, and the dump at the end of that.
    pub(crate) async fn ends_with_dump(mut self) -> (Option<i32>, String, String) {
        let status: ExitStatus = soon("the end", self.child.wait()).await.expect("it can be waited for");
        let mut errors = String::new();
        if let Some(stderr) = &mut self.child.stderr {
            stderr.read_to_string(&mut errors).await.expect("it writes text");
        }
        let (report, dump) = errors.split_once("dump of all waits:\n").unwrap_or((&errors, ""));
        (status.code(), report.to_owned(), dump.to_owned())
    }
}
