//! The counts of a run: written where things happen, read by the progress lines and the report.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::Serialize;
use tokio::time::Instant;

use crate::{
    histogram::Histogram,
    store::{Leases, Left, Totals},
    timeline::{Timeline, Trace},
};

/// A document that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    pub(crate) url: String,
    pub(crate) reason: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.url, self.reason)
    }
}

/// What has happened so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Pages that this run has read.
    pub(crate) pages: u64,
    /// What the store has, by what it says itself.
    pub(crate) totals: Totals,
    /// What it had when this run began.
    pub(crate) before: Totals,
    /// Documents that were read or given up: what a client needs that never has to retry.
    pub(crate) documents: u64,
    /// HTTP calls made: every attempt counts.
    pub(crate) calls: u64,
    pub(crate) in_flight: u64,
    pub(crate) retries: BTreeMap<String, u64>,
    /// Retries that the budget did not allow.
    pub(crate) refused: u64,
    /// Calls that had to wait for the rate limit, and for how long in all.
    pub(crate) limiter_waits: u64,
    pub(crate) limiter_time: Duration,
    /// Of the calls that brought a document.
    pub(crate) latencies: Histogram,
    /// How often something had to be stored again.
    pub(crate) store_retries: u64,
    pub(crate) leases: Leases,
    pub(crate) failures: Vec<Failure>,
}

/// The counts, shared. One lock for all is enough: a call takes it a few times, and calls are slow.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    counts: Mutex<Counts>,
    timeline: Option<Mutex<Timeline>>,
}

impl Stats {
    /// With a recording of what happens when.
    pub(crate) fn recording() -> Self {
        Self { counts: Mutex::default(), timeline: Some(Mutex::new(Timeline::start())) }
    }

    /// Reads or changes the counts.
    pub(crate) fn with<R>(&self, read_or_change: impl FnOnce(&mut Counts) -> R) -> R {
        read_or_change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds to the recording, if there is one.
    pub(crate) fn record(&self, add: impl FnOnce(&mut Timeline)) {
        if let Some(timeline) = &self.timeline {
            add(&mut timeline.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    pub(crate) fn timeline(&self) -> Option<Timeline> {
        let timeline = self.timeline.as_ref()?;
        Some(timeline.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Follows a document that is about to be read.
    pub(crate) fn trace(self: &Arc<Self>) -> Trace {
        Trace::new(self.clone())
    }

    /// Lists a failure.
    pub(crate) fn list(&self, failure: Failure) {
        self.with(|counts| counts.failures.push(failure));
    }

    /// An earlier run has left this.
    pub(crate) fn resume(&self, left: &Left) {
        self.with(|counts| {
            counts.before = left.totals;
            counts.totals = left.totals;
            counts.failures.extend_from_slice(&left.failures);
        });
    }

    /// The store says what it has. Answers may come out of order, but it never has less than before.
    pub(crate) fn stored(&self, totals: Totals) {
        let users = self.with(|counts| {
            let before = counts.totals.users;
            counts.totals = counts.totals.max(totals);
            counts.totals.users - before
        });
        self.record(|timeline| {
            let now = timeline.time(Instant::now());
            timeline.columns.at(now).stored += users as f64;
        });
    }
}
