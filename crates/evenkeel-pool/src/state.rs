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
mod caller;
mod check;
#[cfg(feature = "inspect")]
mod edges;
mod objects;
mod queue;
mod shared;
mod slot;
mod slots;
mod tasks;
mod timers;
mod upkeep;
mod waiters;

use std::{collections::VecDeque, error::Error, mem, sync::Arc, task::Waker};

use evenkeel_base::error_chain;
use tokio::{sync::Notify, time::Instant};

use self::{
    backoff::Backoff, queue::WaitQueue, slot::IdleObject, slots::Slots, timers::Timers, upkeep::Upkeep,
};
pub(crate) use self::{
    caller::{Caller, CheckoutStep},
    check::{CheckStart, begin_check, end_lease, finish_check},
    queue::{Position, Served},
    shared::Shared,
    slot::{NewSlot, PooledObject, SlottedObject},
    slots::Place,
    timers::TimerStart,
    upkeep::UpkeepWork,
};
use crate::{GetError, Holder, Manager, Panic, Snapshot, limits::Limits};

pub(crate) struct State<M: Manager> {
    max: usize,
    closed: bool,
    limits: Limits,
    // Raised when the objects of now are not to be used again; a closed pool uses none.
    generation: u64,
    // The object that was used last is at the back.
    idle: VecDeque<Box<PooledObject<M>>>,
    slots: Slots,
    waiters: WaitQueue<M>,
    // The number of callers that joined the queue.
    arrivals: u64,
    // The number of waiters that are called, and the first one that is not; all in front of that are.
    called: usize,
    first_waiting: Option<usize>,
    timers: Timers,
    upkeep: Upkeep,
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
        Self { text: text_of(&error), error: Arc::new(error) }
    }

    /// A failure whose error goes to a caller.
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Self {
        Self::text(text_of(error))
    }

    /// A failure of which there is a text, and no error.
    pub(crate) fn text(text: String) -> Self {
        Self { error: crate::BoxError::from(text.clone()).into(), text }
    }
}

/// Returns the text of an error with all sources; a text that panics costs nothing else.
fn text_of(error: &(dyn Error + 'static)) -> String {
    Panic::catch(|| error_chain(error)).unwrap_or_else(|panic| format!("an error whose text {panic}"))
}

/// The work that a change leaves for the time after the lock: mostly nothing, or one waiter to wake.
#[derive(Default)]
pub(crate) struct Deferred {
    pub(crate) waker: Option<Waker>,
    // A waker that was replaced or is not needed any more, to be dropped.
    pub(crate) stale: Option<Waker>,
    // In a box: each change returns this struct, and few changes have any of it.
    pub(crate) rare: Option<Box<RareDeferred>>,
}

#[derive(Default)]
pub(crate) struct RareDeferred {
    // A change wakes at most the waiter that it serves, and the waiter that it calls.
    pub(crate) second: Option<Waker>,
    // A replaced value, to be dropped.
    pub(crate) outdated: Option<Failure>,
    // Tasks of the pool to be told that there is something to do.
    pub(crate) notify: Vec<Arc<Notify>>,
    // Whether the task for the upkeep has something to do.
    pub(crate) upkeep: bool,
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
    pub(crate) fn new(max: usize, limits: &Limits) -> Self {
        Self {
            limits: *limits,
            max,
            closed: false,
            generation: 0,
            idle: VecDeque::new(),
            slots: Slots::new(limits),
            waiters: WaitQueue::new(),
            arrivals: 0,
            called: 0,
            first_waiting: None,
            timers: Timers::default(),
            upkeep: Upkeep::default(),
            counts: Counts::default(),
            backoff: Backoff::default(),
            last_failure: None,
            deferred: Deferred::default(),
        }
    }

    /// Ends a change: calls the next waiter if it is due, and returns the work that is left.
    #[inline]
    pub(crate) fn finish_change(&mut self) -> Deferred {
        // Else there is neither an object to which no waiter is called, nor room for more.
        if self.idle.len() > self.called || self.size() < self.max {
            self.use_room();
        }
        self.take_deferred()
    }

    #[inline(never)]
    fn use_room(&mut self) {
        self.call_next_below(self.waiters_without_task());
        self.tell_of_missing();
        if self.closed && self.size() == 0 {
            self.deferred.rare().ended = true;
        }
    }

    pub(crate) fn take_deferred(&mut self) -> Deferred {
        mem::take(&mut self.deferred)
    }

    /// Returns whether a newcomer has to wait.
    pub(crate) fn must_wait(&self) -> bool {
        self.idle.is_empty() | !self.waiters.is_empty()
    }

    fn size(&self) -> usize {
        self.slots.len()
    }

    /// Returns the number of objects, in use or not.
    pub(crate) fn objects(&self) -> usize {
        self.size() - self.slots.creating
    }

    /// Returns how many creations may begin, or begin to wait for their time.
    fn allowed_creations(&self) -> usize {
        let room = self.max.saturating_sub(self.size());
        self.backoff.allowed_creations(room.min(self.limits.max_creating.saturating_sub(self.slots.creating)))
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
    pub(crate) fn close(&mut self) -> (Vec<IdleObject<M>>, Vec<Waker>) {
        self.closed = true;
        self.generation += 1;
        let mut wakers = Vec::with_capacity(self.waiters.len());
        while let Some(key) = self.waiters.front() {
            wakers.extend(self.serve(key, Err(GetError::Closed)));
        }
        (self.take_idle(self.idle.len()), wakers)
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

    /// Sets the text that says what the lease in this slot is for.
    pub(crate) fn set_label(&mut self, slot: usize, label: &'static str) {
        self.slots.set_label(slot, label);
    }

    /// Returns the holders of objects, the longest first.
    pub(crate) fn holders(&mut self, now: Instant) -> Vec<Holder> {
        self.slots.set_time(now);
        self.slots.holders(now)
    }
}
