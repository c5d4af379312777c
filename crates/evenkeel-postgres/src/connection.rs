//! A connection, and what is known of its state.

use std::future::poll_fn;
use std::mem;
use std::pin::pin;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use deadpool_postgres::Manager;
use evenkeel_pool::Adopted;
use futures_core::Stream;
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::types::ToSql;
use tokio_postgres::{CancelToken, Row, Statement};

use crate::error::is_lost;
use crate::recent::Recent;

/// How many prepared statements a connection keeps.
const STATEMENTS: usize = 100;

/// A connection of the pool.
///
/// It keeps account of itself, so that one that was used in an orderly way needs no question to the server before it
/// is used again.
pub(crate) struct Connection {
    client: Adopted<Manager>,
    statements: Mutex<Recent<Statement>>,
    condition: AtomicU8,
    pub(crate) stage: Stage,
    // What last went wrong in the transaction, apart from what follows from it.
    failure: Mutex<Option<Box<DbError>>>,
}

/// In what condition the last users have left a connection; it only gets worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Condition {
    Clean,
    /// Something of a user may have stayed in the session.
    Tainted,
    /// A statement may still run that nobody waits for.
    Abandoned,
    /// It is of no use any more.
    Lost,
}

/// Where a connection is in a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Outside,
    Inside,
    Committing,
}

impl Connection {
    pub(crate) fn new(client: Adopted<Manager>) -> Self {
        Self {
            client,
            statements: Mutex::new(Recent::new(STATEMENTS)),
            condition: AtomicU8::new(Condition::Clean as u8),
            stage: Stage::Outside,
            failure: Mutex::new(None),
        }
    }

    pub(crate) fn client_mut(&mut self) -> &mut Adopted<Manager> {
        &mut self.client
    }

    pub(crate) fn cancel_token(&self) -> CancelToken {
        self.client.cancel_token()
    }

    pub(crate) fn condition(&self) -> Condition {
        [Condition::Clean, Condition::Tainted, Condition::Abandoned, Condition::Lost]
            [usize::from(self.condition.load(Relaxed))]
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.condition() == Condition::Clean && self.stage == Stage::Outside
    }

    /// Whether what is sent from now on cannot arrive.
    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    fn worsen(&self, condition: Condition) {
        self.condition.fetch_max(condition as u8, Relaxed);
    }

    /// Takes back what users have left in the session, and ends their transaction.
    pub(crate) async fn reset(&mut self) -> Result<(), tokio_postgres::Error> {
        let sql = match (self.condition(), self.stage) {
            (Condition::Clean, _) => "ROLLBACK".to_owned(),
            // The server logs a warning where there is nothing to roll back, unless it begins here.
            (_, Stage::Outside) => format!("BEGIN; ROLLBACK; {RESET}"),
            (_, Stage::Inside | Stage::Committing) => format!("ROLLBACK; {RESET}"),
        };
        self.client.batch_execute(&sql).await?;
        self.condition = AtomicU8::new(Condition::Clean as u8);
        self.stage = Stage::Outside;
        Ok(())
    }

    /// Waits until the server is done with all that was sent.
    pub(crate) async fn drain(&self) -> Result<(), tokio_postgres::Error> {
        let end = if self.stage == Stage::Inside { "ROLLBACK" } else { "" };
        self.client.batch_execute(end).await
    }

    /// What has gone wrong in the transaction so far.
    pub(crate) fn failure(&self) -> Option<Box<DbError>> {
        lock(&self.failure).clone()
    }

    pub(crate) fn forget_failure(&self) {
        *lock(&self.failure) = None;
    }

    /// Runs one statement, and hands out each row; gives the number of rows that it concerned.
    pub(crate) async fn run(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
        mut each: impl FnMut(Row),
    ) -> Result<u64, tokio_postgres::Error> {
        let running = self.running(sql);
        let mut result = self.run_once(sql, parameters, &mut each).await;
        // Such a failure comes before the statement does anything, but it ends a transaction.
        if self.settle(sql, &result) && self.stage == Stage::Outside {
            result = self.run_once(sql, parameters, &mut each).await;
            self.settle(sql, &result);
        }
        running.end();
        result
    }

    async fn run_once(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
        each: &mut impl FnMut(Row),
    ) -> Result<u64, tokio_postgres::Error> {
        let statement = self.prepare(sql).await?;
        let mut rows = pin!(self.client.query_raw(&statement, parameters.iter().copied()).await?);
        while let Some(row) = poll_fn(|cx| rows.as_mut().poll_next(cx)).await {
            each(row?);
        }
        Ok(rows.rows_affected().unwrap_or(0))
    }

