//! The error of all calls.

use std::{error::Error as StdError, fmt, time::Duration};

use evenkeel_pool::{BoxError, BuildError, GetError};
use evenkeel_retry::RetryError;
use tokio_postgres::error::{DbError, SqlState};

use crate::{
    ConnectError,
    sqlstate::{is_conflict, is_connection_lost},
};

/// The error of a call to a [`Database`](crate::Database).
///
/// The cause is the [`source`](StdError::source), and not part of the text. [`code`](Self::code) and
/// [`db`](Self::db) find the error that the server sent, wherever it is.
///
/// # Examples
///
/// ```no_run
/// use evenkeel_postgres::{Database, Error, tokio_postgres::error::SqlState};
///
/// # async fn example(db: Database) -> Result<(), Error> {
/// match db.execute("insert into users (id) values ($1)", (7_i64,)).await {
///     Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => println!("there is a user 7 already"),
///     other => drop(other?),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The address of the database cannot be read.
    Config(tokio_postgres::Error),
    /// The settings of the pool cannot be used.
    Build(BuildError),
    /// There was no connection: none was free in time, none could be made, or the database is closed.
    Get(GetError<ConnectError>),
    /// A statement failed.
    Statement(tokio_postgres::Error),
    /// This row of [`execute_many`](crate::Database::execute_many) failed, as the first one; counted from 0.
    Row(u64, tokio_postgres::Error),
    /// This statement of a [`SqlBatch`](crate::SqlBatch) failed, as the first one; counted from 0. In a transaction of its own
    /// nothing of the batch was stored.
    Batch {
        /// The position of the statement in the batch.
        index: usize,
        /// Its text.
        sql: Box<str>,
        /// Its failure.
        error: tokio_postgres::Error,
    },
    /// This row of a bulk write could not be encoded, counted from 0: a value does not fit its column. Nothing was stored.
    Encode(u64, BoxError),
    /// The source of a bulk write failed. Nothing was stored.
    Source(BoxError),
    /// The source of a bulk write was silent for the time of
    /// [`source_timeout`](crate::Builder::source_timeout). Nothing was stored.
    SourceIdle(Duration),
    /// The target of a bulk write is not a table with its columns in parentheses, such as `users (id, name)`.
    Target(String),
    /// The database cannot do this, as the text says.
    Unsupported(&'static str),
    /// There was this number of rows where one was expected.
    RowCount(u64),
    /// A row cannot be read as the requested type.
    Decode(BoxError),
    /// The transaction was given up after conflicts with others: each attempt was rolled back.
    GaveUp(RetryError<Box<DbError>>),
    /// The transaction was rolled back instead of committed: this failure of a statement had ended it.
    Aborted(Box<DbError>),
    /// A statement of the transaction was dropped before it had ended, so that its result is unknown; the transaction
    /// is rolled back.
    Abandoned,
    /// A statement would have ended the transaction, or has ended it: `COMMIT`, `ROLLBACK`, `END`, `ABORT`, `PREPARE
    /// TRANSACTION`. As a rule it was refused before it was sent, and the transaction is rolled back. Where only the
    /// server could tell that the transaction had ended, the part before that statement may be stored.
    Ended,
    /// The body of the transaction ended before its [`Tx`](crate::Tx) was dropped; the transaction is rolled back when it
    /// is.
    TxStillBorrowed,
    /// The transaction may have been committed, or not: the connection was lost meanwhile, or the attempt ran out of
    /// time. It is not repeated. Before you repeat it, check whether it took effect.
    CommitUnknown(Option<tokio_postgres::Error>),
}

impl Error {
    /// The error that the server sent, if this error comes from the server.
    #[must_use]
    pub fn db(&self) -> Option<&DbError> {
        match self {
            Self::Get(GetError::Create(error)) => error.db(),
            Self::Get(GetError::Timeout(why)) => {
                match why.cause.as_ref()?.downcast_ref::<GetError<ConnectError>>()? {
                    GetError::Create(error) => error.db(),
                    _ => None,
                }
            }
            Self::Config(error)
            | Self::Statement(error)
            | Self::Row(_, error)
            | Self::Batch { error, .. } => error.as_db_error(),
            Self::CommitUnknown(error) => error.as_ref()?.as_db_error(),
            Self::GaveUp(error) => error.last.as_deref(),
            Self::Aborted(error) => Some(error),
            _ => None,
        }
    }

