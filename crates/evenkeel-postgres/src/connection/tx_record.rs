//! The record of a transaction: the failure that may have ended it, and its identity.

use std::sync::Mutex;

use evenkeel_base::lock;
use tokio_postgres::error::{DbError, SqlState};

/// Errors that the server reports before it looks whether the transaction has failed already, or while it goes back to
/// a savepoint. They say nothing new about a transaction that has failed.
const CHECKED_BEFORE_STATE: [SqlState; 4] = [
    SqlState::SYNTAX_ERROR,
    SqlState::CHARACTER_NOT_IN_REPERTOIRE,
    SqlState::INVALID_SQL_STATEMENT_NAME,
    SqlState::S_E_INVALID_SPECIFICATION,
];

/// The failure of a statement in a transaction.
#[derive(Clone, Debug)]
pub(crate) struct TxFailure {
    pub(crate) error: Box<DbError>,
    // The number of the statement on its connection.
    number: u64,
    /// The transaction went back to a savepoint, and goes on.
    pub(crate) is_recovered: bool,
    /// The statement was prepared before, and stale.
    pub(crate) is_stale: bool,
}

/// The record of a transaction.
#[derive(Default)]
pub(crate) struct TxRecord {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    // The failure that ended the transaction, or else the last one.
    failure: Option<TxFailure>,
    // `None` before it was first asked for; the inner one where the server does not tell.
    identity: Option<Option<String>>,
    is_identity_unsure: bool,
    has_ended: bool,
}

impl TxRecord {
    /// Begins the record of another transaction.
    pub(crate) fn begin(&self) {
        *lock(&self.state) = State::default();
    }

    pub(crate) fn failure(&self) -> Option<TxFailure> {
        lock(&self.state).failure.clone()
    }

    /// Records a success. If it was sent after a failure, the transaction must have gone back to a savepoint: otherwise
    /// the server would have refused it.
    pub(crate) fn on_success(&self, number: u64) {
        if let Some(failure) = &mut lock(&self.state).failure
            && failure.number < number
        {
            failure.is_recovered = true;
        }
    }

    pub(crate) fn on_failure(&self, number: u64, error: &DbError, is_stale: bool) {
        let last = &mut lock(&self.state).failure;
        let has_failed = last.as_ref().is_some_and(|failure| !failure.is_recovered);
        let is_consequence = *error.code() == SqlState::IN_FAILED_SQL_TRANSACTION
            || (has_failed && CHECKED_BEFORE_STATE.contains(error.code()));
        if !is_consequence {
            *last = Some(TxFailure { error: Box::new(error.clone()), number, is_recovered: false, is_stale });
        }
    }

    pub(crate) fn has_identity(&self) -> bool {
        lock(&self.state).identity.is_some()
    }

    pub(crate) fn set_identity(&self, identity: Option<String>) {
        lock(&self.state).identity = Some(identity);
    }

    /// Compares the identity with the one from before, and records the end of the transaction if they differ.
    pub(crate) fn is_same(&self, identity: &Option<String>) -> bool {
        let mut state = lock(&self.state);
        let is_same = state.identity.as_ref() == Some(identity);
        state.is_identity_unsure = false;
        state.has_ended |= !is_same;
        is_same
    }

    pub(crate) fn set_identity_unsure(&self) {
        lock(&self.state).is_identity_unsure = true;
    }

    pub(crate) fn is_identity_unsure(&self) -> bool {
        lock(&self.state).is_identity_unsure
    }

    pub(crate) fn end(&self) {
        lock(&self.state).has_ended = true;
    }

    pub(crate) fn has_ended(&self) -> bool {
        lock(&self.state).has_ended
    }
}
