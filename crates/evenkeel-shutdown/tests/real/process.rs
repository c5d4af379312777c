//! Programs of this test binary as processes of their own.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// Tells a program that it is meant.
pub(crate) const STARTED: &str = "EVENKEEL_SHUTDOWN_PROGRAM";

/// A program that runs. It is killed when this is dropped.
pub(crate) struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
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
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("this binary can be run");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { child, lines }
    }

    /// Closes the pipe of its stderr.
    pub(crate) fn nobody_reads_its_errors(&mut self) -> &mut Self {
        self.child.stderr = None;
        self
    }

    /// What stands behind the label in the next line that it prints with it.
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

    /// Waits until the program prints a line that ends so.
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

    /// Sends a signal, INT or TERM.
    pub(crate) async fn signal(&mut self, name: &str) -> &mut Self {
        let id = self.child.id().expect("it runs");
        let kill = format!("kill -{name} {id}");
        let sent = Command::new("sh").args(["-c", &kill]).status().await.expect("there is a shell");
        assert!(sent.success());
        self
    }

    /// Waits for its end, and gives its exit code and what it wrote to stderr.
    pub(crate) async fn ends(mut self) -> (Option<i32>, String) {
        let status: ExitStatus = soon("the end", self.child.wait()).await.expect("it can be waited for");
        let mut errors = String::new();
        if let Some(stderr) = &mut self.child.stderr {
            stderr.read_to_string(&mut errors).await.expect("it writes text");
        }
        (status.code(), errors)
    }
}
