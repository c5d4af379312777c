//! The record of a transaction: the failure that may have ended it, and its identity.

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
    /// The failure that ended the transaction, or else the last one.
    pub(crate) failure: Option<TxFailure>,
    /// A statement in the transaction has ended it, or was refused because it would have.
    pub(crate) has_ended: bool,
    /// `None` before it was first asked for; the inner one where the server does not tell.
    pub(super) identity: Option<Option<String>>,
    /// A failure kept the identity from being compared.
    pub(super) is_identity_unsure: bool,
}

impl TxRecord {
    /// Records a success. If it was sent after a failure, the transaction must have gone back to a savepoint: otherwise
    /// the server would have refused it.
    pub(super) fn on_success(&mut self, number: u64) {
        if let Some(failure) = &mut self.failure
            && failure.number < number
        {
            failure.is_recovered = true;
        }
    }

    pub(super) fn on_failure(&mut self, number: u64, error: &DbError, is_stale: bool) {
        let has_failed = self.failure.as_ref().is_some_and(|failure| !failure.is_recovered);
        let is_consequence = *error.code() == SqlState::IN_FAILED_SQL_TRANSACTION
            || (has_failed && CHECKED_BEFORE_STATE.contains(error.code()));
        if !is_consequence {
            let error = Box::new(error.clone());
            self.failure = Some(TxFailure { error, number, is_recovered: false, is_stale });
        }
    }

    /// Compares the identity with the one from before, and records the end of the transaction if they differ.
    pub(super) fn is_same(&mut self, identity: &Option<String>) -> bool {
        let is_same = self.identity.as_ref() == Some(identity);
        self.is_identity_unsure = false;
        self.has_ended |= !is_same;
        is_same
    }
}
