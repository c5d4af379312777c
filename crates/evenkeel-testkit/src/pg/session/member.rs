//! What a session holds of the server, and gives back when it ends.

use std::{collections::BTreeSet, sync::Arc};

use super::Stop;
use crate::pg::{
    backend::{Backend, Notification, Signals},
    error::SqlError,
    record::Outcome,
    store::Undo,
};

/// A session that is open; dropping it ends its transaction.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) backend: Arc<Backend>,
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

impl Member {
    pub(super) fn join(backend: Arc<Backend>) -> Result<Self, SqlError> {
        let (pid, signals) = backend.open()?;
        let (undo, notify, savepoints) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Member { backend, signals, pid, undo, notify, savepoints, running: BTreeSet::new() })
    }

    /// A statement begins; its number.
    pub(super) fn begin(&mut self, sql: &str, parameters: Vec<Option<String>>) -> usize {
        self.signals.forget_cancel();
        let number = self.backend.record(self.pid, sql, parameters);
        self.running.insert(number);
        number
    }

    /// Records what became of a statement: its tag, if it is done.
    pub(super) fn settle(&mut self, number: usize, result: &Result<Option<String>, Stop>) {
        let outcome = match result {
            Ok(Some(tag)) => Outcome::Done(tag.clone()),
            Ok(None) => return,
            Err(Stop::Error(error)) => Outcome::Failed(error.code.clone()),
            Err(Stop::Gone | Stop::Break { .. }) => Outcome::Cut,
        };
        self.running.remove(&number);
        self.backend.settle(number, outcome);
    }

    pub(super) fn save(&mut self, name: &str) {
        self.savepoints.push((name.to_owned(), self.undo.len(), self.notify.len()));
    }

    /// Back to a savepoint, which stays.
    pub(super) fn back_to(&mut self, name: &str) -> Result<(), SqlError> {
        let place = self.savepoint(name)?;
        self.savepoints.truncate(place + 1);
        let (_, undo, notify) = self.savepoints[place];
        self.backend.store(|store| store.take_back(self.undo.drain(undo..)));
        self.notify.truncate(notify);
        Ok(())
    }

    /// Forgets a savepoint, and those after it.
    pub(super) fn release(&mut self, name: &str) -> Result<(), SqlError> {
        let place = self.savepoint(name)?;
        self.savepoints.truncate(place);
        Ok(())
    }

    /// What was done stands.
    pub(super) fn commit(&mut self) {
        self.undo.clear();
        self.savepoints.clear();
        for (channel, payload) in self.notify.drain(..) {
            self.backend.notify(&Notification { pid: self.pid, channel, payload });
        }
        self.cut();
    }

    /// What was done is taken back.
    pub(super) fn roll_back(&mut self) {
        self.backend.store(|store| store.take_back(self.undo.drain(..)));
        self.savepoints.clear();
        self.notify.clear();
        self.cut();
    }

    /// What was not over is cut off: a portal ends with its transaction.
    fn cut(&mut self) {
        for number in std::mem::take(&mut self.running) {
            self.backend.settle(number, Outcome::Cut);
        }
    }

    fn savepoint(&self, name: &str) -> Result<usize, SqlError> {
        let place = self.savepoints.iter().rposition(|(known, ..)| known == name);
        place.ok_or_else(|| SqlError::new("3B001", format!("savepoint \"{name}\" does not exist")))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.roll_back();
        self.backend.close(self.pid);
    }
}
