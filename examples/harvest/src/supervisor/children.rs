//! The worker processes: each is watched to its end, and ends with the supervisor.

use std::{
    fmt, io,
    process::{ExitStatus, Stdio},
};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStderr, ChildStdin, Command},
    sync::oneshot,
    task::JoinSet,
};

use super::command::WorkerCommand;

/// The processes that run. All of them are killed when this is dropped.
#[derive(Debug)]
pub(super) struct Children {
    command: WorkerCommand,
    running: Vec<Running>,
    ends: JoinSet<End>,
    started: usize,
}

#[derive(Debug)]
struct Running {
    number: usize,
    /// The worker stops when it is closed, also by the end of this process.
    stdin: Option<ChildStdin>,
    kill: Option<oneshot::Sender<()>>,
}

/// The end of a worker.
#[derive(Debug)]
pub(super) struct End {
    /// The worker, counted from 1.
    pub(super) number: usize,
    status: io::Result<ExitStatus>,
    /// The last line that it has printed on stderr.
    pub(super) last_line: String,
}

impl End {
    /// Whether it ended by itself: all was done, or it was asked to stop.
    pub(super) fn is_success(&self) -> bool {
        self.status.as_ref().is_ok_and(ExitStatus::success)
    }

    /// Whether it refused its input.
    pub(super) fn is_refusal(&self) -> bool {
        self.status.as_ref().is_ok_and(|status| status.code() == Some(2))
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.status {
            Err(error) => write!(f, "{error}"),
            Ok(status) if status.success() => f.write_str("it has ended"),
            // The line is a progress line if a signal has ended it.
            Ok(status) if status.code().is_none() => write!(f, "{status}"),
            Ok(status) => write!(f, "{status}: {}", self.last_line),
        }
    }
}

impl Children {
    pub(super) fn new(command: WorkerCommand) -> Self {
        Self { command, running: Vec::new(), ends: JoinSet::new(), started: 0 }
    }

    /// Starts a worker, and returns its number and the id of its process.
    pub(super) fn start(&mut self) -> io::Result<(usize, u32)> {
        let mut command = Command::new(&self.command.program);
        command.args(&self.command.args).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        // The terminal's Ctrl-C is for the supervisor, which asks each worker once.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn()?;
        self.started += 1;
        let (number, pid) = (self.started, child.id().unwrap_or_default());
        let (kill, killed) = oneshot::channel();
        self.running.push(Running { number, stdin: child.stdin.take(), kill: Some(kill) });
        let stderr = child.stderr.take();
        self.ends.spawn(async move {
            let (status, last_line) = tokio::join!(end_of(child, killed), last_line(stderr));
            End { number, status, last_line }
        });
        Ok((number, pid))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Waits for the end of a worker; without one it waits for ever.
    pub(super) async fn next_end(&mut self) -> End {
        match self.ends.join_next().await {
            None => std::future::pending().await,
            Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
            Some(Ok(end)) => {
                self.running.retain(|running| running.number != end.number);
                end
            }
        }
    }

    /// Asks all workers to stop.
    pub(super) fn stop(&mut self) {
        self.running.iter_mut().for_each(|running| running.stdin = None);
    }

    /// Kills the first worker that runs, which has no moment to clean up, and returns its number.
    pub(super) fn kill_one(&mut self) -> Option<usize> {
        let running = self.running.iter_mut().find(|running| running.kill.is_some())?;
        // It has ended meanwhile if nobody listens.
        running.kill.take().into_iter().for_each(|kill| _ = kill.send(()));
        Some(running.number)
    }
}

async fn end_of(mut child: Child, killed: oneshot::Receiver<()>) -> io::Result<ExitStatus> {
    tokio::select! {
        status = child.wait() => return status,
        Ok(()) = killed => child.start_kill()?,
    }
    child.wait().await
}

async fn last_line(stderr: Option<ChildStderr>) -> String {
    let Some(stderr) = stderr else { return String::new() };
    let mut lines = BufReader::new(stderr).lines();
    let mut last = String::new();
    while let Ok(Some(line)) = lines.next_line().await {
        last = line;
    }
    last
}
