//! The promises about rows and reports.

use std::collections::BTreeMap;

use harvest::Ended;
use serde_json::Value;

use super::{API, World, account::Account, plan::Fault, site::Document};

impl World {
    /// The rows are those of the API, less the failures that are listed.
    pub(super) fn rows_are_exact(&self) -> Result<(), String> {
        let failures = self.failures()?;
        self.failures_are_due(&failures)?;
        let last_page = failures.keys().find_map(|document| match document {
            Document::Page(number) => Some(*number),
            _ => None,
        });
        let pages = 1..last_page.unwrap_or(self.plan.pages() + 1);
        let ids: Vec<u64> = pages.flat_map(|page| self.site.users_of(page)).collect();
        let users = ids.iter().map(|id| {
            let mut user = self.site.user(*id);
            if failures.contains_key(&Document::Prefs(*id)) {
                (user.4, user.5, user.6) = (None, None, None);
            }
            user
        });
        same("users", &self.database.users(), &users.collect::<Vec<_>>())?;
        let read = ids.iter().filter(|id| !failures.contains_key(&Document::Orders(**id)));
        let mut orders: Vec<_> = read.flat_map(|id| self.site.orders(*id)).collect();
        orders.sort();
        same("orders", &self.database.orders(), &orders)
    }

    /// Returns the failures that are stored, by their documents.
    fn failures(&self) -> Result<BTreeMap<Document, String>, String> {
        let base = format!("http://{API}");
        let failures = self.database.failures().into_iter().map(|(url, reason)| {
            let document = url.strip_prefix(&base).and_then(Document::at);
            document.map(|document| (document, reason)).ok_or_else(|| format!("a failure of {url}"))
        });
        failures.collect()
    }

    /// A failure is of a document that is missing at the API, unless the network or the budget was the reason.
    fn failures_are_due(&self, failures: &BTreeMap<Document, String>) -> Result<(), String> {
        let is_hard = self.faults.iter().any(Fault::is_of_network);
        for (document, reason) in failures {
            let is_due = match self.site.is_missing(*document) {
                true => reason == "404 Not Found",
                false => is_hard || reason.contains("no retry was left in the budget"),
            };
            if !is_due {
                return Err(format!("{document:?} has failed, and should not have: {reason}"));
            }
        }
        Ok(())
    }
}

fn same<T: std::fmt::Debug + PartialEq>(name: &str, found: &[T], expected: &[T]) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    let place = found.iter().zip(expected).position(|(found, expected)| found != expected);
    let place = place.unwrap_or_else(|| found.len().min(expected.len()));
    Err(format!(
        "{} {name} are stored, of {}; the first that is wrong: {:?}, and it should be {:?}",
        found.len(),
        expected.len(),
        found.get(place),
        expected.get(place)
    ))
}

/// The report of a run adds up, and agrees with the calls and the rows.
pub(super) fn report(world: &World, account: &Account, json: &str, ended: Ended) -> Result<(), String> {
    let report: Value = serde_json::from_str(json).map_err(|error| format!("the report: {error}"))?;
    let number = |name: &str| report[name].as_u64().unwrap_or(u64::MAX);
    let equal = |name: &str, expected: u64| match number(name) {
        found if found == expected => Ok(()),
        found => Err(format!("its report has {found} {name}, and there are {expected}")),
    };
    equal("calls", account.calls())?;
    let by_reason = report["retries_by_reason"].as_object().into_iter().flatten();
    equal("retries", by_reason.filter_map(|(_, count)| count.as_u64()).sum())?;
    let (calls, documents, retries) = (number("calls"), number("documents"), number("retries"));
    world.trace.reached_times("retries", retries);
    world.trace.reached_times("calls", calls);
    world.trace.reached_times("retries of transactions", number("store_retries"));
    world.trace.reached_times("retries refused by the budget", number("refused_by_budget"));
    if ended != Ended::Complete {
        return match calls >= documents {
            true => Ok(()),
            false => Err(format!("its report has {calls} calls for {documents} documents")),
        };
    }
    equal("calls", documents + retries)?;
    equal("unfinished", 0)?;
    equal("users", world.database.users().len() as u64)?;
    equal("orders", world.database.orders().len() as u64)?;
    let failures = report["failures"].as_array().map_or(0, Vec::len);
    let stored = world.database.failures().len();
    if failures != stored {
        return Err(format!("its report has {failures} failures, and {stored} are stored"));
    }
    Ok(())
}
