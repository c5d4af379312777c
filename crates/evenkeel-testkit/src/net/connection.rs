//! A connection: two pipes, and the events that concern both.
//!
//! # How it works
//!
//! The link changes a connection through [`Connection::act`], under its lock. `act` first applies the ends that are due
//! by the clock or by a byte limit, then the change itself, then the ends that the change made due; last it collects
//! the wakers and timers of the four waiters (a reader and a writer for each pipe).
//!
//! Invariant: a waiter holds a waker only while its read or write is pending, and its timer is the earliest instant
//! at which that may change without another call.

use std::{
    io::{self, ErrorKind, IoSlice},
    sync::Arc,
    task::Poll,
};

use tokio::{io::ReadBuf, time::Instant};

use super::{
    direction::{Direction, PerDirection},
    pipe::{End, Pipe},
    schedule::later,
    toxics::Toxics,
    waiter::{Deferred, Readiness, SharedWaker, Side, Waiter},
};

/// A connection between two streams, each named after the direction that it writes to.
#[derive(Debug)]
pub(super) struct Connection {
    opened: Instant,
    pipes: PerDirection<Pipe>,
    /// Whether each stream has been dropped.
    dropped: PerDirection<bool>,
    /// Whether the link has ended it.
    broken: bool,
}

/// The toxics of one direction, and the instant from which they are in force.
#[derive(Clone, Copy, Debug)]
pub(super) struct ActiveToxics {
    pub(super) toxics: Toxics,
    pub(super) since: Instant,
}

/// The current time, and the toxics in force.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now<'a> {
    pub(super) at: Instant,
    pub(super) active: &'a PerDirection<ActiveToxics>,
}

impl Connection {
    pub(super) fn new(opened: Instant, pipes: PerDirection<Pipe>) -> Self {
        Connection { opened, pipes, dropped: PerDirection::default(), broken: false }
    }

    /// Whether neither stream was dropped, and the link has not ended it.
    pub(super) fn is_open(&self) -> bool {
        self.dropped.0 == [false; 2] && !self.broken
    }

    /// Whether both streams have been dropped.
    pub(super) fn is_over(&self) -> bool {
        self.dropped.0 == [true; 2]
    }

    /// The number of bytes sent.
    pub(super) fn sent(&self, direction: Direction) -> u64 {
        self.pipes.get(direction).sent
    }

    /// Returns a waiter of one of the pipes.
    pub(super) fn waiter(&mut self, direction: Direction, side: Side) -> &mut Waiter {
        let pipe = self.pipes.get_mut(direction);
        match side {
            Side::Reader => &mut pipe.reader,
            Side::Writer => &mut pipe.writer,
        }
    }

    pub(super) fn read(
        &mut self,
        direction: Direction,
        now: Now<'_>,
        waker: Option<&Arc<SharedWaker>>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let held_back = self.holds_back(direction, now);
        let pipe = self.pipes.get_mut(direction);
        let result = if held_back { Poll::Pending } else { pipe.read(now.at, buf) };
        pipe.reader.register(waker.filter(|_| result.is_pending()).cloned());
        result
    }

    pub(super) fn write(
        &mut self,
        direction: Direction,
        now: Now<'_>,
        waker: Option<&Arc<SharedWaker>>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = self.try_write(direction, now, slices);
        self.pipes.get_mut(direction).writer.register(waker.filter(|_| result.is_pending()).cloned());
        result
    }

