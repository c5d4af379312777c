//! The counts of a run: written where things happen, read by the progress lines and the report.

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
    store::{Leases, Left, Totals},
    timeline::{Timeline, Trace},
};

/// A document that could not be read, or a record of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    pub(crate) url: String,
    pub(crate) reason: String,
}

/// The longest text of a failure: links and records of others may have megabytes, and no index takes more than a few
/// kilobytes.
const LONGEST: usize = 1000;

impl Failure {
    /// Both texts are cut to a length that a line and an index can take, and have no control characters: what others
    /// sent is shown on a terminal, too. Of two long URLs each stays itself.
    pub(crate) fn new(url: impl Into<String>, reason: impl Into<String>) -> Self {
        let url: String = url.into();
        let end = if url.len() > LONGEST { format!("...{:016x}", hash(&url)) } else { String::new() };
        Self { url: cut(url) + &end, reason: cut(reason.into()) }
    }
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(LONGEST));
    text.replace(char::is_control, "\u{fffd}")
}

/// The same in every run: FNV-1a.
fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
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
    /// Documents that wait because a limit of the API asked for it.
    pub(crate) paused: u64,
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
    /// The URLs of these: a document of a user who was listed twice is one document.
    pub(crate) failed: HashSet<String>,
}

impl Counts {
    fn list(&mut self, failure: Failure) {
        if self.failed.insert(failure.url.clone()) {
            self.failures.push(failure);
        }
    }
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
        self.with(|counts| counts.list(failure));
    }

    /// An earlier run has left this.
    pub(crate) fn resume(&self, left: &Left) {
        self.with(|counts| {
            counts.before = left.totals;
            counts.totals = left.totals;
            left.failures.iter().for_each(|failure| counts.list(failure.clone()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_others_are_cut_and_cannot_move_the_cursor() {
        let long = "ż".repeat(1 << 20);
        let [one, other] =
            ["1", "2"].map(|end| Failure::new(format!("http://h/{long}{end}"), format!("\x1b[2J{long}")));
        assert!(one.url.len() <= LONGEST + 20 && one.reason.len() <= LONGEST + 2);
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
}
