//! What the pool knows, and who is next: everything under its lock.

mod backoff;
mod line;
mod seats;

use std::error::Error;
use std::mem;
use std::panic::Location;
use std::sync::Arc;
use std::task::Waker;

use tokio::time::Instant;

use self::backoff::Backoff;
use self::line::Waiter;
pub(crate) use self::line::{Asker, Step, Ticket};
use self::seats::{Taken, Work};
use crate::queue::Queue;
use crate::{GetError, Holder, Manager, Snapshot};

/// Where a caller called.
pub(crate) type Place = &'static Location<'static>;

/// The state of a pool.
///
/// An object is idle, or it has a seat; seats are also taken for the objects that are being created. Whoever cannot
/// be given an idle object at once waits in line. A waiter is *called* when there is something for it to take, an
/// idle object or room to create one, and *served* when it is given the outcome of a task of the pool. No code
/// of others runs in here: what has to be woken or dropped is handed out, and wakers come in as clones.
pub(crate) struct State<M: Manager> {
    max: usize,
    closed: bool,
    // The one used last is on top.
    idle: Vec<M::Object>,
    // In the order in which they were taken.
    seats: Queue<Taken>,
    // How many seats are not those of users.
    creating: usize,
    checking: usize,
    waiters: Queue<Waiter<M>>,
    // How many waiters are called, and how many checks are for somebody in line.
    called: usize,
    checked_for: usize,
    counts: Counts,
    backoff: Backoff,
    last_failure: Option<Failure>,
    due: Due,
}

/// What went wrong, and how that reads with all its causes.
#[derive(Clone)]
pub(crate) struct Failure {
    pub(crate) error: Arc<dyn Error + Send + Sync>,
    pub(crate) text: String,
}

/// What is left to do when the lock is free again: mostly nothing, or a waiter to wake.
#[derive(Default)]
pub(crate) struct Due {
    pub(crate) waker: Option<Waker>,
    // In a box, as each change hands it out, and few have any.
    pub(crate) rest: Option<Box<Rest>>,
}

#[derive(Default)]
pub(crate) struct Rest {
    // A change wakes at most the waiter that it serves, and the one that comes next.
    pub(crate) second: Option<Waker>,
    pub(crate) stale: Option<Waker>,
    pub(crate) outdated: Option<Failure>,
    // All is over: closed, and nothing is left.
    pub(crate) ended: bool,
}

impl Due {
    fn add(&mut self, waker: Waker) {
        match &self.waker {
            None => self.waker = Some(waker),
            Some(_) => self.rest().second = Some(waker),
        }
    }

    fn rest(&mut self) -> &mut Rest {
        self.rest.get_or_insert_default()
    }
}

#[derive(Default)]
struct Counts {
    created: u64,
    create_failures: u64,
    discarded: u64,
    detached: u64,
    timeouts: u64,
}

impl<M: Manager> State<M> {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            closed: false,
            idle: Vec::new(),
            seats: Queue::new(),
            creating: 0,
            checking: 0,
            waiters: Queue::new(),
            called: 0,
            checked_for: 0,
            counts: Counts::default(),
            backoff: Backoff::default(),
            last_failure: None,
            due: Due::default(),
        }
    }

    /// Ends a change: calls who is next, and gives what is left to do.
    pub(crate) fn settle(&mut self) -> Due {
        self.call(self.uncovered());
        if self.closed && self.size() == 0 {
            self.due.rest().ended = true;
        }
        Due { waker: self.due.waker.take(), rest: self.due.rest.take() }
    }

    /// Whether one who comes new has to wait.
    pub(crate) fn waits(&self) -> bool {
        self.idle.is_empty() | (self.waiters.len() > 0)
    }

    fn size(&self) -> usize {
        self.idle.len() + self.seats.len()
    }

    fn free(&self) -> usize {
        self.max - self.size()
    }

    /// Remembers a failure, for the error of the next timeout.
    pub(crate) fn note(&mut self, failure: Failure) {
        if let Some(outdated) = self.last_failure.replace(failure) {
            self.due.rest().outdated = Some(outdated);
        }
    }

    /// Tells the waiters, and gives the idle objects and the wakers.
    pub(crate) fn close(&mut self) -> (Vec<M::Object>, Vec<Waker>) {
        self.closed = true;
        let mut wakers = Vec::with_capacity(self.waiters.len());
        while let Some(key) = self.waiters.first() {
            wakers.extend(self.serve(key, Err(GetError::Closed)));
        }
        self.counts.discarded += self.idle.len() as u64;
        (mem::take(&mut self.idle), wakers)
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let Counts { created, create_failures, discarded, detached, timeouts } = self.counts;
        Snapshot {
            max: self.max,
            size: self.size(),
            idle: self.idle.len(),
            in_use: self.seats.len() - self.creating - self.checking,
            creating: self.creating,
            checking: self.checking,
            waiting: self.waiters.len(),
            created,
            create_failures,
            discarded,
            detached,
            timeouts,
        }
    }

    /// The users, the longest first.
    pub(crate) fn holders(&self, now: Instant) -> impl Iterator<Item = Holder> {
        let holder = move |seat: &Taken| Holder {
            place: seat.place,
            held_for: now.saturating_duration_since(seat.since),
        };
        self.seats
            .iter()
            .filter(|(_, seat)| matches!(seat.work, Work::Held))
            .map(move |(_, seat)| holder(seat))
    }
}