    /// The [SQLSTATE](https://www.postgresql.org/docs/current/errcodes-appendix.html) of the server's error.
    #[must_use]
    pub fn code(&self) -> Option<&SqlState> {
        self.db().map(DbError::code)
    }

    /// Whether there was no connection within [`acquire_timeout`](crate::Builder::acquire_timeout).
    #[must_use]
    pub const fn is_timeout(&self) -> bool {
        matches!(self, Self::Get(GetError::Timeout(_)))
    }

    /// Whether the [`Database`](crate::Database) was closed.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self, Self::Get(GetError::Closed))
    }

    /// Whether the transaction lost against another one, and may be repeated from its start: a serialization failure
    /// (40001) or a deadlock (40P01). An unknown outcome is no conflict, whatever its code.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        !self.is_commit_unknown() && self.db().is_some_and(is_conflict)
    }

    /// Whether the connection was lost while a statement ran, so that it may have taken effect.
    #[must_use]
    pub fn is_connection_lost(&self) -> bool {
        match self {
            Self::Statement(error) | Self::Row(_, error) | Self::Batch { error, .. } => {
                is_connection_lost(error)
            }
            Self::CommitUnknown(error) => error.is_some(),
            _ => false,
        }
    }

    /// Whether the transaction may have been committed, or not: [`Error::CommitUnknown`].
    #[must_use]
    pub const fn is_commit_unknown(&self) -> bool {
        matches!(self, Self::CommitUnknown(_))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(_) => f.write_str(
                "the address of the database, a `postgres://` URL or `key=value` pairs, cannot be read",
            ),
            Self::Build(_) => f.write_str("the database cannot be set up so"),
            Self::Get(GetError::Create(_)) => f.write_str("could not connect to the database"),
            Self::Get(GetError::Closed) => f.write_str("the database is closed"),
            Self::Get(error) => error.fmt(f),
            Self::Statement(_) => f.write_str("a statement failed"),
            Self::Row(index, _) => write!(f, "the statement failed for row {index}"),
            Self::Batch { index, sql, .. } => write!(f, "statement {index} of the batch failed: {sql}"),
            Self::Encode(index, _) => write!(f, "row {index} cannot be encoded"),
            Self::Source(_) => f.write_str("the source of the rows failed"),
            Self::SourceIdle(limit) => write!(f, "the source of the rows was silent for {limit:?}"),
            Self::Target(target) => {
                write!(
                    f,
                    "`{target}` is not a table with its columns in parentheses, as `users (id, name)` is"
                )
            }
            Self::Unsupported(why) => f.write_str(why),
            Self::RowCount(count) => write!(f, "expected one row, got {count}"),
            Self::Decode(_) => f.write_str("a row is not what it was to be read as"),
            Self::GaveUp(error) => write!(f, "the transaction {error}"),
            Self::Aborted(_) => {
                f.write_str("the transaction could not be committed, a statement in it had failed")
            }
            Self::Abandoned => f.write_str("a statement of the transaction was dropped before it had ended"),
            Self::Ended => f.write_str("a statement in the transaction was to end it, or has ended it"),
            Self::TxStillBorrowed => f.write_str("the transaction was kept beyond its end"),
            Self::CommitUnknown(Some(_)) => f.write_str("the connection was lost during the commit"),
            Self::CommitUnknown(None) => f.write_str("the time was over during the commit"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Config(error)
            | Self::Statement(error)
            | Self::Row(_, error)
            | Self::Batch { error, .. } => Some(error),
            Self::Build(error) => Some(error),
            Self::Get(error) => error.source(),
            Self::Decode(error) | Self::Encode(_, error) | Self::Source(error) => Some(&**error),
            Self::GaveUp(error) => error.last.as_deref().map(|error| error as _),
            Self::Aborted(error) => Some(&**error),
            Self::CommitUnknown(error) => error.as_ref().map(|error| error as _),
            Self::RowCount(_)
            | Self::SourceIdle(_)
            | Self::Unsupported(_)
            | Self::Target(_)
            | Self::Abandoned
            | Self::Ended
            | Self::TxStillBorrowed => None,
        }
    }
}

/// A failure of a statement, also one of [`Row::try_get`](tokio_postgres::Row::try_get).
impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Statement(error)
    }
}
