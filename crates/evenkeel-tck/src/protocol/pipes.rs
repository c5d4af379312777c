//! One adapter as a child process: lines in, lines out, and its end.
//!
//! A thread reads its output and another one its [errors](super::errors); both end with the pipes. A line in is written when the last one has
//! been answered, and fits into a pipe. So nothing blocks but the wait for a reply, which has a limit of real time. The child
//! has a process group of its own, which is ended as a whole.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::Duration,
};

use super::{
    errors::Errors,
    wire::{Object, Turn},
};
use crate::{Verdict, child::how_it_ended, timeline::add_to_trace};

/// The longest line of an adapter.
const LINE: u64 = 1 << 20;

/// How much of a wrong line is quoted.
const QUOTED: usize = 200;

/// How long a child whose output has ended may take to end itself.
const DIES: Duration = Duration::from_secs(1);

/// How long the rest of its errors may take to be read then: a child of its own that has left its process group may hold them.
const LAST_WORDS: Duration = Duration::from_secs(10);

const STEP: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(crate) struct Pipes {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<Line>,
    errors: Errors,
    has_ended: bool,
    turn: u64,
    /// Its time, as its last reply says.
    at: Duration,
}

#[derive(Debug)]
enum Line {
    Text(String),
    TooLong,
    End,
}

impl Pipes {
    pub(crate) fn start(mut command: Command) -> io::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        let errors = match child
            .stderr
            .take()
            .ok_or_else(|| io::Error::other("it has no standard error"))
            .and_then(Errors::of)
        {
            Ok(errors) => errors,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        let input = child.stdin.take();
        let (told, lines) = sync_channel(1);
        if let Some(output) = child.stdout.take() {
            thread::spawn(move || read_lines(output, &told));
        }
        Ok(Self { child, input, lines, errors, has_ended: false, turn: 0, at: Duration::ZERO })
    }

    /// Begins its time again.
    pub(crate) fn begin(&mut self) {
        self.at = Duration::ZERO;
    }

    /// One turn: returns the time of the adapter, and its events.
    ///
    /// # Errors
    /// The verdict on an adapter that does not answer, or whose answer is wrong.
    pub(crate) fn exchange(
        &mut self,
        at: Duration,
        until: Duration,
        messages: Vec<Object>,
        limit: Duration,
    ) -> Result<(Duration, Vec<Object>), Verdict> {
        self.turn += 1;
        // Its clock may be ahead by less than the microsecond to which the suite rounds.
        let at = at.max(self.at);
        let until = until.max(at);
        let turn = Turn { number: self.turn, at, until, items: messages };
        let written = self.input.as_mut().map(|input| input.write_all(turn.line().as_bytes()));
        if !matches!(written, Some(Ok(()))) {
            return Err(self.ended());
        }
        let line = match self.lines.recv_timeout(limit) {
            Ok(Line::Text(line)) => line,
            Ok(Line::TooLong) => return Err(self.bad(&format!("a line is longer than {LINE} bytes"))),
            Ok(Line::End) | Err(RecvTimeoutError::Disconnected) => return Err(self.ended()),
            Err(RecvTimeoutError::Timeout) => {
                // The verdict has no words for them.
                add_to_trace(&self.errors_of_rule());
                return Err(Verdict::Hung(limit));
            }
        };
        let wrong = |what: &str| self.bad(&format!("{what}, in the line {}", quoted(&line)));
        let reply = Turn::read(&line, "events").map_err(|what| wrong(&what))?;
        if reply.number != turn.number {
            return Err(wrong(&format!(
                "turn {} is answered in place of turn {}",
                reply.number, turn.number
            )));
        }
        if reply.at < at {
            return Err(wrong(&format!("its time goes back from {at:?} to {:?}", reply.at)));
        }
        if reply.at > until {
            return Err(wrong(&format!("its time is {:?}, and may be {until:?} at most", reply.at)));
        }
        if reply.items.is_empty() && reply.at != until {
            return Err(wrong(&format!("it stops at {:?}, before {until:?}, without an event", reply.at)));
        }
        self.at = reply.at;
        Ok((reply.at, reply.items))
    }

    pub(crate) fn bad(&self, what: &str) -> Verdict {
        Verdict::BadAdapter(format!("{what}{}", self.errors()))
    }

    /// The verdict on an adapter whose output has ended.
    fn ended(&mut self) -> Verdict {
        let how = match self.finish(DIES) {
            Some(status) => how_it_ended(status),
            None => "it has closed its output".to_owned(),
        };
        self.errors.wait_for_end(LAST_WORDS);
        Verdict::Crashed(format!("{how}{}", self.errors()))
    }

    /// Ends the child and whatever it has started. Returns how it ended, if it did so by itself within this time.
    fn finish(&mut self, longest: Duration) -> Option<ExitStatus> {
        self.input = None;
        let mut waited = Duration::ZERO;
        let status = loop {
            match self.child.try_wait() {
                Ok(None) if waited < longest => thread::park_timeout(STEP),
                Ok(status) => break status,
                Err(_) => break None,
            }
            waited += STEP;
        };
        #[cfg(unix)]
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            // Of a group that has ended nobody is left.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.has_ended = true;
        status
    }

    /// The last lines of its errors since the rule began, as lines of a timeline.
    pub(crate) fn errors_of_rule(&self) -> Vec<String> {
        self.errors.lines().iter().map(|line| format!("    stderr {line}")).collect()
    }

    /// Another rule begins.
    pub(crate) fn forget_errors(&self) {
        self.errors.forget();
    }

    /// The last lines of its errors.
    fn errors(&self) -> String {
        let lines = self.errors.lines();
        if lines.is_empty() { String::new() } else { format!("; its errors:\n{}", lines.join("\n")) }
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        if !self.has_ended {
            self.finish(Duration::ZERO);
        }
    }
}

fn read_lines(output: impl Read, told: &SyncSender<Line>) {
    let mut output = BufReader::new(output);
    loop {
        let mut bytes = Vec::new();
        let read = output.by_ref().take(LINE).read_until(b'\n', &mut bytes);
        let line = match read {
            Ok(1..) if bytes.ends_with(b"\n") => {
                Line::Text(String::from_utf8_lossy(&bytes).trim_end().to_owned())
            }
            Ok(1..) if bytes.len() as u64 == LINE => Line::TooLong,
            // Half a line, of a child that has ended in it.
            _ => Line::End,
        };
        let is_last = !matches!(line, Line::Text(_));
        if told.send(line).is_err() || is_last {
            return;
        }
    }
}

fn quoted(line: &str) -> String {
    let start: String = line.chars().take(QUOTED).collect();
    if start.len() < line.len() { format!("{start:?}...") } else { format!("{start:?}") }
}
