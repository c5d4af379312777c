//! A concurrency limiter in the dumps of evenkeel-inspect.
//!
//! # How it works
//!
//! A limiter can be a `static`, which the registry cannot refer to. So with the feature its core is made at the first use, in an
//! `Arc`. Waiters are in the queue of the state, with their records. A permit leaves no trace in the state, least of all on
//! the fast path; so a limiter with a name has records of its [`Holders`].

use std::{
    ops::Deref,
    sync::{Arc, OnceLock},
    task::{Poll, Waker},
};

use evenkeel_base::rounded;
use evenkeel_inspect::{
    Inspect, Inspected, InspectedResource, Registration, WaiterEdge, copy_chunks, register,
};
use tokio::time::Instant;

use super::{
    adaptive::{Adaptive, Sample},
    core::Core,
    fast_path::FastPath,
    holders::Holders,
    loom::{AtomicU64, Mutex as StateMutex},
    state::{Grant, State},
};
use crate::{
    error::Denied,
    sync::{
        edges::{CallPlace, HoldKey},
        entry::Stage,
        wait_queue::Key,
    },
};

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
    // One of the two is made. The fast path looks at the first alone.
    plain: OnceLock<Arc<SharedCore>>,
    recording: OnceLock<Arc<RecordingCore>>,
}

struct SharedCore {
    core: Core,
    name: Option<&'static str>,
    call: CallPlace,
    _registration: Option<Registration>,
}

/// The core of a limiter with a name.
struct RecordingCore {
    shared: SharedCore,
    holders: Holders,
}

