//! The report of a run: a table for people, JSON for programs.

use std::{collections::BTreeMap, fmt, time::Duration};

use comfy_table::{Table, presets};
use serde::Serialize;

use crate::{
    board::Workers,
    lower_bound::Job,
    stats::{Counts, Failure},
    store::Leases,
};

/// The number of failures listed below the table; the JSON has all of them.
pub(crate) const FAILURES_SHOWN: usize = 20;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Ended {
    /// Everything was read and stored, also where a stop came when the last of it was in flight.
    Complete,
    /// The run was asked to stop, and finished the work in flight; some is left.
    Drained,
    /// The run was stopped in the middle.
    Aborted,
}

/// The figures of a run; the fields are the names in the JSON. If the run continued an earlier one, users, orders, pages
/// and failures are those of both; calls and times are its own.
#[derive(Debug, Serialize)]
pub struct Report {
    pub(crate) ended: Ended,
    pub(crate) users: u64,
    pub(crate) orders: u64,
    pub(crate) pages: u64,
    /// The users that an earlier run had stored.
    pub(crate) users_before: u64,
    /// The users that were on a page and are not stored, because the run ended before.
    pub(crate) unfinished: u64,
    pub(crate) failures: Vec<Failure>,
    /// The documents that were read or given up.
    pub(crate) documents: u64,
    pub(crate) calls: u64,
    pub(crate) retries: u64,
    pub(crate) retries_by_reason: BTreeMap<String, u64>,
    pub(crate) refused_by_budget: u64,
    pub(crate) limiter_waits: u64,
    pub(crate) limiter_wait_seconds: f64,
    pub(crate) store_retries: u64,
    /// The connections to the store at the moment when most of them were leased.
    pub(crate) leases: Leases,
    pub(crate) p50_seconds: f64,
    pub(crate) p99_seconds: f64,
    pub(crate) max_seconds: f64,
    pub(crate) seconds: f64,
    /// The time of the optimal schedule for the same documents.
    pub(crate) floor_seconds: f64,
    pub(crate) one_by_one_seconds: f64,
    pub(crate) peak_rss_bytes: Option<u64>,
    pub(crate) store: String,
    /// The store stays, so that another run can go on.
    #[serde(skip)]
    pub(crate) goes_on: bool,
    /// All processes at this harvest, with a queue: users, orders, pages and failures are those of all, calls and times those
    /// of this one.
    #[serde(flatten)]
    pub(crate) workers: Option<Workers>,
}

impl Report {
    pub(crate) fn new(ended: Ended, counts: Counts, took: Duration, job: &Job, store: String) -> Self {
        let Counts { totals, latencies, .. } = counts;
        Self {
            ended,
            users: totals.users,
            orders: totals.orders,
            pages: totals.pages,
            users_before: counts.before.users,
            unfinished: totals.listed.saturating_sub(totals.users),
            failures: counts.failures,
            documents: counts.documents,
            calls: counts.calls,
            retries: counts.retries.values().sum(),
            retries_by_reason: counts.retries,
            refused_by_budget: counts.refused,
            limiter_waits: counts.limiter_waits,
            limiter_wait_seconds: counts.limiter_time.as_secs_f64(),
            store_retries: counts.store_retries,
            leases: counts.leases,
            p50_seconds: latencies.percentile(0.5).as_secs_f64(),
            p99_seconds: latencies.percentile(0.99).as_secs_f64(),
            max_seconds: latencies.max().as_secs_f64(),
            seconds: took.as_secs_f64(),
            floor_seconds: job.lower_bound().as_secs_f64(),
            one_by_one_seconds: job.one_by_one().as_secs_f64(),
            peak_rss_bytes: crate::process::peak_rss(),
            store,
            goes_on: true,
            workers: None,
        }
    }

