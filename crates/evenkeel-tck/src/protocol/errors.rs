//! The standard errors of a child: its last lines.
//!
//! A thread reads them as they come, so that a full pipe does not block the child. Whoever asks for them reads first what is in the pipe:
//! what the child has written before it answered is there, however late the thread is. So a line belongs to the rule in which it
//! was written, and nobody waits. Where a read cannot be told not to wait (outside Unix), the thread alone reads.

use std::{
    collections::VecDeque,
    io::{self, Read},
    process::ChildStderr,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, sync_channel},
    },
    thread,
    time::Duration,
};

use evenkeel_base::lock;

/// So many lines are kept, and so many characters of each.
const LINES: usize = 20;
const LENGTH: usize = 500;

/// The bytes of so many characters, whatever they are.
const BYTES: usize = 4 * LENGTH;

/// More than a pipe holds: a child that writes without end does not hold up who asks.
#[cfg(unix)]
const AT_ONCE: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Errors {
    shared: Arc<Shared>,
    /// Is disconnected when all of them are read.
    end: Receiver<()>,
}

#[derive(Debug)]
struct Shared {
    #[cfg(unix)]
    pipe: std::fs::File,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<String>,
    /// The begin of a line whose end is not there yet.
    half: Vec<u8>,
}

impl Errors {
    /// # Errors
    /// If the pipe cannot be read without a wait.
    #[cfg(unix)]
    pub(super) fn of(pipe: ChildStderr) -> io::Result<Self> {
        use rustix::event::{PollFd, PollFlags, poll};
        let pipe = std::fs::File::from(std::os::fd::OwnedFd::from(pipe));
        rustix::io::ioctl_fionbio(&pipe, true)?;
        Ok(Self::read_by(Shared { pipe, kept: Mutex::default() }, |shared| {
            while !shared.read_what_is_there() {
                // An error of it is one of the next read, too.
                let _ = poll(&mut [PollFd::new(&shared.pipe, PollFlags::IN)], None);
            }
        }))
    }

    #[cfg(not(unix))]
    pub(super) fn of(mut pipe: ChildStderr) -> io::Result<Self> {
        Ok(Self::read_by(Shared { kept: Mutex::default() }, move |shared| {
            let mut bytes = [0; BYTES];
            while let Ok(length @ 1..) = pipe.read(&mut bytes) {
                lock(&shared.kept).add(&bytes[..length]);
            }
        }))
    }

    fn read_by(shared: Shared, read: impl FnOnce(&Shared) + Send + 'static) -> Self {
        let shared = Arc::new(shared);
        let (last_words, end) = sync_channel(0);
        let reads = shared.clone();
        thread::spawn(move || {
            read(&reads);
            drop(last_words);
        });
        Self { shared, end }
    }

    /// Waits until all of them are read, of a child that has ended, and for this time at most.
    pub(super) fn wait_for_end(&self, longest: Duration) {
        let _ = self.end.recv_timeout(longest);
    }

    /// The last lines that the child has written since they were forgotten.
    pub(super) fn lines(&self) -> Vec<String> {
        self.shared.read_what_is_there();
        let kept = lock(&self.shared.kept);
        let half = (!kept.half.is_empty()).then(|| text(&kept.half));
        kept.lines.iter().cloned().chain(half).collect()
    }

    /// Forgets what the child has written so far.
    pub(super) fn forget(&self) {
        self.shared.read_what_is_there();
        *lock(&self.shared.kept) = Kept::default();
    }
}

impl Shared {
    /// Reads until the pipe is empty. Returns whether it has ended.
    #[cfg(unix)]
    fn read_what_is_there(&self) -> bool {
        // Two readers would mix the lines.
        let mut kept = lock(&self.kept);
        let (mut bytes, mut read) = ([0; BYTES], 0);
        while read < AT_ONCE {
            match (&self.pipe).read(&mut bytes) {
                Ok(length @ 1..) => {
                    kept.add(&bytes[..length]);
                    read += length;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return true,
            }
        }
        false
    }

    #[cfg(not(unix))]
    fn read_what_is_there(&self) {}
}

impl Kept {
    fn add(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = BYTES.saturating_sub(self.half.len());
            let (line, is_whole) = part.strip_suffix(b"\n").map_or((part, false), |line| (line, true));
            self.half.extend(&line[..line.len().min(room)]);
            if is_whole {
                self.lines.push_back(text(&self.half));
                self.half.clear();
            }
            if self.lines.len() > LINES {
                self.lines.pop_front();
            }
        }
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim_end().chars().take(LENGTH).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_whatever_the_parts_in_which_they_come() {
        let mut kept = Kept::default();
        let all: String = (0..25).map(|number| format!("line {number}\r\n")).collect();
        for part in all.as_bytes().chunks(7) {
            kept.add(part);
        }
        let wanted: Vec<String> = (5..25).map(|number| format!("line {number}")).collect();
        assert_eq!((Vec::from(kept.lines), kept.half), (wanted, Vec::new()));
    }

    #[test]
    fn a_long_line_is_cut_between_characters_and_the_next_one_is_whole() {
        let mut kept = Kept::default();
        for _ in 0..3 {
            kept.add("🌞".repeat(LENGTH).as_bytes());
        }
        assert_eq!(kept.half.len(), BYTES);
        kept.add(b"\nnext\n\nhalf");
        assert_eq!(Vec::from(kept.lines), ["🌞".repeat(LENGTH), "next".to_owned(), String::new()]);
        assert_eq!(kept.half, b"half");
    }
}