    /// Prepares a statement, unless it is prepared already.
    pub(crate) async fn prepare(&self, sql: &str) -> Result<Statement, tokio_postgres::Error> {
        if let Some(statement) = lock(&self.statements).get(sql) {
            return Ok(statement);
        }
        let statement = self.client.prepare(sql).await?;
        let old = lock(&self.statements).keep(sql, statement.clone());
        drop(old);
        Ok(statement)
    }

    /// Runs a prepared statement without a look at its rows. It is sent when the future is first polled.
    pub(crate) async fn run_prepared(
        &self,
        statement: &Statement,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, tokio_postgres::Error> {
        self.client.execute_raw(statement, parameters.iter().copied()).await
    }

    /// Runs any number of statements, of which nobody knows what they do to the session.
    pub(crate) async fn run_batch(&self, sql: &str) -> Result<(), tokio_postgres::Error> {
        self.worsen(Condition::Tainted);
        self.control(sql).await
    }

    /// Runs a statement that begins or ends a transaction, or asks about it.
    pub(crate) async fn control(&self, sql: &str) -> Result<(), tokio_postgres::Error> {
        let running = Running { connection: self };
        let result = self.client.batch_execute(sql).await;
        self.settle(sql, &result);
        running.end();
        result
    }

    /// Says that a statement is about to be sent.
    pub(crate) fn running(&self, sql: &str) -> Running<'_> {
        if !leaves_no_trace(sql) {
            self.worsen(Condition::Tainted);
        }
        Running { connection: self }
    }

    /// Keeps account of how a statement has ended; true if it failed because what was prepared is out of date.
    pub(crate) fn settle<T>(&self, sql: &str, result: &Result<T, tokio_postgres::Error>) -> bool {
        let Err(error) = result else { return false };
        if is_lost(error) {
            self.worsen(Condition::Lost);
        }
        let Some(error) = error.as_db_error() else {
            // A parameter that does not fit, as a rule; or a server that is out of step.
            self.worsen(Condition::Tainted);
            return false;
        };
        if *error.code() != SqlState::IN_FAILED_SQL_TRANSACTION {
            *lock(&self.failure) = Some(Box::new(error.clone()));
        }
        let out_of_date = is_out_of_date(error);
        if out_of_date {
            let old = lock(&self.statements).forget(sql);
            drop(old);
        }
        out_of_date
    }
}

/// A statement that the server may be busy with. Dropping it says that nobody waits for the end any more.
pub(crate) struct Running<'a> {
    connection: &'a Connection,
}

impl Running<'_> {
    pub(crate) fn end(self) {
        mem::forget(self);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.connection.worsen(Condition::Abandoned);
    }
}

/// What `DISCARD ALL` does but for the prepared statements, which tokio-postgres goes on to use.
const RESET: &str = "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; \
    SELECT pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES";

/// Whether a statement, by its first word, can change tables only.
///
/// What the functions do that are called in it cannot be seen here.
fn leaves_no_trace(sql: &str) -> bool {
    let sql = sql.trim_start();
    let word = &sql[..sql.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(sql.len())];
    ["select", "insert", "update", "delete", "merge", "with", "values", "table"]
        .iter()
        .any(|known| word.eq_ignore_ascii_case(known))
}

/// Whether a prepared statement is gone, or gives other columns since a table was altered.
fn is_out_of_date(error: &DbError) -> bool {
    *error.code() == SqlState::INVALID_SQL_STATEMENT_NAME
        // The text is translated, the name of the server's function is not.
        || (*error.code() == SqlState::FEATURE_NOT_SUPPORTED && error.routine() == Some("RevalidateCachedQuery"))
}

/// Locks; a panic cannot leave anything half done, since no code of others runs under the lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::leaves_no_trace;

    #[test]
    fn the_first_word_tells_statements_on_tables_from_those_on_the_session() {
        for sql in [
            "select 1",
            "  SELECT 1",
            "\nWith a as (select 1) table a",
            "values(1)",
            "Table t",
            "merge into t",
        ] {
            assert!(leaves_no_trace(sql), "{sql}");
        }
        for sql in [
            "",
            "set x = 1",
            "selection",
            "begin",
            "listen c",
            "-- select\nset x = 1",
            "(select 1)",
            "select_",
        ] {
            assert!(!leaves_no_trace(sql), "{sql}");
        }
    }
}
