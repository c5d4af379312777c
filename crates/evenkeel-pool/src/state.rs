//! The state of a pool: everything under its lock.
//!
//! # How it works
//!
//! An object is idle, or it is on its way in a [`SlottedObject`]. It has a slot in both cases, as an object has that is
//! being created, so `slots <= max`. A caller that finds no idle object joins the wait queue. A
//! waiter is *called* when there is something that it can take, an idle object or room to create one: it is woken, and
//! takes it when it is polled. It is *served* when a task hands an object or an error to it: it leaves the queue at
//! once, and finds the result when it is polled.
//!
//! - **No wake-up is lost**: [`State::finish_change`] ends every change, and calls a waiter while one has no task that
//!   works for it and something is there. A waiter that was called and leaves passes the call on.
//! - **At most one waiter is called in one change**, so a change has a bounded number of wakers to hand out. The
//!   called waiter calls the next one if more is there, as its own polls are changes, too.
//! - **No caller passes the queue**: an idle object goes to a newcomer only if nobody waits.
//! - **No foreign code runs in here**: wakers are handed in as clones, and anything to wake or drop is handed out in
//!   [`Deferred`] or returned. An object that is served keeps its slot guard, and leaves the state before it is dropped.
//! - **A forgotten future keeps no object**: a guard owns a reference to the shared part, so a served object that is
//!   never taken would keep the state alive, and the state the object. The end of the last handle takes it out.

mod backoff;
mod objects;
mod shared;
mod slot;
mod slots;
mod timers;
mod waiters;

use std::{error::Error, sync::Arc, task::Waker};

use evenkeel_base::error_chain;
use tokio::time::Instant;

use self::{backoff::Backoff, slots::Slots, timers::Timers, waiters::WaitQueue};
pub(crate) use self::{
    shared::Shared,
    slot::{PooledObject, SlotGuard, SlottedObject},
    slots::Place,
    waiters::{Caller, CheckoutStep, Queued, Served},
};
use crate::{GetError, Holder, Manager, Snapshot};

pub(crate) struct State<M: Manager> {
    max: usize,
    closed: bool,
    // The object that was used last is on top.
    idle: Vec<Box<PooledObject<M>>>,
    slots: Slots,
    waiters: WaitQueue<M>,
    // The number of callers that joined the queue.
    arrivals: u64,
    // The number of waiters that are called, and the first one that is not; all in front of that are.
    called: usize,
    first_waiting: Option<usize>,
    timers: Timers,
    counts: Counts,
    backoff: Backoff,
    last_failure: Option<Failure>,
    deferred: Deferred,
}

/// A failure of a creation or a check, and its text with all sources.
#[derive(Clone)]
pub(crate) struct Failure {
    pub(crate) error: Arc<dyn Error + Send + Sync>,
    pub(crate) text: String,
}

impl Failure {
    /// A failure with its error.
    pub(crate) fn new(error: impl Error + Send + Sync + 'static) -> Self {
        Self { text: error_chain(&error), error: Arc::new(error) }
    }

    /// A failure whose error is not at hand or belongs to a caller: only the text is left.
    pub(crate) fn text(text: String) -> Self {
        Self { error: crate::BoxError::from(text.clone()).into(), text }
    }
}

/// The work that a change leaves for the time after the lock: mostly nothing, or one waiter to wake.
#[derive(Default)]
pub(crate) struct Deferred {
    pub(crate) waker: Option<Waker>,
    // In a box: each change returns this struct, and few changes have any of it.
    pub(crate) rare: Option<Box<RareDeferred>>,
}

#[derive(Default)]
pub(crate) struct RareDeferred {
    // A change wakes at most the waiter that it serves, and the waiter that it calls.
    pub(crate) second: Option<Waker>,
    // Replaced values, to be dropped.
    pub(crate) stale: Option<Waker>,
    pub(crate) outdated: Option<Failure>,
    // Whether the pool is closed and empty.
    pub(crate) ended: bool,
}

impl Deferred {
    fn wake(&mut self, waker: Waker) {
        match &self.waker {
            None => self.waker = Some(waker),
            Some(_) => self.rare().second = Some(waker),
        }
    }

    fn rare(&mut self) -> &mut RareDeferred {
        self.rare.get_or_insert_default()
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
            slots: Slots::default(),
            waiters: WaitQueue::new(),
            arrivals: 0,
            called: 0,
            first_waiting: None,
            timers: Timers::default(),
            counts: Counts::default(),
            backoff: Backoff::default(),
            last_failure: None,
            deferred: Deferred::default(),
        }
    }

    /// Ends a change: calls the next waiter if it is due, and returns the work that is left.
    pub(crate) fn finish_change(&mut self) -> Deferred {
        self.call_next_below(self.waiters_without_task());
        if self.closed && self.size() == 0 {
            self.deferred.rare().ended = true;
        }
        self.take_deferred()
    }

    pub(crate) fn take_deferred(&mut self) -> Deferred {
        Deferred { waker: self.deferred.waker.take(), rare: self.deferred.rare.take() }
    }

    /// Returns whether a newcomer has to wait.
    pub(crate) fn must_wait(&self) -> bool {
        self.idle.is_empty() | !self.waiters.is_empty()
    }

    fn size(&self) -> usize {
        self.slots.len()
    }

    /// Returns how many creations may begin, or begin to wait for their time.
    fn allowed_creations(&self) -> usize {
        self.backoff.allowed_creations(self.max - self.size())
    }

    /// Returns whether the last creation failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.backoff.is_failing()
    }

    /// Keeps a failure for the error of the next time-out.
    pub(crate) fn record_failure(&mut self, failure: Failure) {
        if let Some(outdated) = self.last_failure.replace(failure) {
            self.deferred.rare().outdated = Some(outdated);
        }
    }

    /// Fails all waiters, and returns the idle objects, to be dropped, and the wakers.
    pub(crate) fn close(&mut self) -> (Vec<Box<PooledObject<M>>>, Vec<Waker>) {
        self.closed = true;
        let mut wakers = Vec::with_capacity(self.waiters.len());
        while let Some(key) = self.waiters.front() {
            wakers.extend(self.serve(key, Err(GetError::Closed)));
        }
        (self.take_idle_objects(), wakers)
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let Counts { created, create_failures, discarded, detached, timeouts } = self.counts;
        Snapshot {
            max: self.max,
            size: self.size(),
            idle: self.idle.len(),
            in_use: self.slots.len() - self.idle.len() - self.slots.creating - self.slots.checking,
            creating: self.slots.creating,
            checking: self.slots.checking,
            waiting: self.waiters.len(),
            created,
            create_failures,
            discarded,
            detached,
            timeouts,
        }
    }

    /// Returns the holders of objects, the longest first.
    pub(crate) fn holders(&mut self, now: Instant) -> Vec<Holder> {
        self.slots.set_time(now);
        self.slots.holders(now)
    }
}