    fn try_write(
        &mut self,
        direction: Direction,
        now: Now<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let broken_by_peer = self
            .pipes
            .get(direction.reverse())
            .broken(now.at)
            .filter(|_| !self.holds_back(direction.reverse(), now));
        let pipe = self.pipes.get_mut(direction);
        let own_end = pipe.ended.then_some(ErrorKind::BrokenPipe);
        if let Some(kind) = broken_by_peer.or(own_end) {
            return Poll::Ready(Err(kind.into()));
        }
        if slices.iter().all(|slice| slice.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        match pipe.write(now.at, &now.active.get(direction).toxics, slices) {
            0 => Poll::Pending,
            taken => Poll::Ready(Ok(taken)),
        }
    }

    /// Ends the direction that the stream writes to.
    pub(super) fn shut_down(&mut self, direction: Direction, now: Now<'_>) {
        let pipe = self.pipes.get_mut(direction);
        if !pipe.ended {
            pipe.end(now.at, &now.active.get(direction).toxics, End::Shutdown);
        }
    }

    /// Ends both directions for a stream that is dropped.
    pub(super) fn stream_dropped(&mut self, direction: Direction, now: Now<'_>, end: End) {
        *self.dropped.get_mut(direction) = true;
        let pipe = self.pipes.get_mut(direction);
        pipe.end(now.at, &now.active.get(direction).toxics, end);
        pipe.writer.clear();
        let back = self.pipes.get_mut(direction.reverse());
        back.abandon();
        back.reader.clear();
    }

    /// Ends the connection for both streams, as the link does.
    pub(super) fn break_off(&mut self, at: Instant, end: End, now: Now<'_>) {
        if self.broken {
            return;
        }
        for direction in Direction::BOTH {
            let held_back = self.holds_back(direction, now);
            let pipe = self.pipes.get_mut(direction);
            if held_back {
                pipe.discard();
            }
            pipe.break_off(at, end);
        }
        self.broken = true;
    }

    /// Applies a change and its consequences; returns the work to do without the lock.
    pub(super) fn act<T>(
        &mut self,
        id: u64,
        now: Now<'_>,
        act: impl FnOnce(&mut Self, Now<'_>) -> T,
    ) -> (T, Deferred) {
        self.catch_up(now);
        let result = act(self, now);
        self.catch_up(now);
        (result, self.collect_wakes(id, now))
    }

    /// Ends the connection if the clock or a byte limit of the link says so.
    pub(super) fn catch_up(&mut self, now: Now<'_>) {
        if self.broken {
            return;
        }
        let reached = |limit: fn(&Toxics) -> Option<u64>| {
            let mut both = self.pipes.0.iter().zip(&now.active.0);
            both.any(|(pipe, active)| limit(&active.toxics).is_some_and(|limit| pipe.sent >= limit))
        };
        let (at, end) = match self.due(now.active) {
            Some((at, end)) if at <= now.at => (at, end),
            _ if reached(|toxics| toxics.reset_data) => (now.at, End::Reset),
            _ if reached(|toxics| toxics.limit_data) => (now.at, End::Close),
            _ => return,
        };
        self.break_off(at, end, now);
    }

    /// Collects the wakers of all waits that are over, and the timers of the others.
    fn collect_wakes(&mut self, id: u64, now: Now<'_>) -> Deferred {
        let mut deferred = Deferred::default();
        let due = self.due(now.active).map_or(Readiness::Unknown, |(at, _)| Readiness::at(at, now.at));
        for direction in Direction::BOTH {
            let held_back = self.holds_back(direction, now);
            let pipe = self.pipes.get_mut(direction);
            let readable = if held_back { Readiness::Unknown } else { pipe.readable(now.at) };
            let writable = if pipe.is_writable() { Readiness::Now } else { Readiness::Unknown };
            pipe.reader.update(readable.or(due), (id, direction, Side::Reader), &mut deferred);
            pipe.writer.update(writable.or(due), (id, direction, Side::Writer), &mut deferred);
        }
        deferred
    }

    /// When and how the link ends the connection by the clock.
    fn due(&self, active: &PerDirection<ActiveToxics>) -> Option<(Instant, End)> {
        let ends = |ActiveToxics { toxics, since }: &ActiveToxics| {
            let since = self.opened.max(*since);
            let timeout = toxics.timeout.map(|after| (later(since, after), End::Close));
            let reset = toxics.reset_peer.map(|after| (later(since, after), End::Reset));
            timeout.into_iter().chain(reset)
        };
        let timed = active.0.iter().filter(|active| active.toxics.are_timed());
        timed.flat_map(ends).min_by_key(|(at, _)| *at)
    }

    /// Whether arrived bytes are held back.
    fn holds_back(&self, direction: Direction, now: Now<'_>) -> bool {
        !self.broken && now.active.get(direction).toxics.hold_back()
    }
}
