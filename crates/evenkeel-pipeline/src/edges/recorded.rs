//! The records of stages and sources.
//!
//! An item that ends at the first poll of its function leaves none. One that is pending then has a [`Hold`] until it ends, for
//! which the clock is read anyway; so it is for waits for the limit.

use std::{
    mem,
    panic::Location,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel_base::{error_chain, lock};
use evenkeel_inspect::{HoldKey, Holds, Outage, TaskId, WaiterEdge};
use tokio::time::Instant;

use super::Caller;
use crate::{SourceError, race::PATIENCE};

/// The place of a call of the builder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallPlace(pub(crate) &'static Location<'static>);

impl CallPlace {
    /// Returns the place of the caller of the function that calls this.
    #[track_caller]
    pub(crate) const fn here() -> Self {
        Self(Location::caller())
    }
}

/// An instant that is read for dumps only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DumpInstant(pub(crate) Instant);

impl DumpInstant {
    pub(crate) fn now() -> Self {
        Self(Instant::now())
    }
}

/// The records of a stage.
#[derive(Debug)]
pub(crate) struct StageEdges {
    pub(crate) call: CallPlace,
    /// The kind of stage, in words.
    pub(crate) kind: &'static str,
    /// The items that are pending, and the waits for the limit.
    pub(crate) holds: Holds,
    is_failing: AtomicBool,
    failures: Mutex<Failures>,
}

impl StageEdges {
    pub(crate) fn new(call: CallPlace, kind: &'static str) -> Self {
        let (is_failing, failures) = (AtomicBool::new(false), Mutex::default());
        Self { call, kind, holds: Holds::new(), is_failing, failures }
    }

    /// Notes that an item waits for the limit.
    pub(crate) fn begin_wait(&self, since: Instant) {
        self.holds.begin_wait(since);
    }

    /// Notes the end of such a wait.
    pub(crate) fn end_wait(&self) {
        self.holds.end_wait();
    }

    /// Notes that an item has ended at its first poll.
    #[inline]
    pub(crate) fn end_at_once(&self) {
        self.holds.end_at_once();
    }

    /// Notes that all items of a batch have failed.
    pub(crate) fn batch_failed(&self, reason: &str) {
        let (now, reason) = (Instant::now(), reason.to_owned());
        let before = lock(&self.failures).add(now, reason);
        self.is_failing.store(true, Relaxed);
        drop(before);
    }

    /// Notes that items of a batch are done.
    pub(crate) fn batch_done(&self) {
        if self.is_failing.swap(false, Relaxed) {
            let before = mem::take(&mut *lock(&self.failures));
            drop(before);
        }
    }

    pub(crate) fn outage(&self, now: Instant) -> Option<Outage> {
        lock(&self.failures).outage(now)
    }
}

/// The record of an item that is pending in a stage.
#[derive(Debug)]
pub(crate) struct Hold<'a>(Option<(&'a StageEdges, HoldKey)>);

impl<'a> Hold<'a> {
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    /// Records that the item of this task is pending since then.
    pub(crate) fn begin(&mut self, stage: &'a StageEdges, since: Instant) {
        self.0 = Some((stage, stage.holds.begin(since)));
    }

    /// Ends the record, if there is one.
    pub(crate) fn end(&mut self, now: Instant) {
        if let Some((stage, key)) = self.0.take() {
            stage.holds.end(key, now);
        }
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        // Work that was dropped before it ended has left as well.
        if self.0.is_some() {
            self.end(Instant::now());
        }
    }
}

/// The records of a source.
#[derive(Clone, Debug)]
pub(crate) struct SourceEdges {
    pub(crate) call: CallPlace,
    state: Arc<Mutex<SourceState>>,
}

#[derive(Debug, Default)]
struct SourceState {
    numbers: u64,
    calls: [Option<CallRecord>; 4],
    failures: [Failures; 4],
}

#[derive(Clone, Copy, Debug)]
struct CallRecord {
    number: u64,
    task: TaskId,
    since: Instant,
    amount: u64,
    label: &'static str,
    until: Option<Instant>,
}