    /// Returns the figures by their names, as `--json` writes them.
    ///
    /// # Panics
    ///
    /// Never: numbers, texts and lists of them are JSON.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers, texts and lists of them are JSON")
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_preset(presets::UTF8_FULL_CONDENSED);
        let mut row = |name: &str, value: String| {
            table.add_row([name.to_owned(), value]);
        };
        row("users", self.users.to_string());
        row("orders", self.orders.to_string());
        if self.users_before > 0 {
            row(
                "stored before",
                format!("{} of the users, by a run that was not finished", self.users_before),
            );
        }
        if self.ended != Ended::Complete {
            row("not finished", format!("{} users of the {} pages read", self.unfinished, self.pages));
            row("to go on", how_to_go_on(self.goes_on).to_owned());
        }
        row("failures", self.failures.len().to_string());
        let of_this_one = if self.workers.is_some() { " of this process" } else { "" };
        row(&format!("calls{of_this_one}"), self.calls.to_string());
        row(&format!("retries{of_this_one}"), self.retries_in_words());
        row("refused by budget", format!("{} retries", self.refused_by_budget));
        let waited = format!("{} calls, {:.1} s in all", self.limiter_waits, self.limiter_wait_seconds);
        row("rate limit waited for", waited);
        row("retries to store", self.store_retries.to_string());
        row("pool at the worst", self.leases_in_words());
        let [p50, p99, max] = [self.p50_seconds, self.p99_seconds, self.max_seconds].map(milliseconds);
        row("latency", format!("p50 {p50}, p99 {p99}, max {max}"));
        row("time", format!("{:.2} s", self.seconds));
        row("at best", format!("{:.2} s", self.floor_seconds));
        row("one by one", format!("{:.1} s", self.one_by_one_seconds));
        if let Some(bytes) = self.peak_rss_bytes {
            row("peak memory", format!("{:.1} MB", bytes as f64 / 1e6));
        }
        row("store", self.store.clone());
        table
    }

    /// Returns the number of leases, and a line for each holder.
    pub(crate) fn leases_in_words(&self) -> String {
        let Leases { max, waiting, holders } = &self.leases;
        let lines: String = holders.iter().map(|holder| format!("\n{holder}")).collect();
        format!("{} of {max} leased, {waiting} waiting{lines}", holders.len())
    }

    /// Returns the number of retries, and a line for each reason.
    fn retries_in_words(&self) -> String {
        let reasons =
            self.retries_by_reason.iter().map(|(reason, number)| format!("\n{number} for {reason}"));
        format!("{}{}", self.retries, reasons.collect::<String>())
    }
}

pub(crate) fn milliseconds(seconds: f64) -> String {
    format!("{:.0} ms", seconds * 1e3)
}

/// The words about the rest of a run.
pub(crate) const fn how_to_go_on(store_stays: bool) -> &'static str {
    if store_stays {
        "the same command again begins where this run ended"
    } else {
        "not possible: the store was temporary"
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.table())?;
        if let Some(workers) = &self.workers {
            write!(f, "\n{workers}")?;
        }
        for failure in self.failures.iter().take(FAILURES_SHOWN) {
            write!(f, "\nfailed: {failure}")?;
        }
        match self.failures.len().saturating_sub(FAILURES_SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n... and {more} more failures"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Totals;

    fn report(failures: usize) -> Report {
        let failure = |n| Failure { url: format!("http://h/{n}"), reason: "404 Not Found".into() };
        let counts = Counts {
            totals: Totals { pages: 1, listed: 7, users: 5, orders: 9 },
            failures: (0..failures).map(failure).collect(),
            ..Counts::default()
        };
        let latency = Duration::from_millis(200);
        let job = Job { documents: 11, pages: 1, latency, concurrency: 10, rate: None };
        Report::new(Ended::Drained, counts, Duration::from_millis(450), &job, "sqlite:x".into())
    }

    #[test]
    fn users_that_were_listed_and_not_stored_are_unfinished() {
        assert_eq!(report(0).unfinished, 2);
    }

    #[test]
    fn the_first_failures_are_shown_and_the_others_counted() {
        let text = report(23).to_string();
        assert_eq!(text.matches("failed: ").count(), 20);
        assert!(text.contains("failed: http://h/19: 404 Not Found\n... and 3 more failures"), "{text}");
        assert!(!report(20).to_string().contains("more failures"));
    }

    #[test]
    fn the_holders_of_leases_are_told() {
        let mut report = report(0);
        report.leases =
            Leases { max: 2, waiting: 1, holders: vec!["a.rs:1 for 2ms".into(), "b.rs:7 for 1ms".into()] };
        assert_eq!(report.leases_in_words(), "2 of 2 leased, 1 waiting\na.rs:1 for 2ms\nb.rs:7 for 1ms");
    }

    #[test]
    fn retries_are_told_by_reason() {
        let mut report = report(0);
        assert_eq!(report.retries_in_words(), "0");
        report.retries = 5;
        report.retries_by_reason = [("timed out".into(), 2), ("429 Too Many Requests".into(), 3)].into();
        assert_eq!(report.retries_in_words(), "5\n3 for 429 Too Many Requests\n2 for timed out");
    }

    #[test]
    fn the_json_has_the_promised_names() {
        let json: serde_json::Value = serde_json::from_str(&report(1).json()).unwrap();
        let names = ["users", "orders", "failures", "calls", "retries", "seconds", "floor_seconds", "store"];
        let more = ["peak_rss_bytes", "ended", "one_by_one_seconds", "refused_by_budget", "limiter_waits"];
        for name in names.into_iter().chain(more).chain(["limiter_wait_seconds", "leases", "users_before"]) {
            assert!(json.get(name).is_some(), "{name}");
        }
        assert_eq!(json["failures"][0]["url"], "http://h/0");
        assert_eq!(json["failures"][0]["reason"], "404 Not Found");
        assert_eq!(json["ended"], "drained");
    }
}
