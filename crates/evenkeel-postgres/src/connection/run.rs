//! Runs single statements: prepares each once, and again when it is stale.

use std::{future::poll_fn, pin::pin};

use futures_core::Stream;
use tokio_postgres::{Row, RowStream, error::SqlState, types::ToSql};

use super::{
    Condition, Connection, StatementGuard, TxState,
    prepared::{PreparedStatement, Stale, StatementFailure, have_same_types},
};
use crate::{
    Error,
    sql::{effect::SqlEffect, session_use::session_use},
};

type PgError = tokio_postgres::Error;

/// The number of parameters that a message can have.
pub(crate) const MAX_PARAMS: usize = u16::MAX as usize;

impl Connection {
    /// Runs one statement, calls `each` with each row, and returns the number of rows affected.
    pub(crate) async fn run(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
        mut each: impl FnMut(Row),
    ) -> Result<u64, Error> {
        let known = self.known(sql);
        let effect = known.as_ref().map_or_else(|| SqlEffect::of(sql), |known| known.effect);
        self.refuse_tx_end(effect.ends_tx)?;
        self.refuse_session_use(sql, effect)?;
        refuse_copy(effect.copies)?;
        refuse_params(parameters.len())?;
        let guard = self.begin_statement(effect, sql);
        let result = self.run_known_or_new(sql, known, effect, parameters, &mut each).await;
        guard.finished();
        Ok(result?)
    }

    async fn run_known_or_new(
        &self,
        sql: &str,
        known: Option<PreparedStatement>,
        effect: SqlEffect,
        parameters: &[&(dyn ToSql + Sync)],
        each: &mut impl FnMut(Row),
    ) -> Result<u64, PgError> {
        let was_known = known.is_some();
        let prepared = match known {
            Some(known) => known,
            None => self.prepare(sql, effect).await?,
        };
        match self.run_once(&prepared, parameters, each).await {
            Ok(count) => Ok(count),
            Err(failure) => {
                let again = self.replace_stale(sql, &prepared, was_known, failure).await?;
                self.run_once(&again, parameters, each)
                    .await
                    .map_err(|failure| self.record_failure(failure, sql, false).0)
            }
        }
    }

    /// Returns a new statement for one that failed because it was stale, if the failed one has had no effect yet.
    pub(crate) async fn replace_stale(
        &self,
        sql: &str,
        failed: &PreparedStatement,
        was_known: bool,
        failure: StatementFailure,
    ) -> Result<PreparedStatement, PgError> {
        if failure.stale() == Some(Stale::TypeMismatch) {
            let again = self.prepare_again(sql, failed).await?;
            return again.ok_or_else(|| self.record_failure(failure, sql, was_known).0);
        }
        let effect = failed.effect;
        // The server undoes a statement that fails, except for one that ends transactions of its own.
        let is_undone = !failure.has_begun || !(effect.taints_session || failure.has_rows);
        match self.record_failure(failure, sql, was_known) {
            // Inside a transaction the failure has ended it: the whole body has to be repeated.
            (_, true) if is_undone && self.tx_state == TxState::Idle => self.prepare(sql, effect).await,
            (error, _) => Err(error),
        }
    }

    /// Records a statement that has failed. Returns its error, and whether it was stale.
    pub(crate) fn record_failure(
        &self,
        failure: StatementFailure,
        sql: &str,
        was_known: bool,
    ) -> (PgError, bool) {
        let is_stale = match failure.stale() {
            Some(Stale::Deallocated) => {
                self.statements.clear();
                true
            }
            Some(Stale::SchemaChanged) if was_known => {
                self.statements.invalidate_all(self.client());
                true
            }
            // It was prepared a moment ago: the statement itself is wrong.
            Some(Stale::SchemaChanged) => {
                self.statements.remove(sql);
                false
            }
            Some(Stale::TypeMismatch) | None => false,
        };
        self.record_end(failure.number, Some(&failure.error), is_stale);
        (self.explained(failure.error), is_stale)
    }

    /// Prepares a statement again, with the types as they are now. Returns `None` if they have not changed.
    pub(crate) async fn prepare_again(
        &self,
        sql: &str,
        before: &PreparedStatement,
    ) -> Result<Option<PreparedStatement>, PgError> {
        self.client().clear_type_cache();
        let now = self.prepare(sql, before.effect).await?;
        if have_same_types(&before.statement, &now.statement) {
            return Ok(None);
        }
        self.statements.invalidate_all(self.client());
        self.statements.insert(sql, now.clone());
        Ok(Some(now))
    }

    /// Returns the statement if it is prepared.
    pub(crate) fn known(&self, sql: &str) -> Option<PreparedStatement> {
        self.statements.get(self.client(), sql)
    }

    /// Returns the statement, prepared now if it was not, and whether it was prepared before.
    pub(crate) async fn get_or_prepare(&self, sql: &str) -> Result<(PreparedStatement, bool), PgError> {
        match self.known(sql) {
            Some(known) => Ok((known, true)),
            None => Ok((self.prepare(sql, SqlEffect::of(sql)).await?, false)),
        }
    }

