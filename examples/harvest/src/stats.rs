//! The counts of a run, for the progress lines and the report.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::Serialize;
use tokio::time::Instant;

use crate::{
    histogram::Histogram,
    store::{Checkpoint, Leases, State, Totals},
    timeline::{Timeline, Trace, Wait},
};

/// The failure of a document, or of a record in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    pub(crate) url: String,
    pub(crate) reason: String,
}

/// The maximum length of the text of a failure: links and records may have megabytes, and an index takes a few kilobytes.
const MAX_LENGTH: usize = 1000;

impl Failure {
    /// Truncates both texts for a line and an index, and replaces control characters, because they are shown on a
    /// terminal. A hash keeps long URLs distinct.
    pub(crate) fn new(url: impl Into<String>, reason: impl Into<String>) -> Self {
        let url: String = url.into();
        let end = if url.len() > MAX_LENGTH { format!("...{:016x}", hash(&url)) } else { String::new() };
        Self { url: cut(url) + &end, reason: cut(reason.into()) }
    }
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_LENGTH));
    text.replace(char::is_control, "\u{fffd}")
}

/// FNV-1a, which is the same in every run.
fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.url, self.reason)
    }
}

/// The kinds of documents, which are the stages of a run before the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Pages,
    /// The documents of users.
    Documents,
}

/// The documents of one stage.
#[derive(Clone, Debug, Default)]
pub(crate) struct StageCounts {
    /// The documents in each [`Wait`] now.
    pub(crate) waiting: [u64; Wait::ALL.len()],
    /// The time that all documents have spent in each of them.
    pub(crate) time: [Duration; Wait::ALL.len()],
    /// The documents that were read or given up.
    pub(crate) done: u64,
    pub(crate) errors: u64,
    pub(crate) retries: u64,
}

/// The documents in the transactions of the store.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoreCounts {
    pub(crate) in_flight: u64,
    pub(crate) done: u64,
    /// The time that all documents have spent in transactions.
    pub(crate) time: Duration,
}

/// The counts so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// The pages that this run has read.
    pub(crate) pages: u64,
    /// The counts of the store.
    pub(crate) totals: Totals,
    /// Everything is read and stored.
    pub(crate) is_complete: bool,
    /// The counts of the store when this run began.
    pub(crate) before: Totals,
    /// The documents that were read or given up: the number of calls without any retry.
    pub(crate) documents: u64,
    /// The HTTP calls made; every attempt counts.
    pub(crate) calls: u64,
    pub(crate) in_flight: u64,
    /// The documents that wait for a limit of the API.
    pub(crate) paused: u64,
    pub(crate) retries: BTreeMap<String, u64>,
    /// The retries that the budget refused.
    pub(crate) refused: u64,
    /// The calls that waited for the rate limit, and the sum of their waits.
    pub(crate) limiter_waits: u64,
    pub(crate) limiter_time: Duration,
    /// The latencies of successful calls.
    pub(crate) latencies: Histogram,
    /// The counts of each [`Stage`].
    pub(crate) stages: [StageCounts; 2],
    pub(crate) store: StoreCounts,
    /// The retries of entries.
    pub(crate) store_retries: u64,
    pub(crate) leases: Leases,
    pub(crate) failures: Vec<Failure>,
    /// The URLs of the failures, so that the document of a user that was listed twice counts once.
    pub(crate) failed: HashSet<String>,
}

impl Counts {
    fn list(&mut self, failure: Failure) {
        if self.failed.insert(failure.url.clone()) {
            self.failures.push(failure);
        }
    }
}

/// The shared counts. One lock is enough: a call takes it a few times, and calls are slow.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    counts: Mutex<Counts>,
    timeline: Option<Mutex<Timeline>>,
}

impl Stats {
    /// Counts, and records a timeline.
    pub(crate) fn recording() -> Self {
        Self { counts: Mutex::default(), timeline: Some(Mutex::new(Timeline::start())) }
    }

