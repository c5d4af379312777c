//! A concurrency limiter in the dumps of evenkeel-inspect.
//!
//! # How it works
//!
//! A limiter can be a `static`, which the registry cannot refer to. So with the feature its core is made at the first use, in an
//! `Arc`. Waiters are in the queue of the state, with their records. A permit leaves no trace in the state, least of all on
//! the fast path; so a limiter with a name has a list of its [`Holders`], behind a lock of its own, which permits enter after
//! they are granted, and leave before they are put back. The weight in use is therefore never less than that of the list, and
//! a permit that is between the two counts as one whose holder is not known.
//!
//! A permit that is returned by another task than that which took it was given away. From then on all permits from that place
//! count so: their holders are not known.

use std::{
    ops::{Deref, Range},
    panic::Location,
    sync::{Arc, Mutex, OnceLock},
    task::{Poll, Waker},
};

use evenkeel_base::{Slab, lock};
use evenkeel_inspect::{
    HolderEdge, Inspect, Inspected, InspectedResource, RecentMedian, Registration, TaskId, WaiterEdge,
    copy_chunks, register,
};
use tokio::time::Instant;

use super::{
    adaptive::{Adaptive, Sample},
    core::Core,
    fast_path::FastPath,
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

/// The most places of which it is known that permits are given away.
const GIVEN: usize = 16;

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
    recording: OnceLock<Arc<SharedCore>>,
}

struct SharedCore {
    core: Core,
    name: Option<&'static str>,
    call: CallPlace,
    // Of a limiter with a name.
    holders: Option<Mutex<Holders>>,
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
        let made = if self.name.is_some() { &self.recording } else { &self.plain };
        made.get_or_init(|| {
            let state = State::new(self.limit, self.adaptive.clone());
            let fast_path = FastPath::new(AtomicU64::new(FastPath::closed()));
            Arc::new_cyclic(|limiter| SharedCore {
                core: Core::new(fast_path, StateMutex::new(state)),
                name: self.name,
                call: self.call,
                holders: self.name.map(|_| Mutex::default()),
                _registration: self.is_listed.then(|| register(limiter.clone())),
            })
        })
    }

    /// Takes permits without the lock, of a limiter that has no name and was used before.
    #[inline]
    pub(super) fn take_fast(&self, weight: u32) -> Option<Grant> {
        self.plain.get()?.core.take_fast(weight)
    }

    /// Takes permits now or not at all.
    #[inline]
    pub(super) fn try_take(&self, weight: u32, call: CallPlace) -> Result<Grant, Denied> {
        self.take_fast(weight).map_or_else(|| self.try_take_here(weight, call), Ok)
    }

    #[inline(never)]
    fn try_take_here(&self, weight: u32, call: CallPlace) -> Result<Grant, Denied> {
        let shared = self.shared();
        shared.core.try_take(weight, call).map(|grant| shared.record(grant, call))
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
        poll.map_ok(|grant| shared.record(grant, call))
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
        let shared = self.shared();
        shared.core.poll(key, waker, stage, call).map_ok(|grant| shared.record(grant, call))
    }

    /// Removes a waiter, as [`Core::leave`] does.
    #[inline(never)]
    pub(super) fn leave(&self, key: Key, is_late: bool) {
        self.shared().core.leave(key, is_late);
    }

    /// Puts back the permits of a grant that was not measured, and has no record.
    #[inline]
    pub(super) fn put_back(&self, weight: u32) {
        // There is a core where there is a permit.
        if let Some(shared) = self.plain.get() {
            shared.core.put_back(weight);
        }
    }

    /// Puts back the permits of a grant that has a record; `sample` makes the report of one that was measured.
    pub(super) fn put_back_recorded(
        &self,
        weight: u32,
        hold: HoldKey,
        sample: impl FnOnce(Instant, u64) -> Option<Sample>,
    ) {
        let (shared, task) = (self.shared(), TaskId::current());
        let ended = shared.holders.as_ref().and_then(|holders| lock(holders).end(hold.0 as usize, task));
        match ended.and_then(|hold| Some((hold.since, hold.measured?))) {
            Some((started, in_use)) => shared.core.put_back_measured(weight, sample(started, in_use)),
            None => shared.core.put_back(weight),
        }
    }

    /// Puts back the permits of one that was forgotten, of which nothing but the weight is known.
    pub(super) fn put_back_forgotten(&self, weight: u32) {
        let shared = self.shared();
        if let Some(holders) = &shared.holders {
            lock(holders).end_forgotten(weight);
        }
        shared.core.put_back(weight);
    }
}

