//! The counts of a run: written where things happen, read by the progress lines and the report.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use serde::Serialize;

use crate::histogram::Histogram;

/// A document that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    pub(crate) url: String,
    pub(crate) reason: String,
}

/// What has happened so far.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    pages: AtomicU64,
    listed: AtomicU64,
    users: AtomicU64,
    orders: AtomicU64,
    documents: AtomicU64,
    calls: AtomicU64,
    in_flight: AtomicU64,
    details: Mutex<Details>,
}

/// What is more than a number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Details {
    pub(crate) retries: BTreeMap<String, u64>,
    pub(crate) latencies: Histogram,
    pub(crate) failures: Vec<Failure>,
}

impl Stats {
    /// A page was read that lists this many users.
    pub(crate) fn page(&self, users: usize) {
        self.pages.fetch_add(1, Relaxed);
        self.listed.fetch_add(users as u64, Relaxed);
    }

    /// A batch is in the store.
    pub(crate) fn stored(&self, users: u64, orders: u64) {
        self.users.fetch_add(users, Relaxed);
        self.orders.fetch_add(orders, Relaxed);
    }

    /// A document was read, or given up.
    pub(crate) fn document(&self) {
        self.documents.fetch_add(1, Relaxed);
    }

    /// A call begins; it ends when the guard is dropped, also by a timeout.
    pub(crate) fn call(&self) -> InFlight<'_> {
        self.calls.fetch_add(1, Relaxed);
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(&self.in_flight)
    }
}
