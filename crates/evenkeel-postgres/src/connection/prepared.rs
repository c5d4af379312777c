//! The prepared statements of a connection, and how long they are good for.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use tokio_postgres::error::{Severity, SqlState};
use tokio_postgres::types::WrongType;
use tokio_postgres::{Client, Column, Statement};

use crate::connection::lock;
use crate::connection::statement_cache::Recent;
use crate::sql::effect::Effect;

/// How many prepared statements a connection keeps.
const STATEMENTS: usize = 100;

/// How often tables or types of the database were seen to have changed: all connections of a pool share the number.
pub(crate) type Generation = Arc<AtomicU64>;

/// A prepared statement, and what it may do.
#[derive(Clone)]
pub(crate) struct Prepared {
    pub(crate) statement: Statement,
    pub(crate) effect: Effect,
}

/// What a connection has prepared of late, as long as tables and types are what they were.
pub(crate) struct Statements {
    recent: Mutex<Recent<Prepared>>,
    generation: Generation,
    seen: AtomicU64,
}

impl Statements {
    pub(crate) fn new(generation: Generation) -> Self {
        let seen = AtomicU64::new(generation.load(Relaxed));
        Self { recent: Mutex::new(Recent::new(STATEMENTS)), generation, seen }
    }

    pub(crate) fn get(&self, client: &Client, sql: &str) -> Option<Prepared> {
        let now = self.generation.load(Relaxed);
        if self.seen.swap(now, Relaxed) != now {
            client.clear_type_cache();
            self.forget_all();
        }
        lock(&self.recent).get(sql)
    }

    // A statement that goes is closed, which is done without the lock.
    pub(crate) fn keep(&self, sql: &str, prepared: Prepared) {
        let old = lock(&self.recent).keep(sql, prepared);
        drop(old);
    }

    pub(crate) fn forget(&self, sql: &str) {
        let old = lock(&self.recent).forget(sql);
        drop(old);
    }

    pub(crate) fn forget_all(&self) {
        let old = lock(&self.recent).clear();
        drop(old);
    }

    /// Tables or types have changed: here, and for all other connections, what is prepared is good for nothing.
    pub(crate) fn outdate(&self, client: &Client) {
        self.seen.store(self.generation.fetch_add(1, Relaxed) + 1, Relaxed);
        client.clear_type_cache();
        self.forget_all();
    }
}

/// What the server says, beside syntax errors and rights, of a value or a plan for other types than there are now.
const OF_ANOTHER: [SqlState; 4] = [
    SqlState::INTERNAL_ERROR,
    SqlState::INVALID_BINARY_REPRESENTATION,
    SqlState::INVALID_SCHEMA_NAME,
    SqlState::PROTOCOL_VIOLATION,
];

/// A statement that failed.
pub(crate) struct Failed {
    pub(crate) error: tokio_postgres::Error,
    /// Which statement of the connection it was.
    pub(crate) number: u64,
    /// It may have done something: the server had taken its parameters.
    pub(crate) has_begun: bool,
    /// Rows of it were handed out.
    pub(crate) has_rows: bool,
}

/// Why a statement that was prepared before is of no use any more.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutOfDate {
    /// The connection has lost it.
    Gone,
    /// Tables or types have changed.
    Changed,
    /// A type is not that of the value: it may have changed, or the caller is wrong.
    Unfit,
}

impl Failed {
    /// Why it may succeed when it is prepared again.
    pub(crate) fn out_of_date(&self) -> Option<OutOfDate> {
        let Some(error) = self.error.as_db_error() else {
            return (!self.has_begun && is_wrong_type(&self.error)).then_some(OutOfDate::Unfit);
        };
        let code = error.code();
        if *code == SqlState::INVALID_SQL_STATEMENT_NAME {
            return Some(OutOfDate::Gone);
        }
        // The text is translated, the name of the server's function is not.
        let has_other_columns =
            *code == SqlState::FEATURE_NOT_SUPPORTED && error.routine() == Some("RevalidateCachedQuery");
        // Before it runs it is planned anew, if need be: what it names, or a type of it, is gone or is another one.
        let is_of_another = !self.has_begun
            && error.parsed_severity() == Some(Severity::Error)
            && (code.code().starts_with("42") || OF_ANOTHER.contains(code));
        (has_other_columns || is_of_another).then_some(OutOfDate::Changed)
    }
}

/// Whether a value was refused because of its type, here or below.
pub(crate) fn is_wrong_type(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| error.is::<WrongType>())
}

/// Whether these take and give values of the same types.
pub(crate) fn are_alike(one: &Statement, other: &Statement) -> bool {
    let columns =
        |statement: &Statement| statement.columns().iter().map(Column::type_).cloned().collect::<Vec<_>>();
    one.params() == other.params() && columns(one) == columns(other)
}