impl Deref for CoreCell {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.shared().core
    }
}

impl SharedCore {
    /// Records a permit, if the limiter has a name.
    fn record(&self, grant: Grant, call: CallPlace) -> Grant {
        let Some(holders) = &self.holders else { return grant };
        let (task, since) = (TaskId::current(), Instant::now());
        let Grant { weight, measured, .. } = grant;
        let key = lock(holders).begin(Hold { number: 0, task, since, weight, measured, place: call.place });
        // More than that many permits are not told apart from those without a record.
        Grant { hold: u32::try_from(key).map_or(HoldKey::NONE, HoldKey), ..grant }
    }
}

/// The permits of a limiter with a name.
#[derive(Debug, Default)]
struct Holders {
    holds: Slab<Hold>,
    numbers: u64,
    // The times of permits that were returned.
    times: RecentMedian,
    // Places whose permits were given to other tasks.
    given: Vec<&'static Location<'static>>,
}

#[derive(Debug)]
struct Hold {
    number: u64,
    task: TaskId,
    since: Instant,
    weight: u32,
    /// The weight in use at the grant, if the limit adapts.
    measured: Option<u64>,
    place: &'static Location<'static>,
}

impl Holders {
    fn begin(&mut self, hold: Hold) -> usize {
        self.numbers += 1;
        self.holds.insert(Hold { number: self.numbers, ..hold })
    }

    fn end(&mut self, key: usize, task: TaskId) -> Option<Hold> {
        let hold = self.end_hold(key)?;
        if hold.task != task && self.given.len() < GIVEN && !self.given.contains(&hold.place) {
            self.given.push(hold.place);
        }
        Some(hold)
    }

    fn end_hold(&mut self, key: usize) -> Option<Hold> {
        let hold = self.holds.remove(key)?;
        if self.times.wants(hold.number) {
            self.times.record(hold.since.elapsed());
        }
        Some(hold)
    }

    fn end_forgotten(&mut self, weight: u32) {
        let alike = self.holds.iter_keyed().filter(|(_, hold)| hold.weight == weight);
        if let Some((key, _)) = alike.min_by_key(|(_, hold)| hold.number) {
            self.end_hold(key);
        }
    }

    fn edges(&self, holds: Range<usize>, now: Instant) -> impl Iterator<Item = HolderEdge> {
        let edge = move |hold: &Hold| {
            let task = Some(hold.task).filter(|_| !self.given.contains(&hold.place));
            let held_for = now.saturating_duration_since(hold.since);
            let mut edge = HolderEdge::new(hold.number, task, hold.place, held_for);
            edge.amount = hold.weight.into();
            edge
        };
        self.holds.values_in(holds).map(edge)
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
        let closed = snapshot.closed;
        if closed && limiter.in_use == 0 {
            return None;
        }
        if closed {
            limiter.notes.push("closed".to_owned());
        }
        match &self.holders {
            Some(holders) => {
                let expected = lock(holders).holds.len();
                copy_chunks(&mut limiter.holders, expected, |holds, edges| {
                    let holders = lock(holders);
                    edges.extend(holders.edges(holds, now));
                    holders.holds.entry_count()
                });
                limiter.usual_hold = lock(holders).times.median();
            }
            None if limiter.in_use > 0 => {
                limiter.notes.push("the holders are known of limiters with a name".to_owned());
            }
            None => {}
        }
        limiter.holders.sort_unstable_by_key(|holder| holder.number);
        Some(Inspected::Resource(limiter))
    }
}
