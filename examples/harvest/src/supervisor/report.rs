//! The report on all workers of a harvest: a table for people, JSON for programs.

use std::fmt;

use comfy_table::{Table, presets};
use serde::Serialize;

use super::{exact::Comparison, member::Member};
use crate::{
    board::WorkerState,
    report::{Ended, FAILURES_SHOWN, how_to_go_on},
    server::Traffic,
    stats::Failure,
    store::Totals,
    workers::Sums,
};

/// The figures of a harvest by several workers; the fields are the names in the JSON.
#[derive(Debug, Serialize)]
pub(crate) struct TeamReport {
    pub(crate) ended: Ended,
    #[serde(flatten)]
    pub(crate) totals: Totals,
    /// The users that were on a page and are not stored.
    pub(crate) unfinished: u64,
    /// The store stays, so that another run can go on.
    #[serde(skip)]
    pub(crate) goes_on: bool,
    pub(crate) failures: Vec<Failure>,
    pub(super) workers: Vec<Member>,
    /// The sums over all workers.
    pub(crate) sums: Sums,
    /// The workers that died, or were killed, and those that were started in their places.
    pub(crate) died: usize,
    pub(crate) started_again: usize,
    pub(crate) seconds: f64,
    /// The calls that the embedded API has got.
    pub(crate) traffic: Option<Traffic>,
    /// Calls per second, for all workers together.
    pub(crate) rate: Option<u32>,
    /// The rows in the store, compared with the embedded API.
    pub(crate) rows: Option<Comparison>,
    pub(crate) store: String,
    pub(crate) queue: String,
}

impl TeamReport {
    pub(crate) fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers, texts and lists of them are JSON")
    }

    fn workers(&self) -> Table {
        let mut table = Table::new();
        table.load_preset(presets::UTF8_FULL_CONDENSED);
        table.set_header(["worker", "users", "calls", "retries", "failures", "dead letters", "at the end"]);
        for member in &self.workers {
            let none = WorkerState::default();
            let state = member.state.as_ref().unwrap_or(&none);
            let numbers = [state.users, state.calls, state.retries, state.failures, state.dead_letters];
            let row = [format!("{} ({})", member.name, member.pid)].into_iter();
            table.add_row(
                row.chain(numbers.map(|number| number.to_string())).chain([member.condition.clone()]),
            );
        }
        let Sums { users, calls, retries, failures, dead_letters, .. } = &self.sums;
        let sums = [users, calls, retries, failures, dead_letters].map(u64::to_string);
        let note = if self.died > 0 { "without the last second of the dead" } else { "" };
        table.add_row(["together".to_owned()].into_iter().chain(sums).chain([note.to_owned()]));
        table
    }

    fn figures(&self) -> Table {
        let mut table = Table::new();
        table.load_preset(presets::UTF8_FULL_CONDENSED);
        let mut row = |name: &str, value: String| {
            table.add_row([name.to_owned(), value]);
        };
        row("users", self.totals.users.to_string());
        row("orders", self.totals.orders.to_string());
        if self.ended != Ended::Complete {
            let pages = self.totals.pages;
            row("not finished", format!("{} users of the {pages} pages read", self.unfinished));
            row("to go on", how_to_go_on(self.goes_on).to_owned());
        }
        row("failures", self.failures.len().to_string());
        row("workers that died", format!("{}, {} started in their places", self.died, self.started_again));
        if let Some(traffic) = &self.traffic {
            let allowed = self.rate.map(|rate| format!(" (--rate {rate})")).unwrap_or_default();
            row("the API got", format!("{traffic}{allowed}"));
        }
        if let Some(rows) = &self.rows {
            row("rows", rows.to_string());
        }
        row("time", format!("{:.2} s", self.seconds));
        row("queue", self.queue.clone());
        row("store", self.store.clone());
        table
    }
}

impl fmt::Display for TeamReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.workers(), self.figures())?;
        for failure in self.failures.iter().take(FAILURES_SHOWN) {
            write!(f, "\nfailed: {failure}")?;
        }
        match self.failures.len().saturating_sub(FAILURES_SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n... and {more} more failures"),
        }
    }
}
