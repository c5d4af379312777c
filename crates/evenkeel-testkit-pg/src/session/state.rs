//! The transaction of a session, and the resources that it returns when it ends.

use std::{collections::BTreeSet, sync::Arc};

use super::Interrupt;
use crate::{
    error::SqlError,
    record::StatementOutcome,
    shared::{Notification, Shared, Signals},
    store::Undo,
};

/// An open session; dropping it rolls its transaction back.
#[derive(Debug)]
pub(super) struct SessionState {
    pub(super) shared: Arc<Shared>,
    pub(super) signals: Arc<Signals>,
    pub(super) pid: i32,
    /// The undo log of the transaction.
    pub(super) undo: Vec<Undo>,
    /// The notifications to send at the commit: channel and payload.
    pub(super) notify: Vec<(String, String)>,
    /// For each savepoint, its name and the lengths of `undo` and `notify`.
    savepoints: Vec<(String, usize, usize)>,
    /// The numbers of statements that have not ended.
    running: BTreeSet<usize>,
}

impl SessionState {
    pub(super) fn open(shared: Arc<Shared>) -> Result<Self, SqlError> {
        let (pid, signals) = shared.open()?;
        let (undo, notify, savepoints) = (Vec::new(), Vec::new(), Vec::new());
        Ok(SessionState { shared, signals, pid, undo, notify, savepoints, running: BTreeSet::new() })
    }

    /// Records the start of a statement, and returns its number.
    pub(super) fn begin(&mut self, sql: &str, parameters: Vec<Option<String>>) -> usize {
        self.signals.forget_cancel();
        let number = self.shared.record(self.pid, sql, parameters);
        self.running.insert(number);
        number
    }

    /// Records the outcome of a statement; `Ok(None)` means that its portal has more rows.
    pub(super) fn set_outcome(&mut self, number: usize, result: &Result<Option<String>, Interrupt>) {
        let outcome = match result {
            Ok(Some(tag)) => StatementOutcome::Done(tag.clone()),
            Ok(None) => return,
            Err(Interrupt::Error(error)) => StatementOutcome::Failed(error.code.clone()),
            Err(Interrupt::Disconnected | Interrupt::Break { .. }) => StatementOutcome::Cut,
        };
        self.running.remove(&number);
        self.shared.set_outcome(number, outcome);
    }

    pub(super) fn add_savepoint(&mut self, name: &str) {
        self.savepoints.push((name.to_owned(), self.undo.len(), self.notify.len()));
    }

    /// Rolls back to a savepoint, which stays.
    pub(super) fn roll_back_to(&mut self, name: &str) -> Result<(), SqlError> {
        let index = self.find_savepoint(name)?;
        self.savepoints.truncate(index + 1);
        let (_, undo, notify) = self.savepoints[index];
        self.shared.store(|store| store.roll_back(self.undo.drain(undo..)));
        self.notify.truncate(notify);
        Ok(())
    }

    /// Removes a savepoint, and all later ones.
    pub(super) fn release(&mut self, name: &str) -> Result<(), SqlError> {
        let index = self.find_savepoint(name)?;
        self.savepoints.truncate(index);
        Ok(())
    }

    /// Commits the transaction, and sends its notifications.
    pub(super) fn commit(&mut self) {
        self.shared.end(self.pid, true);
        self.undo.clear();
        self.savepoints.clear();
        for (channel, payload) in self.notify.drain(..) {
            self.shared.notify(&Notification { pid: self.pid, channel, payload });
        }
        self.end_running();
    }

    /// Rolls the transaction back.
    pub(super) fn roll_back(&mut self) {
        self.shared.end(self.pid, false);
        self.shared.store(|store| store.roll_back(self.undo.drain(..)));
        self.savepoints.clear();
        self.notify.clear();
        self.end_running();
    }

    /// Ends all running statements: portals end with their transaction.
    fn end_running(&mut self) {
        for number in std::mem::take(&mut self.running) {
            self.shared.set_outcome(number, StatementOutcome::Cut);
        }
    }

    fn find_savepoint(&self, name: &str) -> Result<usize, SqlError> {
        let index = self.savepoints.iter().rposition(|(known, ..)| known == name);
        index.ok_or_else(|| SqlError::new("3B001", format!("savepoint \"{name}\" does not exist")))
    }
}

impl Drop for SessionState {
    fn drop(&mut self) {
        self.roll_back();
        self.shared.close(self.pid);
    }
}
