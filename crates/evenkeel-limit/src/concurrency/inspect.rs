//! A concurrency limiter in the dumps of evenkeel-inspect.
//!
//! # How it works
//!
//! A limiter can be a `static`, which the registry cannot refer to. So with the feature its core is made at the first use, in an
//! `Arc`. Waiters are in the queue of the state, with their records. A permit leaves no trace in the state, least of all on
//! the fast path; so a limiter with a name has records of its [`Holders`].

use std::{
    ops::Deref,
    ptr,
    sync::{Arc, OnceLock},
};

use evenkeel_base::rounded;
use evenkeel_inspect::{
    Inspect, Inspected, InspectedResource, Registration, WaiterEdge, copy_chunks, register,
};
use tokio::{task, time::Instant};

use super::{
    adaptive::Adaptive,
    core::Core,
    fast_path::FastPath,
    hold::Hold,
    holders::Holders,
    loom::{AtomicU64, Mutex as StateMutex},
    places::address,
    record::Record,
    state::{Grant, State},
    thread_records::{self, next_for},
};
use crate::sync::{edges::CallPlace, wait_queue::Key};

/// The tasks that are told of those that wait until nothing is in use. These are in no queue: the one that takes permits for others
/// often waits so for all of them.
const SHOWN: usize = 3;

/// The core of a limiter, which is made at the first use.
pub(super) struct CoreCell {
    limit: u32,
    adaptive: Option<Adaptive>,
    name: Option<&'static str>,
    // Not if it is a part of an object that describes itself.
    is_listed: bool,
    call: CallPlace,
    // One of the two is made. That of a limiter with a name is looked at first, since there is more to do for it.
    recorded: OnceLock<Arc<SharedCore>>,
    unrecorded: OnceLock<Arc<SharedCore>>,
}

pub(super) struct SharedCore {
    core: Core,
    name: Option<&'static str>,
    call: CallPlace,
    holders: Option<Holders>,
    _registration: Option<Registration>,
}

impl CoreCell {
    pub(super) const fn new(limit: u32, adaptive: Option<Adaptive>, call: CallPlace) -> Self {
        Self {
            limit,
            adaptive,
            name: None,
            is_listed: true,
            call,
            recorded: OnceLock::new(),
            unrecorded: OnceLock::new(),
        }
    }

    pub(super) const fn set_name(&mut self, name: &'static str) {
        self.name = Some(name);
    }

    pub(super) const fn set_unlisted(&mut self) {
        self.is_listed = false;
    }

    /// Describes the waiters, the first in the queue first.
    pub(super) fn waiters(&self, now: Instant) -> Vec<WaiterEdge> {
        waiters(self, now)
    }

    /// Returns the core, and makes it at the first use.
    pub(super) fn shared(&self) -> &Arc<SharedCore> {
        let cell = if self.name.is_some() { &self.recorded } else { &self.unrecorded };
        cell.get_or_init(|| {
            Arc::new_cyclic(|limiter| {
                let fast_path = FastPath::new(AtomicU64::new(FastPath::closed()));
                let state = State::new(self.limit, self.adaptive.clone());
                SharedCore {
                    core: Core::new(fast_path, StateMutex::new(state)),
                    name: self.name,
                    call: self.call,
                    holders: self.name.map(|_| Holders::new()),
                    _registration: self.is_listed.then(|| register(limiter.clone())),
                }
            })
        })
    }

    /// Returns the core, if the limiter has a name and was used before.
    #[inline]
    pub(super) fn recorded(&self) -> Option<&Arc<SharedCore>> {
        self.recorded.get()
    }

    /// Returns the core, if the limiter has no name and was used before.
    #[inline]
    pub(super) fn unrecorded(&self) -> Option<&Arc<SharedCore>> {
        self.unrecorded.get()
    }

    /// Returns the core, if the limiter was used before.
    #[inline]
    pub(super) fn made(&self) -> Option<&Arc<SharedCore>> {
        self.recorded().or_else(|| self.unrecorded())
    }

    /// Removes a waiter, as [`Core::leave`] does.
    #[inline(never)]
    pub(super) fn leave(&self, key: Key, is_late: bool) {
        self.shared().core.leave(key, is_late);
    }
}

impl SharedCore {
    /// Returns the number of the limiter in the records of its holders.
    #[inline]
    fn id(&self) -> u64 {
        ptr::from_ref(self).addr() as u64
    }

    /// Returns how to take permits in a burst: an offer of the fast path, and the next record of this thread.
    #[inline(always)]
    pub(super) fn next(&self, weight: u32, call: CallPlace) -> Option<(u64, &'static Record)> {
        Some((self.core.offer(weight)?, next_for(address(call.place))?))
    }

