//! Why there is no result.

use std::error::Error as StdError;
use std::fmt;

use evenkeel_pool::{BoxError, BuildError, GetError};
use evenkeel_retry::RetryError;
use tokio_postgres::error::{DbError, Severity, SqlState};

use crate::ConnectError;

/// What a [`Database`](crate::Database) answers if not with a result.
///
/// The cause is the [`source`](StdError::source), and not part of the text. [`code`](Self::code) and
/// [`db`](Self::db) find what the server said, wherever it is.
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
    /// This row of [`execute_many`](crate::Database::execute_many), the first that did, failed; counted from 0.
    Row(u64, tokio_postgres::Error),
    /// There were so many rows where one was expected.
    RowCount(u64),
    /// A row is not what it was to be read as.
    Decode(BoxError),
    /// The transaction was given up on after so many conflicts with others: each attempt was rolled back.
    GaveUp(RetryError<Box<DbError>>),
    /// The transaction was rolled back although it was to be committed: this failure of a statement had ended it.
    Aborted(Box<DbError>),
    /// A statement of the transaction was dropped before it had ended, so that nothing is known of it; the transaction
    /// is rolled back.
    Abandoned,
    /// A statement was to end the transaction, or has ended it: `COMMIT`, `ROLLBACK`, `END`, `ABORT`, `PREPARE
    /// TRANSACTION`. As a rule it was refused before it was sent, and all is rolled back. Where the server has told
    /// that it runs another transaction than before, or none, what was done before may be stored.
    Ended,
    /// The [`Tx`](crate::Tx) was kept beyond the end of its transaction, which is rolled back when it is dropped.
    Kept,
    /// The transaction may have been committed, or not: the connection was lost meanwhile, or the attempt ran out of
    /// time. It is not repeated. Whoever repeats it should first look for what it did.
    CommitUnknown(Option<tokio_postgres::Error>),
}

impl Error {
    /// What the server said, if this came from the server.
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
            Self::Config(error) | Self::Statement(error) | Self::Row(_, error) => error.as_db_error(),
            Self::CommitUnknown(error) => error.as_ref()?.as_db_error(),
            Self::GaveUp(error) => error.last.as_deref(),
            Self::Aborted(error) => Some(error),
            _ => None,
        }
    }

    /// The [SQLSTATE](https://www.postgresql.org/docs/current/errcodes-appendix.html) of what the server said.
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
    /// (40001) or a deadlock (40P01). An unknown outcome is none, whatever its code.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        !self.is_commit_unknown() && self.db().is_some_and(is_conflict)
    }

    /// Whether the connection was lost while a statement ran, so that it may have taken effect.
    #[must_use]
    pub fn is_connection_lost(&self) -> bool {
        match self {
            Self::Statement(error) | Self::Row(_, error) => is_lost(error),
            Self::CommitUnknown(error) => error.is_some(),
            _ => false,
        }
    }

    /// Whether nobody knows if the transaction was committed: [`Error::CommitUnknown`].
    #[must_use]
    pub const fn is_commit_unknown(&self) -> bool {
        matches!(self, Self::CommitUnknown(_))
    }
}

/// Whether the same transaction may well succeed the next time.
pub(crate) fn is_conflict(error: &DbError) -> bool {
    [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED].contains(error.code())
}

/// Whether nothing is left of the transaction that failed so, and the same one may well succeed the next time.
pub(crate) fn is_undone(error: &DbError) -> bool {
    is_conflict(error) || is_idle_end(error.code())
}

/// Whether the connection ended with this error.
pub(crate) fn is_lost(error: &tokio_postgres::Error) -> bool {
    match error.as_db_error() {
        Some(error) => match error.parsed_severity() {
            Some(severity) => matches!(severity, Severity::Fatal | Severity::Panic),
            // The server has sent it since 9.6; a pooler may not, and means its own connection to us.
            None => ["FATAL", "PANIC"].contains(&error.severity()) || is_end(error.code()),
        },
        None => error.is_closed() || io_error(error).is_some(),
    }
}

/// Whether this code tells of the end of a connection.
fn is_end(code: &SqlState) -> bool {
    const CONNECTION_EXCEPTION: &str = "08";
    code.code().starts_with(CONNECTION_EXCEPTION)
        || [
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::TOO_MANY_CONNECTIONS,
        ]
        .contains(code)
        || is_idle_end(code)
}

/// Whether the server ended the connection because nothing was asked of it for too long. It says so between two
/// statements alone: what was sent meanwhile has not run, and a transaction that was open is rolled back.
pub(crate) fn is_idle_end(code: &SqlState) -> bool {
    [SqlState::IDLE_SESSION_TIMEOUT, SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT].contains(code)
}

/// The failure of the network below this error.
pub(crate) fn io_error(error: &tokio_postgres::Error) -> Option<&std::io::Error> {
    error.source()?.downcast_ref()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(_) => f.write_str("the address of the database cannot be read"),
            Self::Build(_) => f.write_str("the database cannot be set up so"),
            Self::Get(GetError::Create(_)) => f.write_str("could not connect to the database"),
            Self::Get(GetError::Closed) => f.write_str("the database is closed"),
            Self::Get(error) => error.fmt(f),
            Self::Statement(_) => f.write_str("a statement failed"),
            Self::Row(index, _) => write!(f, "the statement failed for row {index}"),
            Self::RowCount(count) => write!(f, "expected one row, got {count}"),
            Self::Decode(_) => f.write_str("a row is not what it was to be read as"),
            Self::GaveUp(error) => write!(f, "the transaction {error}"),
            Self::Aborted(_) => {
                f.write_str("the transaction could not be committed, a statement in it had failed")
            }
            Self::Abandoned => f.write_str("a statement of the transaction was dropped before it had ended"),
            Self::Ended => f.write_str("a statement in the transaction was to end it, or has ended it"),
            Self::Kept => f.write_str("the transaction was kept beyond its end"),
            Self::CommitUnknown(Some(_)) => f.write_str("the connection was lost during the commit"),
            Self::CommitUnknown(None) => f.write_str("the time was over during the commit"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Config(error) | Self::Statement(error) | Self::Row(_, error) => Some(error),
            Self::Build(error) => Some(error),
            Self::Get(error) => error.source(),
            Self::Decode(error) => Some(&**error),
            Self::GaveUp(error) => error.last.as_deref().map(|error| error as _),
            Self::Aborted(error) => Some(&**error),
            Self::CommitUnknown(error) => error.as_ref().map(|error| error as _),
            Self::RowCount(_) | Self::Abandoned | Self::Ended | Self::Kept => None,
        }
    }
}

/// A failure of a statement, also one of [`Row::try_get`](tokio_postgres::Row::try_get).
impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Statement(error)
    }
}
