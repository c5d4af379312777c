//! The world outside of the processes, which stays when they are killed: rows, dead letters, and the counts of calls.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use super::plan::Plan;
use crate::checks::lock;

/// A row: an item, and the index of its part.
pub(super) type RowKey = (u64, u64);

#[derive(Debug)]
pub(super) struct Outside {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rows: BTreeSet<RowKey>,
    /// The rows under the identities of messages.
    ids: BTreeMap<String, RowKey>,
    /// The attempts of each letter.
    letters: BTreeMap<u64, u32>,
    /// Items whose ack or end was confirmed to a process.
    ended: BTreeSet<u64>,
    calls: BTreeMap<(u64, RowKey), u64>,
    power_losses: u64,
}

impl Outside {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State::default()) }
    }

    /// Counts a call of a stage for a row, and returns those before.
    pub(super) fn count_call(&self, stage: u64, row: RowKey) -> u64 {
        let mut state = lock(&self.state);
        let calls = state.calls.entry((stage, row)).or_default();
        *calls += 1;
        *calls - 1
    }

    /// Writes a row under the identity of its message, if it has one.
    pub(super) fn write(&self, plan: &Plan, id: Option<&str>, row: RowKey) -> Result<(), String> {
        let mut state = lock(&self.state);
        if row.1 >= plan.rows(row.0) {
            return Err(format!("a row of item {}, part {} is written, and must not be", row.0, row.1));
        }
        if let Some(id) = id {
            let known = *state.ids.entry(id.to_owned()).or_insert(row);
            if known != row {
                return Err(format!("`{id}` is the identity of row {known:?} and of row {row:?}"));
            }
        }
        state.rows.insert(row);
        Ok(())
    }

    pub(super) fn bury(&self, number: u64, attempts: u32) {
        lock(&self.state).letters.insert(number, attempts);
    }

    pub(super) fn has_letter(&self, number: u64) -> bool {
        lock(&self.state).letters.contains_key(&number)
    }

    /// Returns whether all effects of an item have happened.
    pub(super) fn is_done(&self, plan: &Plan, number: u64) -> bool {
        let state = lock(&self.state);
        (0..plan.rows(number)).all(|part| state.rows.contains(&(number, part)))
    }

    pub(super) fn note_end(&self, number: u64) {
        lock(&self.state).ended.insert(number);
    }

    pub(super) fn has_ended(&self, number: u64) -> bool {
        lock(&self.state).ended.contains(&number)
    }

    pub(super) fn note_power_loss(&self) {
        lock(&self.state).power_losses += 1;
    }

    pub(super) fn power_losses(&self) -> u64 {
        lock(&self.state).power_losses
    }

    /// Fails if an item has neither its rows nor a letter.
    pub(super) fn is_complete(&self, plan: &Plan) -> Result<(), String> {
        for number in 0..plan.items {
            let is_dead = self.has_letter(number);
            if !is_dead && !self.is_done(plan, number) {
                return Err(format!("item {number} is lost: it has neither all its rows nor a dead letter"));
            }
            let attempts = lock(&self.state).letters.get(&number).copied();
            if attempts.is_some_and(|attempts| attempts != plan.attempts) {
                return Err(format!(
                    "the letter of item {number} has {attempts:?} of {} attempts",
                    plan.attempts
                ));
            }
            if plan.is_poison(number) && !is_dead && plan.rows(number) > 0 {
                return Err(format!("item {number} cannot succeed, and has no dead letter"));
            }
        }
        Ok(())
    }
}