    pub(crate) async fn prepare(&self, sql: &str, effect: SqlEffect) -> Result<PreparedStatement, PgError> {
        let guard = StatementGuard { connection: self, edge: self.edges.begin_prepare(sql) };
        let number = self.next_number();
        let text = self.pooling().is_unnamed.then(|| sql.into());
        let prepared = |statement| PreparedStatement { statement, effect, text };
        let result = self.client().prepare(sql).await.map(prepared);
        match &result {
            Ok(prepared) => self.statements.insert(sql, prepared.clone()),
            Err(error) => {
                // The client's own statements, by which it looks up types, are gone, and it prepares them only once.
                let is_gone = error.code() == Some(&SqlState::INVALID_SQL_STATEMENT_NAME);
                if is_gone {
                    self.worsen(Condition::Lost);
                }
                self.record_end(number, Some(error), is_gone);
            }
        }
        guard.finished();
        result.map_err(|error| self.explained(error))
    }

    /// Runs a prepared statement once. It is sent when the future is first polled.
    pub(crate) async fn run_once(
        &self,
        prepared: &PreparedStatement,
        parameters: &[&(dyn ToSql + Sync)],
        each: &mut impl FnMut(Row),
    ) -> Result<u64, StatementFailure> {
        let mut has_rows = false;
        let (number, rows) = self.open_once(prepared, parameters).await?;
        let mut rows = pin!(rows);
        while let Some(row) = poll_fn(|cx| rows.as_mut().poll_next(cx)).await {
            let failure = |error| StatementFailure { error, number, has_begun: true, has_rows };
            each(row.map_err(failure)?);
            has_rows = true;
        }
        self.tx().on_success(number);
        Ok(rows.rows_affected().unwrap_or(0))
    }

    /// Sends a prepared statement once, and returns its number and its rows.
    ///
    /// A statement without a name has the columns that it has at this moment: nobody would notice that they have changed.
    async fn open_once(
        &self,
        prepared: &PreparedStatement,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<(u64, RowStream), StatementFailure> {
        let number = self.next_number();
        let failure = |error| StatementFailure { error, number, has_begun: false, has_rows: false };
        let types = prepared.statement.params();
        let rows = match &prepared.text {
            // The client refuses another number of parameters by itself if it knows the statement.
            Some(text) if types.len() == parameters.len() => {
                let typed = parameters.iter().copied().zip(types.iter().cloned());
                self.client().query_typed_raw(text, typed).await
            }
            _ => self.client().query_raw(&prepared.statement, parameters.iter().copied()).await,
        };
        Ok((number, rows.map_err(failure)?))
    }

    /// Begins a statement whose rows the caller reads, and returns its number and its rows. From then on the caller
    /// answers for the connection.
    pub(crate) async fn open(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<(u64, RowStream), Error> {
        let known = self.known(sql);
        let effect = known.as_ref().map_or_else(|| SqlEffect::of(sql), |known| known.effect);
        self.refuse_tx_end(effect.ends_tx)?;
        self.refuse_session_use(sql, effect)?;
        refuse_copy(effect.copies)?;
        refuse_params(parameters.len())?;
        let guard = self.begin_statement(effect, sql);
        let result = async {
            let was_known = known.is_some();
            let prepared = match known {
                Some(known) => known,
                None => self.prepare(sql, effect).await?,
            };
            match self.open_once(&prepared, parameters).await {
                Ok(opened) => Ok(opened),
                Err(failure) => {
                    let again = self.replace_stale(sql, &prepared, was_known, failure).await?;
                    let opened = self.open_once(&again, parameters).await;
                    opened.map_err(|failure| self.record_failure(failure, sql, false).0)
                }
            }
        };
        let result: Result<_, PgError> = result.await;
        guard.finished();
        Ok(result?)
    }

    /// Refuses a statement that needs its session beyond the transaction, if others use the session after it.
    pub(crate) fn refuse_session_use(&self, sql: &str, effect: SqlEffect) -> Result<(), Error> {
        let needs_session = self.pooling().is_shared && effect.taints_session;
        let found = needs_session.then(|| session_use(sql, self.tx_state == TxState::Open)).flatten();
        found.map_or(Ok(()), |why| Err(Error::Unsupported(why)))
    }

    /// Forgets a statement, and the types that the client knows.
    pub(crate) fn forget(&self, sql: &str) {
        self.client().clear_type_cache();
        self.statements.remove(sql);
    }
}

/// Refuses a `COPY` over the connection: the client would leave the server in the middle of it.
pub(crate) fn refuse_copy(copies: bool) -> Result<(), Error> {
    let why = "a `COPY` with `STDIN` or `STDOUT` has calls of its own: `copy_in`, `copy_in_bytes`, `copy_out` and \
        `copy_out_bytes`";
    if copies { Err(Error::Unsupported(why)) } else { Ok(()) }
}

/// Refuses more parameters than a message can have: their number would arrive as another one.
pub(crate) fn refuse_params(count: usize) -> Result<(), Error> {
    let why = "a statement has at most 65,535 parameters: pass an array as one of them, or use `insert_many` or `copy_in`";
    if count > MAX_PARAMS { Err(Error::Unsupported(why)) } else { Ok(()) }
}