impl CoreCell {
    pub(super) const fn new(limit: u32, adaptive: Option<Adaptive>, call: CallPlace) -> Self {
        Self {
            limit,
            adaptive,
            name: None,
            is_listed: true,
            call,
            plain: OnceLock::new(),
            recording: OnceLock::new(),
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
        waiters(&self.shared().core, now)
    }

    fn shared(&self) -> &SharedCore {
        match self.name {
            Some(_) => &self.recording().shared,
            None => self
                .plain
                .get_or_init(|| Arc::new_cyclic(|limiter| self.make_shared(|| register(limiter.clone())))),
        }
    }

    fn recording(&self) -> &RecordingCore {
        self.recording.get_or_init(|| {
            Arc::new_cyclic(|limiter| RecordingCore {
                shared: self.make_shared(|| register(limiter.clone())),
                holders: Holders::new(),
            })
        })
    }

    fn make_shared(&self, register: impl FnOnce() -> Registration) -> SharedCore {
        let mut state = State::new(self.limit, self.adaptive.clone());
        // A measurement needs more room than a slot has.
        if self.name.is_some() && self.adaptive.is_none() {
            state = state.with_slots();
        }
        let fast_path = FastPath::new(AtomicU64::new(FastPath::closed()));
        SharedCore {
            core: Core::new(fast_path, StateMutex::new(state)),
            name: self.name,
            call: self.call,
            _registration: self.is_listed.then(register),
        }
    }

    /// Returns the core of a limiter that has no name and was used before.
    #[inline]
    pub(super) fn unrecorded(&self) -> Option<&Core> {
        Some(&self.plain.get()?.core)
    }

    /// Takes permits and a slot without the lock, of a limiter that has a name and was used before, and records them there.
    #[inline(always)]
    pub(super) fn take_recorded(&self, weight: u32, call: CallPlace) -> Option<HoldKey> {
        let recording = self.recording.get()?;
        let slot = recording.shared.core.take_with_slot(weight)?;
        recording.holders.begin(slot, weight, call.place);
        Some(HoldKey(slot))
    }

    /// Takes permits now or not at all.
    #[inline]
    pub(super) fn try_take(&self, weight: u32, call: CallPlace) -> Result<Grant, Denied> {
        let fast = self.unrecorded().and_then(|core| core.take_fast(weight));
        fast.map_or_else(|| self.try_take_here(weight, call), Ok)
    }

    #[inline(never)]
    fn try_take_here(&self, weight: u32, call: CallPlace) -> Result<Grant, Denied> {
        match self.take_recorded(weight, call) {
            Some(hold) => Ok(Grant { hold, ..Grant::new(weight, None) }),
            None => self.shared().core.try_take(weight, call).map(|grant| self.record(grant, call)),
        }
    }

    /// Takes permits, or joins the queue and sets the stage.
    #[inline(never)]
    pub(super) fn enter(
        &self,
        weight: u32,
        max_waiters: usize,
        waker: &Waker,
        stage: &mut Stage,
        call: CallPlace,
    ) -> Poll<Result<Grant, Denied>> {
        let shared = self.shared();
        let poll = match shared.core.take_fast(weight) {
            Some(grant) => Poll::Ready(Ok(grant)),
            None => shared.core.enter(weight, max_waiters, waker, stage, call),
        };
        poll.map_ok(|grant| self.record(grant, call))
    }

    /// Returns the decision about a waiter, as [`Core::poll`] does.
    #[inline(never)]
    pub(super) fn poll(
        &self,
        key: Key,
        waker: &Waker,
        stage: &mut Stage,
        call: CallPlace,
    ) -> Poll<Result<Grant, Denied>> {
        self.shared().core.poll(key, waker, stage, call).map_ok(|grant| self.record(grant, call))
    }

    /// Removes a waiter, as [`Core::leave`] does.
    #[inline(never)]
    pub(super) fn leave(&self, key: Key, is_late: bool) {
        self.shared().core.leave(key, is_late);
    }

    /// Puts back the permits of a grant of a limiter without a name that was not measured.
    #[inline]
    pub(super) fn put_back(&self, weight: u32) {
        // There is a core where there is a permit.
        if let Some(shared) = self.plain.get() {
            shared.core.put_back(weight);
        }
    }

    /// Puts back the permits of a grant that has a slot.
    #[inline]
    pub(super) fn put_back_slot(&self, weight: u32, slot: u32) {
        let Some(recording) = self.recording.get() else { return };
        if recording.holders.end(slot) {
            recording.shared.core.put_back_with_slot(weight, slot);
        } else {
            recording.put_back_timed(weight, slot);
        }
    }

    /// Puts back the permits of a grant that is on the list; `sample` makes the report of one that was measured.
    #[inline(never)]
    pub(super) fn put_back_listed(
        &self,
        weight: u32,
        hold: HoldKey,
        sample: impl FnOnce(Instant, u64) -> Option<Sample>,
    ) {
        let RecordingCore { shared: SharedCore { core, .. }, holders } = self.recording();
        match holders.end_listed(hold).and_then(|hold| Some((hold.since, hold.measured?))) {
            Some((started, in_use)) => core.put_back_measured(weight, sample(started, in_use)),
            None => core.put_back(weight),
        }
    }

    /// Records a permit that the state has granted, if the limiter has a name.
    fn record(&self, grant: Grant, call: CallPlace) -> Grant {
        if self.name.is_none() {
            return grant;
        }
        let holders = &self.recording().holders;
        match grant.hold.as_slot() {
            Some(slot) => {
                holders.begin_timed(slot, grant.weight, call.place);
                grant
            }
            None => Grant { hold: holders.begin_listed(grant, call.place), ..grant },
        }
    }
}

impl RecordingCore {
    #[inline(never)]
    fn put_back_timed(&self, weight: u32, slot: u32) {
        self.holders.end_timed(slot);
        self.shared.core.put_back_with_slot(weight, slot);
    }
}

impl Deref for CoreCell {
    type Target = Core;

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
        self.describe(None, now)
    }
}

impl Inspect for RecordingCore {
    fn inspect(&self, now: Instant) -> Option<Inspected> {
        self.shared.describe(Some(&self.holders), now)
    }
}

impl SharedCore {
    fn describe(&self, holders: Option<&Holders>, now: Instant) -> Option<Inspected> {
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
        match holders {
            Some(holders) => (limiter.holders, limiter.usual_hold) = holders.look(&self.core, now),
            None if limiter.in_use > 0 => {
                limiter.notes.push("the holders are known of limiters with a name".to_owned());
            }
            None => {}
        }
        Some(Inspected::Resource(limiter))
    }
}
