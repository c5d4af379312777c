//! The prepared statements of a connection, and when they are stale.
//!
//! # How it works
//!
//! A connection keeps the statements that it used last. The connections of a pool share a [`SchemaVersion`]: the first
//! one that finds a statement stale because a table or type has changed counts it up, and each of the others drops its
//! statements when it next looks for one.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use evenkeel_base::lock;
use tokio_postgres::{
    Client, Column, Statement,
    error::{Severity, SqlState},
};

use super::statement_cache::StatementCache;
use crate::{sql::effect::SqlEffect, sqlstate::is_wrong_type};

/// The number of prepared statements that a connection keeps.
const MAX_STATEMENTS: usize = 100;

/// Counts the changes of tables and types that were noticed; shared by the connections of a pool.
pub(crate) type SchemaVersion = Arc<AtomicU64>;

/// A prepared statement and its effect.
#[derive(Clone)]
pub(crate) struct PreparedStatement {
    pub(crate) statement: Statement,
    pub(crate) effect: SqlEffect,
    /// The text, if the statement is prepared with each call.
    pub(crate) text: Option<Arc<str>>,
}

/// The statements that a connection used last, for the present version of the schema.
pub(crate) struct PreparedStatements {
    cache: Mutex<StatementCache<PreparedStatement>>,
    schema_version: SchemaVersion,
    // The version for which the statements were prepared.
    seen: AtomicU64,
}

// A statement that is dropped is closed on the server. All of them are dropped after the lock is released.
impl PreparedStatements {
    pub(crate) fn new(schema_version: SchemaVersion) -> Self {
        let seen = AtomicU64::new(schema_version.load(Relaxed));
        Self { cache: Mutex::new(StatementCache::new(MAX_STATEMENTS)), schema_version, seen }
    }

    pub(crate) fn get(&self, client: &Client, sql: &str) -> Option<PreparedStatement> {
        let now = self.schema_version.load(Relaxed);
        if self.seen.swap(now, Relaxed) != now {
            client.clear_type_cache();
            self.clear();
        }
        lock(&self.cache).get(sql)
    }

    pub(crate) fn insert(&self, sql: &str, statement: PreparedStatement) {
        let old = lock(&self.cache).insert(sql, statement);
        drop(old);
    }

    pub(crate) fn remove(&self, sql: &str) {
        let old = lock(&self.cache).remove(sql);
        drop(old);
    }

    pub(crate) fn clear(&self) {
        let old = lock(&self.cache).clear();
        drop(old);
    }

    /// Drops all statements, on this connection now and on the others of the pool when they next look for one.
    pub(crate) fn invalidate_all(&self, client: &Client) {
        self.seen.store(self.schema_version.fetch_add(1, Relaxed) + 1, Relaxed);
        client.clear_type_cache();
        self.clear();
    }
}

/// Codes of errors about a value or a plan whose types have changed, beside those of syntax and rights.
const CHANGED_TYPE: [SqlState; 4] = [
    SqlState::INTERNAL_ERROR,
    SqlState::INVALID_BINARY_REPRESENTATION,
    SqlState::INVALID_SCHEMA_NAME,
    SqlState::PROTOCOL_VIOLATION,
];

/// The failure of a statement.
pub(crate) struct StatementFailure {
    pub(crate) error: tokio_postgres::Error,
    /// The number of the statement on its connection.
    pub(crate) number: u64,
    /// The server has taken the parameters, so the statement may have had an effect.
    pub(crate) has_begun: bool,
    /// Rows of it were passed on.
    pub(crate) has_rows: bool,
}

/// Why a prepared statement is stale.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stale {
    /// The session does not have it any more.
    Deallocated,
    /// Tables or types have changed.
    SchemaChanged,
    /// The type of a parameter does not fit the value: either it has changed, or the caller is wrong.
    TypeMismatch,
}

impl StatementFailure {
    /// Why the statement may succeed when it is prepared again.
    pub(crate) fn stale(&self) -> Option<Stale> {
        let Some(error) = self.error.as_db_error() else {
            return (!self.has_begun && is_wrong_type(&self.error)).then_some(Stale::TypeMismatch);
        };
        let code = error.code();
        if *code == SqlState::INVALID_SQL_STATEMENT_NAME {
            return Some(Stale::Deallocated);
        }
        // The message is translated, the name of the server's function is not.
        let has_other_columns =
            *code == SqlState::FEATURE_NOT_SUPPORTED && error.routine() == Some("RevalidateCachedQuery");
        // The server plans it again before it runs it, where it must: something that it names, or a type, is gone or changed.
        let has_other_types = !self.has_begun
            && error.parsed_severity() == Some(Severity::Error)
            && (code.code().starts_with("42") || CHANGED_TYPE.contains(code));
        (has_other_columns || has_other_types).then_some(Stale::SchemaChanged)
    }
}

/// Whether two statements have parameters and columns of the same types.
pub(crate) fn have_same_types(one: &Statement, other: &Statement) -> bool {
    one.params() == other.params()
        && one.columns().iter().map(Column::type_).eq(other.columns().iter().map(Column::type_))
}
