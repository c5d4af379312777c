//! One direction of one connection.

use std::{
    cmp,
    collections::VecDeque,
    io::{self, IoSlice},
    task::Poll,
};

use tokio::{io::ReadBuf, time::Instant};

use super::{
    schedule::{Schedule, later},
    toxics::Toxics,
    waiter::{Wait, Waiter},
};

/// The bytes of one direction that are not read yet, and when they arrive.
#[derive(Debug)]
pub(super) struct Pipe {
    bytes: VecDeque<u8>,
    arrivals: VecDeque<Arrival>,
    schedule: Schedule,
    /// The most bytes that wait to be read.
    buffer: usize,
    sent: u64,
    ended: bool,
    /// Nobody will read what is still written.
    deaf: bool,
    pub(super) reader: Waiter,
    pub(super) writer: Waiter,
}

#[derive(Clone, Copy, Debug)]
struct Arrival {
    at: Instant,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Bytes { len: usize, alone: bool },
    End(End),
}

/// How a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The sender writes no more, but reads.
    Shutdown,
    /// The sender is gone.
    Close,
    /// The connection broke.
    Reset,
}

impl Pipe {
    pub(super) fn new(buffer: usize, schedule: Schedule) -> Self {
        Pipe {
            bytes: VecDeque::new(),
            arrivals: VecDeque::new(),
            schedule,
            buffer,
            sent: 0,
            ended: false,
            deaf: false,
            reader: Waiter::default(),
            writer: Waiter::default(),
        }
    }

    /// How many bytes it has taken since the connection was opened.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether its writer has ended it.
    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Whether a write would not wait.
    pub(super) fn is_writable(&self) -> bool {
        self.deaf || self.bytes.len() < self.buffer
    }

    /// Takes what fits, and says how much that is; nothing means that the writer has to wait.
    pub(super) fn write(&mut self, now: Instant, toxics: &Toxics, slices: &[IoSlice<'_>]) -> usize {
        if self.deaf {
            return slices.iter().map(|slice| slice.len()).sum();
        }
        let mut room = self.buffer.saturating_sub(self.bytes.len());
        if let Some(limit) = toxics.limit() {
            room = usize::try_from(limit.saturating_sub(self.sent)).map_or(room, |rest| cmp::min(room, rest));
        }
        let mut taken = 0;
        for slice in slices {
            let part = &slice[..cmp::min(slice.len(), room - taken)];
            self.bytes.extend(part);
            taken += part.len();
        }
        let mut left = taken;
        while left > 0 {
            let piece = self.schedule.piece(now, toxics, self.sent, left);
            left -= piece.len;
            self.sent += piece.len as u64;
            self.arrive(piece.at, What::Bytes { len: piece.len, alone: piece.alone });
        }
        taken
    }

    /// Ends the stream as its writer does: after all that was written, and as late as that.
    pub(super) fn end(&mut self, now: Instant, toxics: &Toxics, end: End) {
        let mut at = self.schedule.end(now, toxics, self.sent);
        if end != End::Reset && !self.ended {
            at = self.schedule.put_off(later(at, toxics.slow_close));
        }
        self.ended = true;
        self.arrive(at, What::End(end));
    }

    /// Ends the stream from outside at this instant, or when the last byte that was sent has arrived.
    pub(super) fn break_off(&mut self, at: Instant, end: End) {
        self.deaf = true;
        let at = self.schedule.put_off(at);
        self.arrive(at, What::End(end));
    }

    /// Drops what is not read yet.
    pub(super) fn discard(&mut self) {
        self.bytes = VecDeque::new();
        self.arrivals = VecDeque::new();
    }

    /// The reader is gone.
    pub(super) fn abandon(&mut self) {
        self.deaf = true;
        self.discard();
    }

    /// When there is something to read.
    pub(super) fn readable(&self, now: Instant) -> Wait {
        self.arrivals.front().map_or(Wait::Open, |first| Wait::until(first.at, now))
    }

    /// The end that also ends writing, once it has arrived.
    pub(super) fn broken(&self, now: Instant) -> Option<io::ErrorKind> {
        let last = self.arrivals.back().filter(|last| last.at <= now)?;
        match last.what {
            What::End(End::Close) => Some(io::ErrorKind::BrokenPipe),
            What::End(End::Reset) => Some(io::ErrorKind::ConnectionReset),
            What::End(End::Shutdown) | What::Bytes { .. } => None,
        }
    }

    /// Moves what has arrived; pending if nothing has.
    pub(super) fn read(&mut self, now: Instant, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        while let Some(first) = self.arrivals.front_mut().filter(|first| first.at <= now) {
            let read = buf.filled().len() > before;
            match &mut first.what {
                // An end stays: it is what every later read finds.
                What::End(_) if read => break,
                What::End(End::Reset) => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                What::End(End::Shutdown | End::Close) => return Poll::Ready(Ok(())),
                What::Bytes { alone, .. } if read && *alone => break,
                What::Bytes { len, alone } => {
                    let (alone, part) = (*alone, cmp::min(*len, buf.remaining()));
                    *len -= part;
                    if *len == 0 {
                        self.arrivals.pop_front();
                    }
                    take(&mut self.bytes, part, buf);
                    if alone || buf.remaining() == 0 {
                        break;
                    }
                }
            }
        }
        if buf.filled().len() > before { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn arrive(&mut self, at: Instant, what: What) {
        // What arrives together need not be kept apart.
        if let What::Bytes { len: more, alone: false } = what
            && let Some(Arrival { at: last, what: What::Bytes { len, alone: false } }) =
                self.arrivals.back_mut()
            && *last == at
        {
            *len += more;
            return;
        }
        self.arrivals.push_back(Arrival { at, what });
    }
}

fn take(bytes: &mut VecDeque<u8>, count: usize, buf: &mut ReadBuf<'_>) {
    let (front, back) = bytes.as_slices();
    let first = cmp::min(front.len(), count);
    buf.put_slice(&front[..first]);
    buf.put_slice(&back[..count - first]);
    bytes.drain(..count);
}
