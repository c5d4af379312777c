//! What a session holds of the server, and gives back when it ends.

use std::{collections::BTreeSet, sync::Arc};

use super::Interrupt;
use crate::{
    error::SqlError,
    record::Outcome,
    shared::{Notification, Shared, Signals},
    store::Undo,
};

/// A session that is open; dropping it ends its transaction.
#[derive(Debug)]
pub(super) struct SessionState {
    pub(super) shared: Arc<Shared>,
    pub(super) signals: Arc<Signals>,
    pub(super) pid: i32,
    /// How to take the transaction back.
    pub(super) undo: Vec<Undo>,
    /// Whom to notify when it is committed.
    pub(super) notify: Vec<(String, String)>,
    /// How long these two were.
    savepoints: Vec<(String, usize, usize)>,
    /// The statements that are not over.
    running: BTreeSet<usize>,
}

impl SessionState {
    pub(super) fn open(shared: Arc<Shared>) -> Result<Self, SqlError> {
        let (pid, signals) = shared.open()?;
        let (undo, notify, savepoints) = (Vec::new(), Vec::new(), Vec::new());
        Ok(SessionState { shared, signals, pid, undo, notify, savepoints, running: BTreeSet::new() })
    }

    /// A statement begins; its number.
    pub(super) fn begin(&mut self, sql: &str, parameters: Vec<Option<String>>) -> usize {
        self.signals.forget_cancel();
        let number = self.shared.record(self.pid, sql, parameters);
        self.running.insert(number);
        number
    }

    /// Records what became of a statement: its tag, if it is done.
    pub(super) fn settle(&mut self, number: usize, result: &Result<Option<String>, Interrupt>) {
        let outcome = match result {
            Ok(Some(tag)) => Outcome::Done(tag.clone()),
            Ok(None) => return,
            Err(Interrupt::Error(error)) => Outcome::Failed(error.code.clone()),
            Err(Interrupt::Disconnected | Interrupt::Break { .. }) => Outcome::Cut,
        };
        self.running.remove(&number);
        self.shared.settle(number, outcome);
    }

    pub(super) fn save(&mut self, name: &str) {
        self.savepoints.push((name.to_owned(), self.undo.len(), self.notify.len()));
    }

    /// Back to a savepoint, which stays.
    pub(super) fn back_to(&mut self, name: &str) -> Result<(), SqlError> {
        let index = self.savepoint(name)?;
        self.savepoints.truncate(index + 1);
        let (_, undo, notify) = self.savepoints[index];
        self.shared.store(|store| store.roll_back(self.undo.drain(undo..)));
        self.notify.truncate(notify);
        Ok(())
    }

    /// Forgets a savepoint, and those after it.
    pub(super) fn release(&mut self, name: &str) -> Result<(), SqlError> {
        let index = self.savepoint(name)?;
        self.savepoints.truncate(index);
        Ok(())
    }

    /// What was done stands.
    pub(super) fn commit(&mut self) {
        self.undo.clear();
        self.savepoints.clear();
        for (channel, payload) in self.notify.drain(..) {
            self.shared.notify(&Notification { pid: self.pid, channel, payload });
        }
        self.cut();
    }

    /// What was done is taken back.
    pub(super) fn roll_back(&mut self) {
        self.shared.store(|store| store.roll_back(self.undo.drain(..)));
        self.savepoints.clear();
        self.notify.clear();
        self.cut();
    }

    /// What was not over is cut off: a portal ends with its transaction.
    fn cut(&mut self) {
        for number in std::mem::take(&mut self.running) {
            self.shared.settle(number, Outcome::Cut);
        }
    }

    fn savepoint(&self, name: &str) -> Result<usize, SqlError> {
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
