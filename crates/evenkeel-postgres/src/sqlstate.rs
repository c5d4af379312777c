//! The meaning of an error: by its SQLSTATE where the server sent it, else by the failure below it.

use std::{error::Error as StdError, io};

use tokio_postgres::{
    Error,
    error::{DbError, Severity, SqlState},
    types::WrongType,
};

/// Whether the transaction lost against another one, so that the same transaction may well succeed the next time.
pub(crate) fn is_conflict(error: &DbError) -> bool {
    [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED].contains(error.code())
}

/// Whether a transaction that failed with this error is rolled back, and the same one may well succeed the next time.
pub(crate) fn is_repeatable(error: &DbError) -> bool {
    is_conflict(error) || is_idle_timeout(error.code())
}

/// Whether the server ended the connection because nothing was asked of it for too long. It says so between two
/// statements alone: a statement that was sent meanwhile has not run, and an open transaction is rolled back.
pub(crate) fn is_idle_timeout(code: &SqlState) -> bool {
    [SqlState::IDLE_SESSION_TIMEOUT, SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT].contains(code)
}

/// Whether the transaction was open for too long (`transaction_timeout`, since PostgreSQL 17). The same one would be again.
pub(crate) fn is_transaction_timeout(code: &SqlState) -> bool {
    code.code() == "25P04"
}

/// Whether the transaction has failed before, so that the server refuses every statement until it is rolled back.
pub(crate) fn is_in_failed_transaction(error: &Error) -> bool {
    error.code() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION)
}

/// Whether the connection ended with this error.
pub(crate) fn is_connection_lost(error: &Error) -> bool {
    match error.as_db_error() {
        Some(error) => match error.parsed_severity() {
            Some(severity) => matches!(severity, Severity::Fatal | Severity::Panic),
            // PostgreSQL sends this field since 9.6. A pooler may not, and means its own connection to us.
            None => ["FATAL", "PANIC"].contains(&error.severity()) || is_connection_exception(error.code()),
        },
        None => error.is_closed() || io_error(error).is_some(),
    }
}

fn is_connection_exception(code: &SqlState) -> bool {
    const CONNECTION_EXCEPTION: &str = "08";
    code.code().starts_with(CONNECTION_EXCEPTION)
        || [
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::TOO_MANY_CONNECTIONS,
        ]
        .contains(code)
        || is_idle_timeout(code)
}

/// The failure of the network below this error.
pub(crate) fn io_error(error: &Error) -> Option<&io::Error> {
    error.source()?.downcast_ref()
}

/// Whether a value was refused because of its type, by this error or by one of its causes.
pub(crate) fn is_wrong_type(error: &(dyn StdError + 'static)) -> bool {
    error.is::<WrongType>() || error.source().is_some_and(is_wrong_type)
}