/// A call or a pause under way; it ends with its drop.
#[derive(Debug)]
pub(crate) struct Calling<'a> {
    source: &'a SourceEdges,
    caller: Caller,
}

impl Calling<'_> {
    pub(crate) fn end(self) {}
}

impl Drop for Calling<'_> {
    fn drop(&mut self) {
        lock(&self.source.state).calls[self.caller as usize] = None;
    }
}

impl SourceEdges {
    pub(crate) fn new(call: CallPlace) -> Self {
        Self { call, state: Arc::default() }
    }

    /// Records that this task waits for something, in words, and for how many of it.
    pub(crate) fn call(&self, caller: Caller, label: &'static str, amount: usize) -> Calling<'_> {
        self.begin(caller, label, amount as u64, None)
    }

    /// Records that this task pauses until then.
    pub(crate) fn pause(&self, caller: Caller, until: Instant) -> Calling<'_> {
        self.begin(caller, "the next attempt", 1, Some(until))
    }

    fn begin(&self, caller: Caller, label: &'static str, amount: u64, until: Option<Instant>) -> Calling<'_> {
        let (task, since) = (TaskId::current(), Instant::now());
        {
            let mut state = lock(&self.state);
            state.numbers += 1;
            let number = state.numbers;
            state.calls[caller as usize] = Some(CallRecord { number, task, since, amount, label, until });
        }
        Calling { source: self, caller }
    }

    /// Notes that a call has failed, and may succeed later.
    pub(crate) fn failed(&self, caller: Caller, error: &SourceError) {
        let (now, text) = (Instant::now(), error_chain(error));
        let before = lock(&self.state).failures[caller as usize].add(now, text);
        drop(before);
    }

    /// Notes that a call has succeeded.
    pub(crate) fn done(&self, caller: Caller) {
        let before = mem::take(&mut lock(&self.state).failures[caller as usize]);
        drop(before);
    }

    /// Returns the wait of a task, if it waits.
    pub(crate) fn waiter(&self, caller: Caller, now: Instant) -> Option<WaiterEdge> {
        let record = lock(&self.state).calls[caller as usize]?;
        let waited = now.saturating_duration_since(record.since);
        let mut edge = WaiterEdge::new(record.number, record.task, self.call.0, waited);
        (edge.amount, edge.until) = (record.amount, record.until);
        edge.label = Some(record.label.to_owned());
        Some(edge)
    }

    /// Returns the outage that the calls have met.
    ///
    /// A pull returns when there are items. So one that has not failed for long counts as answered.
    pub(crate) fn outage(&self, callers: &[Caller], now: Instant) -> Option<Outage> {
        let state = lock(&self.state);
        let is_over = |caller: Caller| {
            let call =
                state.calls[caller as usize].filter(|call| caller == Caller::Pull && call.until.is_none());
            call.is_some_and(|call| now.saturating_duration_since(call.since) > PATIENCE)
        };
        let failing = callers.iter().filter(|caller| !is_over(**caller));
        let outages = failing.filter_map(|caller| state.failures[*caller as usize].outage(now));
        outages.max_by_key(|outage| outage.lasted)
    }
}

/// Failures after which nothing has succeeded.
#[derive(Debug, Default)]
struct Failures {
    since: Option<Instant>,
    number: u32,
    last: Option<(Instant, String)>,
}

/// The time after which a failure says nothing of now, if nothing was tried since: items that have failed come again sooner.
const STALE: Duration = Duration::from_secs(600);

impl Failures {
    /// Adds one; returns the one before.
    fn add(&mut self, now: Instant, text: String) -> impl Sized + use<> {
        self.since.get_or_insert(now);
        self.number = self.number.saturating_add(1);
        self.last.replace((now, text))
    }

    /// Describes the outage; a single failure is none.
    fn outage(&self, now: Instant) -> Option<Outage> {
        let since = self.since.filter(|_| self.number > 1)?;
        let (last_at, reason) = self.last.as_ref()?;
        let is_known = now.saturating_duration_since(*last_at) < STALE;
        is_known.then(|| Outage::new(now.saturating_duration_since(since), reason.clone()))
    }
}
