//! The promises about rows and reports.

use std::collections::BTreeMap;

use harvest::Ended;
use serde_json::Value;

use super::{
    API, World,
    account::Account,
    plan::Fault,
    site::{Document, OrderRow, UserRow},
    tables::Rows,
};

/// The rows that a pass leaves behind, and how many of them are its own.
struct Expected {
    rows: Rows,
    pages: u64,
    users: u64,
    orders: u64,
}

impl World {
    /// The rows are those of the API. Those that could not be read in this pass are as they were.
    pub(super) fn rows_are_exact(&self) -> Result<(), String> {
        let (expected, found) = (self.expected()?, self.database.rows());
        same("users", &found.users, &expected.rows.users)?;
        same("orders", &found.orders, &expected.rows.orders)
    }

    fn expected(&self) -> Result<Expected, String> {
        let failures = self.failures()?;
        let last_page = failures.keys().find_map(|document| match document {
            Document::Page(number) => Some(*number),
            _ => None,
        });
        let pages = last_page.map_or(self.plan.pages(), |failed| failed - 1);
        let ids: Vec<u64> = (1..=pages).flat_map(|page| self.site.users_of(page)).collect();
        self.failures_are_due(&failures, &ids)?;

        let Rows { users, orders } = self.database.rows_before();
        let mut users: BTreeMap<i64, UserRow> = users.into_iter().map(|user| (user.0, user)).collect();
        let mut orders: BTreeMap<i64, OrderRow> = orders.into_iter().map(|order| (order.0, order)).collect();
        let mut orders_read = 0;
        for id in &ids {
            let mut user = self.site.user(*id);
            if failures.contains_key(&Document::Prefs(*id)) {
                let before = users.get(&user.0).cloned();
                (user.4, user.5, user.6) = before.map_or((None, None, None), |user| (user.4, user.5, user.6));
            }
            users.insert(user.0, user);
            if !failures.contains_key(&Document::Orders(*id)) {
                let read: Vec<OrderRow> = self.site.orders(*id).collect();
                orders_read += read.len() as u64;
                orders.extend(read.into_iter().map(|order| (order.0, order)));
            }
        }
        let rows = Rows { users: users.into_values().collect(), orders: orders.into_values().collect() };
        Ok(Expected { rows, pages, users: ids.len() as u64, orders: orders_read })
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

    /// A document that is missing at the API fails, and no other one does, unless the network or the budget was the reason.
    fn failures_are_due(&self, failures: &BTreeMap<Document, String>, ids: &[u64]) -> Result<(), String> {
        let is_hard = self.faults.iter().any(Fault::is_of_network);
        for (document, reason) in failures {
            let is_due = match reason == "404 Not Found" {
                true => self.site.is_missing(*document),
                false => is_hard || reason.contains("no retry was left in the budget"),
            };
            if !is_due {
                return Err(format!("{document:?} has failed, and should not have: {reason}"));
            }
        }
        let documents = ids.iter().flat_map(|id| [Document::Orders(*id), Document::Prefs(*id)]);
        match documents
            .into_iter()
            .find(|document| self.site.is_missing(*document) && !failures.contains_key(document))
        {
            Some(document) => Err(format!("{document:?} is missing at the API, and has not failed")),
            None => Ok(()),
        }
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
    if calls < documents {
        return Err(format!("its report has {calls} calls for {documents} documents"));
    }
    match world.database.pass() {
        // A stop was there before the store was locked.
        _ if ended == Ended::Drained && (calls, number("pages")) == (0, 0) => Ok(()),
        // The last transaction may not have ended.
        _ if ended == Ended::Aborted
            && (world.database.is_busy() || world.faults.iter().any(Fault::is_of_store)) =>
        {
            Ok(())
        }
        None => Err("there is no pass".to_owned()),
        Some(pass) => {
            equal("pages", pass.pages)?;
            equal("users", pass.users)?;
            equal("orders", pass.orders)?;
            equal("unfinished", pass.listed - pass.users)?;
            if pass.is_complete != (ended == Ended::Complete) {
                return Err(format!(
                    "its report says that it is {ended:?}, and the store that all is done: {}",
                    pass.is_complete
                ));
            }
            let failures = report["failures"].as_array().map_or(0, Vec::len);
            let stored = world.database.failures().len();
            // A run that was cut off also has failures that it has not stored: the next one tries these documents again.
            if failures < stored || failures > stored && ended != Ended::Aborted {
                return Err(format!("its report has {failures} failures, and {stored} are stored"));
            }
            if !pass.is_complete {
                return Ok(());
            }
            let expected = world.expected()?;
            equal("pages", expected.pages)?;
            equal("users", expected.users)?;
            equal("orders", expected.orders)?;
            equal("calls", documents + retries)
        }
    }
}
