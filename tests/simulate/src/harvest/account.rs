//! The calls of one process, seen from outside.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::Instant;

use super::{World, plan::ms, site::Document};
use crate::{Process, checks::lock, note};

/// The attempts of a document, by its policy.
const MOST_ATTEMPTS: u64 = 5;

#[derive(Debug)]
pub(super) struct Account {
    pub(super) world: Arc<World>,
    pub(super) process: Process,
    number: u64,
    /// The documents that the process before was answered and, unless it had stored them, may ask for again.
    before: BTreeSet<Document>,
    /// How many of them it may have lost.
    may_lose: u64,
    /// The passes that had begun before it.
    passes: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The documents that were stored at the first call.
    stored: Option<BTreeSet<Document>>,
    documents: BTreeMap<Document, Calls>,
    in_flight: u64,
    calls: u64,
    /// The times at which calls began.
    begun: Vec<Instant>,
}

/// The calls for one document.
#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    /// Since the last one that was told to wait: such a call is no attempt, and the policy begins again behind it.
    attempts: u64,
    is_answered: bool,
    /// The end of the pause that the API has asked for.
    not_before: Option<Instant>,
}

impl Account {
    pub(super) fn new(
        world: &Arc<World>,
        process: Process,
        number: u64,
        before: BTreeSet<Document>,
        may_lose: u64,
    ) -> Arc<Self> {
        let world = Arc::clone(world);
        let passes = world.database.passes();
        Arc::new(Self { world, process, number, before, may_lose, passes, state: Mutex::default() })
    }

    fn check(&self, holds: bool, promise: impl FnOnce() -> String) {
        self.world.checks.that(holds, || format!("process {}: {}", self.number, promise()));
    }

    /// A call begins.
    pub(super) fn begins(&self, path: &str) -> Option<Document> {
        let World { plan, trace, .. } = &*self.world;
        note!(trace, "process {}: GET {path}", self.number);
        let document = Document::at(path);
        self.check(document.is_some(), || format!("it asks for {path}, which nothing links to"));
        let document = document?;
        let mut state = lock(&self.state);
        let state = &mut *state;
        let stored = state.stored.get_or_insert_with(|| self.first_call());
        self.check(!stored.contains(&document), || format!("{document:?} is stored, and asked for again"));
        let calls = state.documents.entry(document).or_default();
        self.check(!calls.is_answered, || format!("{document:?} was answered, and is asked for again"));
        calls.attempts += 1;
        self.check(calls.attempts <= MOST_ATTEMPTS, || {
            format!("{document:?} gets attempt {} of {MOST_ATTEMPTS}", calls.attempts)
        });
        let early = calls.not_before.map(|until| until.saturating_duration_since(Instant::now()));
        self.check(early.is_none_or(|early| early.is_zero()), || {
            format!("{document:?} is asked for {early:?} before the end of the pause that the API asked for")
        });
        (state.in_flight, state.calls) = (state.in_flight + 1, state.calls + 1);
        self.check(state.in_flight <= plan.concurrency, || {
            format!("{} calls are in flight, of {}", state.in_flight, plan.concurrency)
        });
        state.begun.push(Instant::now());
        Some(document)
    }

    /// Before its first call a process has read what is stored; returns that, and looks at what is lost.
    fn first_call(&self) -> BTreeSet<Document> {
        let stored = self.world.database.stored();
        if self.world.database.passes() > self.passes {
            // The pass before was complete, and all is read once more.
            return stored;
        }
        let lost: Vec<_> = self.before.difference(&stored).collect();
        self.check(lost.len() as u64 <= self.may_lose, || {
            format!(
                "the process before was answered {lost:?}, and has not stored it: more than {}",
                self.may_lose
            )
        });
        self.world.trace.reached_times("calls repeated by the next process", lost.len() as u64);
        stored
    }

    /// A call has got the head of its answer.
    pub(super) fn head(&self, document: Document, status: u16, pause: Option<Duration>) {
        note!(self.world.trace, "process {}: {status} for {document:?}", self.number);
        if let Some(pause) = pause {
            let mut state = lock(&self.state);
            let calls = state.documents.entry(document).or_default();
            calls.not_before = Some(Instant::now() + pause);
            if matches!(status, 429 | 403) {
                calls.attempts = 0;
            }
        }
        if status != 200 {
            self.world.trace.reached("answers that are an error");
        }
    }

    /// A call has got its whole answer.
    pub(super) fn answered(&self, document: Document) {
        lock(&self.state).documents.entry(document).or_default().is_answered = true;
    }

    /// A call has ended in any way.
    pub(super) fn ended(&self) {
        lock(&self.state).in_flight -= 1;
    }

    pub(super) fn calls(&self) -> u64 {
        lock(&self.state).calls
    }

    /// Returns the documents that were answered.
    pub(super) fn all_answered(&self) -> BTreeSet<Document> {
        let state = lock(&self.state);
        state.documents.iter().filter(|(_, calls)| calls.is_answered).map(|(document, _)| *document).collect()
    }

    /// Checks that no more calls have begun in any time than the rate grants.
    pub(super) fn check_rate(&self) {
        let rate = u128::from(self.world.plan.rate);
        if rate == 0 {
            return;
        }
        let begun = &lock(&self.state).begun;
        // A timer is up to a millisecond late, and the call behind it is not.
        let slack = ms(1).as_nanos();
        let Some(first) = begun.first() else { return };
        // The calls up to one, and the time that they need, are furthest apart at the latest start before it.
        let needed = |count: usize| count as u128 * 1_000_000_000 / rate;
        let mut most_ahead: u128 = 0;
        let mut latest = i128::MIN;
        for (index, at) in begun.iter().enumerate() {
            let at = (*at - *first).as_nanos() as i128;
            let slot = at - needed(index) as i128;
            latest = latest.max(slot);
            most_ahead = most_ahead.max((latest - slot) as u128);
        }
        self.check(most_ahead <= slack, || {
            format!("calls began {most_ahead} ns earlier than a rate of {rate} per second grants")
        });
    }
}
