//! The numbers of the run.

use std::sync::{Mutex, PoisonError};

/// The numbers of the run, shared by all its parts.
#[derive(Debug, Default)]
pub(crate) struct Stats(Mutex<Counts>);

#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// URLs that were queued in this pass, in earlier runs as well.
    pub(crate) known: i64,
    /// URLs with an outcome in this pass, in earlier runs as well.
    pub(crate) done: i64,
    /// [`done`](Self::done) at the beginning of this run.
    pub(crate) done_before: i64,
    /// The requests of this run, retries and robots.txt included.
    pub(crate) requests: u64,
    pub(crate) in_flight: i64,
    pub(crate) retries: u64,
    /// Pages of this run whose links were read.
    pub(crate) pages: i64,
    /// The links on them.
    pub(crate) links: i64,
    /// Links of this run that are too long to be stored, and are not checked.
    pub(crate) too_long: i64,
    /// URLs of this run that could not be loaded.
    pub(crate) failed: i64,
    /// Pages of this run that had not changed since the last pass.
    pub(crate) unchanged: i64,
    /// Bytes of bodies that were read in this run, decompressed.
    pub(crate) bytes: i64,
    pub(crate) store_retries: u64,
}

impl Stats {
    /// Reads or changes the numbers; `f` must not use the same `Stats`.
    pub(crate) fn with<T>(&self, f: impl FnOnce(&mut Counts) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
