//! A connection: two pipes, and what happens to both.

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
    waiter::{Task, Wait, Waiter, Which, Woken},
};

/// A connection between two streams, each named after the direction that it writes to.
#[derive(Debug)]
pub(super) struct Connection {
    opened: Instant,
    pipes: PerDirection<Pipe>,
    /// The streams that are dropped.
    gone: PerDirection<bool>,
    /// Ended by the link.
    broken: bool,
}

/// The toxics of one direction, and since when they are in force.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) toxics: Toxics,
    pub(super) since: Instant,
}

/// The present: the time, and what the link does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now<'a> {
    pub(super) at: Instant,
    pub(super) rules: &'a PerDirection<Rule>,
}

impl Connection {
    pub(super) fn new(opened: Instant, pipes: PerDirection<Pipe>) -> Self {
        Connection { opened, pipes, gone: PerDirection::default(), broken: false }
    }

    /// Whether both streams are there, and the link has not ended it.
    pub(super) fn is_open(&self) -> bool {
        !self.gone.up && !self.gone.down && !self.broken
    }

    /// Whether nobody can notice any more what happens to it.
    pub(super) fn is_over(&self) -> bool {
        self.gone.up && self.gone.down
    }

    /// How many bytes were sent.
    pub(super) fn sent(&self, direction: Direction) -> u64 {
        self.pipes.get(direction).sent()
    }

    /// A waiter of one of the pipes.
    pub(super) fn waiter(&mut self, direction: Direction, which: Which) -> &mut Waiter {
        which(self.pipes.get_mut(direction))
    }

    pub(super) fn read(
        &mut self,
        direction: Direction,
        now: Now<'_>,
        task: Option<&Arc<Task>>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let held_back = self.holds(direction, now);
        let pipe = self.pipes.get_mut(direction);
        let result = if held_back { Poll::Pending } else { pipe.read(now.at, buf) };
        pipe.reader.attend(task.filter(|_| result.is_pending()).cloned());
        result
    }

    pub(super) fn write(
        &mut self,
        direction: Direction,
        now: Now<'_>,
        task: Option<&Arc<Task>>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = self.try_write(direction, now, slices);
        self.pipes.get_mut(direction).writer.attend(task.filter(|_| result.is_pending()).cloned());
        result
    }

    fn try_write(
        &mut self,
        direction: Direction,
        now: Now<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let told = self
            .pipes
            .get(direction.reverse())
            .broken(now.at)
            .filter(|_| !self.holds(direction.reverse(), now));
        let pipe = self.pipes.get_mut(direction);
        let own = pipe.is_ended().then_some(ErrorKind::BrokenPipe);
        if let Some(kind) = told.or(own) {
            return Poll::Ready(Err(kind.into()));
        }
        if slices.iter().all(|slice| slice.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        match pipe.write(now.at, &now.rules.get(direction).toxics, slices) {
            0 => Poll::Pending,
            taken => Poll::Ready(Ok(taken)),
        }
    }

    /// The stream writes no more.
    pub(super) fn shut_down(&mut self, direction: Direction, now: Now<'_>) {
        let pipe = self.pipes.get_mut(direction);
        if !pipe.is_ended() {
            pipe.end(now.at, &now.rules.get(direction).toxics, End::Shutdown);
        }
    }

    /// The stream is gone.
    pub(super) fn leave(&mut self, direction: Direction, now: Now<'_>, end: End) {
        *self.gone.get_mut(direction) = true;
        let pipe = self.pipes.get_mut(direction);
        pipe.end(now.at, &now.rules.get(direction).toxics, end);
        pipe.writer.end();
        let back = self.pipes.get_mut(direction.reverse());
        back.abandon();
        back.reader.end();
    }

    /// Ends it from outside, for both streams.
    pub(super) fn break_off(&mut self, at: Instant, end: End, now: Now<'_>) {
        if self.broken {
            return;
        }
        for direction in Direction::BOTH {
            let held_back = self.holds(direction, now);
            let pipe = self.pipes.get_mut(direction);
            if held_back {
                pipe.discard();
            }
            pipe.break_off(at, end);
        }
        self.broken = true;
    }

    /// Lets something happen, and what follows from it.
    pub(super) fn act<T>(
        &mut self,
        id: u64,
        now: Now<'_>,
        act: impl FnOnce(&mut Self, Now<'_>) -> T,
    ) -> (T, Woken) {
        self.catch_up(now);
        let result = act(self, now);
        self.catch_up(now);
        (result, self.rouse(id, now))
    }

    /// Lets happen what the link has in store until now.
    pub(super) fn catch_up(&mut self, now: Now<'_>) {
        if self.broken {
            return;
        }
        let passed = |direction: Direction, limit: Option<u64>| {
            limit.is_some_and(|limit| self.sent(direction) >= limit)
        };
        let limited = |end: End, limit: fn(&Toxics) -> Option<u64>| {
            let any = Direction::BOTH
                .into_iter()
                .any(|direction| passed(direction, limit(&now.rules.get(direction).toxics)));
            any.then_some((now.at, end))
        };
        let due = self.due(now.rules).filter(|(at, _)| *at <= now.at);
        let due = due.or_else(|| limited(End::Reset, |toxics| toxics.reset_data));
        let due = due.or_else(|| limited(End::Close, |toxics| toxics.limit_data));
        if let Some((at, end)) = due {
            self.break_off(at, end, now);
        }
    }

    /// Collects what to wake, as it waits no longer, and the alarms to set for the others.
    fn rouse(&mut self, id: u64, now: Now<'_>) -> Woken {
        let (reader, writer): (Which, Which) = (|pipe| &mut pipe.reader, |pipe| &mut pipe.writer);
        let mut woken = Woken::default();
        let due = self.due(now.rules).map_or(Wait::Open, |(at, _)| Wait::until(at, now.at));
        for direction in Direction::BOTH {
            let held_back = self.holds(direction, now);
            let pipe = self.pipes.get_mut(direction);
            let readable = if held_back { Wait::Open } else { pipe.readable(now.at) };
            let writable = if pipe.is_writable() { Wait::Over } else { Wait::Open };
            pipe.reader.set(readable.or(due), (id, direction, reader), &mut woken);
            pipe.writer.set(writable.or(due), (id, direction, writer), &mut woken);
        }
        woken
    }

    /// When the link ends it by the clock, and how.
    fn due(&self, rules: &PerDirection<Rule>) -> Option<(Instant, End)> {
        let ends = |Rule { toxics, since }: &Rule| {
            let since = self.opened.max(*since);
            let timeout = toxics.timeout.map(|after| (later(since, after), End::Close));
            let reset = toxics.reset_peer.map(|after| (later(since, after), End::Reset));
            timeout.into_iter().chain(reset)
        };
        let timed = [&rules.up, &rules.down].into_iter().filter(|rule| rule.toxics.are_timed());
        timed.flat_map(ends).min_by_key(|(at, _)| *at)
    }

    /// Whether what has arrived is held back.
    fn holds(&self, direction: Direction, now: Now<'_>) -> bool {
        !self.broken && now.rules.get(direction).toxics.holds()
    }
}
