//! The counts of a run: written where things happen, read by the progress lines and the report.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use serde::Serialize;

use crate::histogram::Histogram;

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
    pub(crate) pages: u64,
    /// Users on the pages that were read.
    pub(crate) listed: u64,
    /// Users in the store.
    pub(crate) users: u64,
    /// Orders in the store.
    pub(crate) orders: u64,
    /// Documents that were read or given up: what a client needs that never has to retry.
    pub(crate) documents: u64,
    /// HTTP calls made: every attempt counts.
    pub(crate) calls: u64,
    pub(crate) in_flight: u64,
    pub(crate) retries: BTreeMap<String, u64>,
    /// Of the calls that brought a document.
    pub(crate) latencies: Histogram,
    pub(crate) failures: Vec<Failure>,
}

/// The counts, shared. One lock for all is enough: a call takes it a few times, and calls are slow.
#[derive(Debug, Default)]
pub(crate) struct Stats(Mutex<Counts>);

impl Stats {
    /// Reads or changes the counts.
    pub(crate) fn with<R>(&self, read_or_change: impl FnOnce(&mut Counts) -> R) -> R {
        read_or_change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lists a failure.
    pub(crate) fn list(&self, failure: Failure) {
        self.with(|counts| counts.failures.push(failure));
    }

    /// The document, or none and its failure listed.
    pub(crate) fn or_list<T>(&self, document: Result<T, Failure>) -> Option<T> {
        document.map_err(|failure| self.list(failure)).ok()
    }

    /// A call begins; it ends when the guard is dropped, however that comes.
    pub(crate) fn call(&self) -> InFlight<'_> {
        self.with(|counts| {
            counts.calls += 1;
            counts.in_flight += 1;
        });
        InFlight(self)
    }
}

#[derive(Debug)]
#[must_use = "the call ends when this is dropped"]
pub(crate) struct InFlight<'a>(&'a Stats);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.with(|counts| counts.in_flight -= 1);
    }
}