    /// Reads or changes the counts.
    pub(crate) fn with<R>(&self, read_or_change: impl FnOnce(&mut Counts) -> R) -> R {
        read_or_change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds to the timeline, if there is one.
    pub(crate) fn record(&self, add: impl FnOnce(&mut Timeline)) {
        if let Some(timeline) = &self.timeline {
            add(&mut timeline.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    pub(crate) fn timeline(&self) -> Option<Timeline> {
        let timeline = self.timeline.as_ref()?;
        Some(timeline.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Begins to trace a document.
    pub(crate) fn trace(self: &Arc<Self>, stage: Stage) -> Trace {
        Trace::new(self.clone(), stage)
    }

    /// Counts documents as in a transaction, until the guard is dropped.
    pub(crate) fn storing(&self, documents: u64) -> Storing<'_> {
        self.with(|counts| counts.store.in_flight += documents);
        Storing { stats: self, documents, since: Instant::now() }
    }

    /// Records a failure.
    pub(crate) fn list(&self, failure: Failure) {
        self.with(|counts| counts.list(failure));
    }

    /// Takes over the counts and failures of earlier runs.
    pub(crate) fn resume(&self, checkpoint: &Checkpoint) {
        self.with(|counts| {
            counts.before = checkpoint.totals;
            counts.totals = checkpoint.totals;
            checkpoint.failures.iter().for_each(|failure| counts.list(failure.clone()));
        });
    }

    /// Records how far the store has come. States may arrive out of order: counts never decrease, and a pass stays complete.
    pub(crate) fn stored(&self, state: State) {
        let users = self.with(|counts| {
            let before = counts.totals.users;
            counts.totals = counts.totals.max(state.totals);
            counts.is_complete |= state.is_complete;
            counts.totals.users - before
        });
        self.record(|timeline| {
            let now = timeline.time(Instant::now());
            timeline.buckets.at(now).stored += users as f64;
        });
    }
}

/// Documents in a transaction.
#[derive(Debug)]
pub(crate) struct Storing<'a> {
    stats: &'a Stats,
    documents: u64,
    since: Instant,
}

impl Storing<'_> {
    /// Counts them as stored.
    pub(crate) fn done(self) {
        self.stats.with(|counts| counts.store.done += self.documents);
    }
}

impl Drop for Storing<'_> {
    fn drop(&mut self) {
        let time = self.since.elapsed();
        self.stats.with(|counts| {
            counts.store.in_flight -= self.documents;
            counts.store.time += time * self.documents as u32;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_others_are_cut_and_cannot_move_the_cursor() {
        let long = "ż".repeat(1 << 20);
        let [one, other] =
            ["1", "2"].map(|end| Failure::new(format!("http://h/{long}{end}"), format!("\x1b[2J{long}")));
        assert!(one.url.len() <= MAX_LENGTH + 20 && one.reason.len() <= MAX_LENGTH + 2);
        assert_ne!(one.url, other.url);
        assert!(one.reason.starts_with("\u{fffd}[2Jż"), "{}", one.reason);
        let short = Failure::new("http://h/1", "404 Not Found");
        assert_eq!(short.to_string(), "http://h/1: 404 Not Found");
    }

    #[test]
    fn a_failure_is_listed_once() {
        let stats = Stats::default();
        for url in ["http://h/1", "http://h/2", "http://h/1"] {
            stats.list(Failure::new(url, "gone"));
        }
        assert_eq!(stats.with(|counts| counts.failures.len()), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn documents_are_in_a_transaction_until_it_ends_or_is_cut_off() {
        let stats = Stats::default();
        let (stored, cut_off) = (stats.storing(3), stats.storing(2));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(stats.with(|counts| (counts.store.in_flight, counts.store.done)), (5, 0));
        stored.done();
        drop(cut_off);
        let store = stats.with(|counts| counts.store.clone());
        assert_eq!((store.in_flight, store.done, store.time), (0, 3, Duration::from_secs(10)));
    }
}
