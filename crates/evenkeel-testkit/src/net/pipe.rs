//! One direction of a connection: a bounded buffer whose bytes arrive late.

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
    waiter::{Readiness, Waiter},
};

/// The unread bytes of one direction, and the instants at which they arrive.
#[derive(Debug)]
pub(super) struct Pipe {
    bytes: VecDeque<u8>,
    arrivals: VecDeque<Arrival>,
    schedule: Schedule,
    /// The maximum number of unread bytes.
    buffer: usize,
    /// The number of bytes taken since the connection was opened.
    pub(super) sent: u64,
    /// Whether the writer has ended it.
    pub(super) ended: bool,
    /// Whether written bytes are dropped: nobody will read them.
    discarding: bool,
    pub(super) reader: Waiter,
    pub(super) writer: Waiter,
}

#[derive(Clone, Copy, Debug)]
struct Arrival {
    at: Instant,
    content: Content,
}

#[derive(Clone, Copy, Debug)]
enum Content {
    Bytes { len: usize, alone: bool },
    End(End),
}

/// How one direction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The sender has shut down writing, and still reads.
    Shutdown,
    /// The sender was dropped, or the link closed the connection.
    Close,
    /// The connection was reset.
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
            discarding: false,
            reader: Waiter::default(),
            writer: Waiter::default(),
        }
    }

    /// Whether a write would not wait.
    pub(super) fn is_writable(&self) -> bool {
        self.discarding || self.bytes.len() < self.buffer
    }

    /// Takes the bytes that fit and returns their number; zero means that the writer has to wait.
    pub(super) fn write(&mut self, now: Instant, toxics: &Toxics, slices: &[IoSlice<'_>]) -> usize {
        if self.discarding {
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
            self.arrive(piece.at, Content::Bytes { len: piece.len, alone: piece.alone });
        }
        taken
    }

    /// Ends the direction as its writer does: behind all written bytes, with their latency.
    pub(super) fn end(&mut self, now: Instant, toxics: &Toxics, end: End) {
        let mut at = self.schedule.arrive(now, toxics, self.sent);
        if end != End::Reset && !self.ended {
            at = self.schedule.delay_until(later(at, toxics.slow_close));
        }
        self.ended = true;
        self.arrive(at, Content::End(end));
    }

    /// Ends the direction as the link does: at this instant, or when the last sent byte has arrived.
    pub(super) fn break_off(&mut self, at: Instant, end: End) {
        self.discarding = true;
        let at = self.schedule.delay_until(at);
        self.arrive(at, Content::End(end));
    }

    /// Drops all unread bytes.
    pub(super) fn discard(&mut self) {
        self.bytes = VecDeque::new();
        self.arrivals = VecDeque::new();
    }

    /// Drops unread bytes and all that follow: the reader was dropped.
    pub(super) fn abandon(&mut self) {
        self.discarding = true;
        self.discard();
    }

    /// When there is something to read.
    pub(super) fn readable(&self, now: Instant) -> Readiness {
        self.arrivals.front().map_or(Readiness::Unknown, |first| Readiness::at(first.at, now))
    }

    /// The error with which the other direction fails to write, once this end has arrived.
    pub(super) fn broken(&self, now: Instant) -> Option<io::ErrorKind> {
        let last = self.arrivals.back().filter(|last| last.at <= now)?;
        match last.content {
            Content::End(End::Close) => Some(io::ErrorKind::BrokenPipe),
            Content::End(End::Reset) => Some(io::ErrorKind::ConnectionReset),
            Content::End(End::Shutdown) | Content::Bytes { .. } => None,
        }
    }

    /// Reads bytes that have arrived; pending if there are none.
    pub(super) fn read(&mut self, now: Instant, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        while let Some(first) = self.arrivals.front_mut().filter(|first| first.at <= now) {
            let read = buf.filled().len() > before;
            match &mut first.content {
                // An end stays in the queue: every later read finds it.
                Content::End(_) if read => break,
                Content::End(End::Reset) => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                Content::End(End::Shutdown | End::Close) => return Poll::Ready(Ok(())),
                Content::Bytes { alone, .. } if read && *alone => break,
                Content::Bytes { len, alone } => {
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

    fn arrive(&mut self, at: Instant, content: Content) {
        // Bytes that arrive at the same instant become one arrival.
        if let Content::Bytes { len: more, alone: false } = content
            && let Some(Arrival { at: last, content: Content::Bytes { len, alone: false } }) =
                self.arrivals.back_mut()
            && *last == at
        {
            *len += more;
            return;
        }
        self.arrivals.push_back(Arrival { at, content });
    }
}

fn take(bytes: &mut VecDeque<u8>, count: usize, buf: &mut ReadBuf<'_>) {
    let (front, back) = bytes.as_slices();
    let first = cmp::min(front.len(), count);
    buf.put_slice(&front[..first]);
    buf.put_slice(&back[..count - first]);
    bytes.drain(..count);
}
