//! What has gone wrong in a transaction, and whether that has ended it.

use std::sync::Mutex;

use tokio_postgres::error::{DbError, SqlState};

use crate::connection::lock;

/// What the server finds before it looks whether the transaction has failed already, or while it goes back.
const BEFORE_THE_LOOK: [SqlState; 4] = [
    SqlState::SYNTAX_ERROR,
    SqlState::CHARACTER_NOT_IN_REPERTOIRE,
    SqlState::INVALID_SQL_STATEMENT_NAME,
    SqlState::S_E_INVALID_SPECIFICATION,
];

/// A failure in a transaction.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) error: Box<DbError>,
    // Which statement of the connection it was.
    number: u64,
    /// The transaction has gone on after it, from a savepoint.
    pub(crate) is_cured: bool,
    /// What was prepared before was out of date.
    pub(crate) is_out_of_date: bool,
}

/// The failure that ended the transaction, or else the last one.
#[derive(Default)]
pub(crate) struct Failures {
    last: Mutex<Option<Failure>>,
}

impl Failures {
    pub(crate) fn last(&self) -> Option<Failure> {
        lock(&self.last).clone()
    }

    pub(crate) fn forget(&self) {
        *lock(&self.last) = None;
    }

    /// A statement has succeeded: after one that failed before it, nothing could have but from a savepoint.
    pub(crate) fn went_well(&self, number: u64) {
        if let Some(failure) = &mut *lock(&self.last)
            && failure.number < number
        {
            failure.is_cured = true;
        }
    }

    pub(crate) fn went_wrong(&self, number: u64, error: &DbError, is_out_of_date: bool) {
        let mut last = lock(&self.last);
        let has_ended = last.as_ref().is_some_and(|failure| !failure.is_cured);
        let follows = *error.code() == SqlState::IN_FAILED_SQL_TRANSACTION
            || (has_ended && BEFORE_THE_LOOK.contains(error.code()));
        if !follows {
            *last = Some(Failure { error: Box::new(error.clone()), number, is_cured: false, is_out_of_date });
        }
    }
}