    /// Takes permits so; `None` if the offer has changed.
    #[inline(always)]
    pub(super) fn take_next(&self, (offer, record): (u64, &'static Record), weight: u32) -> Option<Hold> {
        // Next to the budget of the task, which is in the same data of the thread: that is looked for once.
        let task = task::try_id();
        self.core.take_offer(offer, weight).then(|| {
            record.begin(task, self.id(), weight);
            Hold::Unread { weight, record }
        })
    }

    /// Takes permits without the lock, of a limiter without a name.
    #[inline]
    pub(super) fn take_unrecorded(&self, weight: u32) -> Option<Hold> {
        self.core.take_fast(weight).map(|_| Hold::Unrecorded { weight })
    }

    /// Takes permits without the lock, and records who has them if the limiter has a name.
    #[inline]
    pub(super) fn take_fast(&self, weight: u32, call: CallPlace) -> Option<Hold> {
        if self.holders.is_none() {
            return self.take_unrecorded(weight);
        }
        let next = self.next(weight, call);
        next.and_then(|next| self.take_next(next, weight)).or_else(|| self.take_slowly(weight, call))
    }

    /// Does the same, whatever there is to do for a record.
    #[inline(never)]
    pub(super) fn take_slowly(&self, weight: u32, call: CallPlace) -> Option<Hold> {
        let Some(holders) = &self.holders else { return self.take_unrecorded(weight) };
        self.core.take_fast(weight)?;
        Some(holders.begin(self.id(), weight, call.place, true))
    }

    /// Records a permit that the state has granted.
    pub(super) fn hold(&self, grant: Grant, call: CallPlace) -> Hold {
        let Grant { weight, measured } = grant;
        match (&self.holders, measured) {
            (Some(holders), None) => holders.begin(self.id(), weight, call.place, false),
            (Some(holders), Some(_)) => holders.begin_listed(grant, call.place),
            (None, Some(key)) => Hold::Measured { weight, key },
            (None, None) => Hold::Unrecorded { weight },
        }
    }

    /// Ends a record with a time.
    pub(super) fn end_timed(&self, record: &Record) {
        if let Some(holders) = &self.holders {
            holders.end_timed(record);
        }
    }

    /// Ends a record on the list; returns the key of what was measured, if the limit adapts.
    pub(super) fn end_listed(&self, key: usize) -> Option<usize> {
        self.holders.as_ref()?.end_listed(key)
    }
}

impl Deref for SharedCore {
    type Target = Core;

    #[inline]
    fn deref(&self) -> &Core {
        &self.core
    }
}

impl Drop for SharedCore {
    fn drop(&mut self) {
        if self.holders.is_some() {
            thread_records::end_all_of(self.id());
        }
    }
}

impl Deref for CoreCell {
    type Target = Core;

    #[inline]
    fn deref(&self) -> &Core {
        &self.shared().core
    }
}

/// Describes the waiters, the first in the queue first.
fn waiters(core: &Core, now: Instant) -> Vec<WaiterEdge> {
    let mut waiters = Vec::new();
    copy_chunks(&mut waiters, core.look(|state| state.queue.len()), |entries, waiters| {
        core.look(|state| {
            let waiting = state.queue.waiters_in(entries);
            waiters.extend(waiting.map(|(turn, waiter)| (turn, waiter.permits, waiter.meta)));
            state.queue.entry_count()
        })
    });
    waiters.sort_unstable_by_key(|(turn, ..)| *turn);
    waiters.into_iter().map(|(_, permits, record)| record.edge(permits, now)).collect()
}

impl Inspect for SharedCore {
    fn inspect(&self, now: Instant) -> Option<Inspected> {
        let mut limiter = InspectedResource::new("concurrency limit", 0);
        (limiter.name, limiter.place) = (self.name.map(Into::into), Some(self.call.place));
        // The waiters first: a permit that comes back meanwhile leaves room, and deadlocks are told of what is full.
        limiter.waiters = waiters(&self.core, now);
        let snapshot = self.core.with(|state, _| state.snapshot());
        (limiter.capacity, limiter.in_use) = (snapshot.limit.into(), snapshot.in_use);
        limiter.notes.extend(
            self.core
                .look(|state| {
                    let waiting = state.drained.iter().map(|waiter| waiter.meta.edge(1, now));
                    waiting.take(SHOWN).collect::<Vec<_>>()
                })
                .iter()
                .map(|WaiterEdge { task, place, waited, .. }| {
                    format!("{task} waits until nothing is in use since {:?}, at {place}", rounded(*waited))
                }),
        );
        let closed = snapshot.closed;
        if closed && limiter.in_use == 0 {
            return None;
        }
        if closed {
            limiter.notes.push("closed".to_owned());
        }
        match &self.holders {
            Some(holders) => (limiter.holders, limiter.usual_hold) = holders.look(self.id(), &self.core, now),
            None if limiter.in_use > 0 => {
                limiter.notes.push("the holders are known of limiters with a name".to_owned());
            }
            None => {}
        }
        Some(Inspected::Resource(limiter))
    }
}
