//! Runs several statements, pipelined.
//!
//! # How it works
//!
//! The client sends a statement when its future is first polled, so all statements are polled once, in their order, and
//! then awaited. Each has a `Sync` of its own, and the transaction holds them together: after a failure the server refuses
//! those that follow, and a commit that was sent with them rolls back.
//!
//! `BEGIN` is awaited before the statements are sent: if it failed, each of them would be committed alone.

use std::{
    collections::{HashMap, VecDeque},
    pin::{Pin, pin},
};

use tokio_postgres::{
    Row,
    error::{DbError, Severity},
};

use super::{Session, answer, send};
use crate::{
    Error,
    batch::{BatchStatement, SqlBatch, SqlBatchResult},
    connection::{
        Condition, StatementGuard,
        prepared::{PreparedStatement, StatementFailure},
        run::{MAX_PARAMS, refuse_copy, refuse_params},
    },
    sql::effect::SqlEffect,
};

/// The number of statements in flight at a time.
const MAX_IN_FLIGHT: usize = 256;

/// The statements of a batch, prepared, and whether each was before.
type Statements = Vec<(PreparedStatement, bool)>;

type Answer = (Result<u64, StatementFailure>, Vec<Row>);

/// A statement that was sent, and its answer if there is one already.
struct Sent<'a> {
    index: usize,
    answer: Option<Answer>,
    future: Pin<Box<dyn Future<Output = Answer> + Send + 'a>>,
}

/// The results so far, and the first failure.
#[derive(Default)]
struct Results {
    results: Vec<SqlBatchResult>,
    failure: Option<(usize, tokio_postgres::Error)>,
}

impl Session {
    /// Begins a transaction, and prepares the statements in the same round trip.
    pub(crate) async fn begin_batch(&mut self, batch: &SqlBatch<'_>) -> Result<Statements, Error> {
        self.lease_mut().begin_tx(false);
        self.lease_mut().tx_is_of_call = true;
        let session = &*self;
        let (mut begins, mut begun) = (pin!(session.control("BEGIN")), None);
        send(&mut begun, begins.as_mut()).await;
        let statements = session.prepare_batch(batch).await;
        answer(begun, begins).await?;
        statements
    }

    /// Prepares the statements that were not, all at once.
    pub(crate) async fn prepare_batch(&self, batch: &SqlBatch<'_>) -> Result<Statements, Error> {
        // A text that takes so many is as long.
        let mut long = batch.statements.iter().filter(|statement| statement.sql.len() > MAX_PARAMS);
        long.try_for_each(|statement| refuse_params(statement.params.refs().len()))?;
        // The texts, and the first statement of each: a connection may keep fewer statements than the batch has texts.
        let mut texts = HashMap::new();
        let mut prepares = Vec::new();
        for (index, BatchStatement { sql, .. }) in batch.statements.iter().enumerate() {
            let first = *texts.entry(sql).or_insert(index);
            let known = if first == index { self.known(sql) } else { None };
            let is_new = first == index && known.is_none();
            let mut future = is_new.then(|| Box::pin(self.prepare(sql, SqlEffect::of(sql))));
            let mut prepared = None;
            if let Some(future) = &mut future {
                send(&mut prepared, future.as_mut()).await;
            }
            prepares.push((first, known, prepared, future));
        }
        let mut statements = Statements::new();
        let mut failure = None;
        for (index, (first, known, prepared, future)) in prepares.into_iter().enumerate() {
            match (future, known) {
                (Some(mut future), _) => match answer(prepared, future.as_mut()).await {
                    Ok(new) => statements.push((new, false)),
                    // The answers after it are read, so that the connection is in order.
                    Err(error) => drop(failure.get_or_insert((index, error))),
                },
                (None, Some(known)) => statements.push((known, true)),
                (None, None) => {
                    let same = statements.get(first).cloned();
                    statements.extend(same);
                }
            }
        }
        match failure {
            Some((index, error)) => Err(failed(batch, index, error)),
            None => Ok(statements),
        }
    }

    /// Runs the statements in the transaction that is open.
    pub(crate) async fn batch(&self, batch: &SqlBatch<'_>) -> Result<Vec<SqlBatchResult>, Error> {
        let statements = self.prepare_batch(batch).await?;
        self.run_statements(batch, statements, None).await
    }

    /// Runs the statements and commits, or rolls back.
    pub(crate) async fn commit_batch(
        &mut self,
        batch: &SqlBatch<'_>,
        statements: Statements,
    ) -> Result<Vec<SqlBatchResult>, Error> {
        let mut committed = None;
        let result = self.run_statements(batch, statements, Some(&mut committed)).await;
        let is_lost = self.condition() == Condition::Lost;
        let is_refused = |error: &tokio_postgres::Error| {
            error.as_db_error().and_then(DbError::parsed_severity) == Some(Severity::Error)
        };
        match (result, committed) {
            (Err(error), None) => {
                self.roll_back().await;
                Err(error)
            }
            (Err(Error::Batch { error, .. }), Some(_)) if is_lost && !is_refused(&error) => {
                Err(Error::CommitUnknown(Some(error)))
            }
            (Ok(_), Some(Err(error))) if !is_refused(&error) => Err(Error::CommitUnknown(Some(error))),
            (result, committed) => {
                self.lease_mut().end_tx();
                let results = result?;
                committed.transpose()?;
                Ok(results)
            }
        }
    }

    /// Runs the statements, and a commit directly behind them if its result is asked for.
    async fn run_statements(
        &self,
        batch: &SqlBatch<'_>,
        mut statements: Statements,
        committed: Option<&mut Option<Result<(), tokio_postgres::Error>>>,
    ) -> Result<Vec<SqlBatchResult>, Error> {
        for ((prepared, _), BatchStatement { sql, .. }) in statements.iter().zip(&batch.statements) {
            self.refuse_tx_end(prepared.effect.ends_tx)?;
            self.refuse_session_use(sql, prepared.effect)?;
            refuse_copy(prepared.effect.copies)?;
        }
        let with_texts = statements.iter().zip(&batch.statements);
        let guards: Vec<_> = with_texts
            .map(|((prepared, _), statement)| self.begin_statement(prepared.effect, &statement.sql))
            .collect();
        let mut results = Results::default();
        let mut in_flight = VecDeque::new();
        for (index, BatchStatement { sql, .. }) in batch.statements.iter().enumerate() {
            if in_flight.len() == MAX_IN_FLIGHT {
                self.read_answer(batch, &statements, &mut in_flight, &mut results).await;
            }
            if results.failure.is_some() {
                break;
            }
            let (prepared, was_known) = &statements[index];
            let mut sent = self.send_statement(batch, index, prepared.clone()).await;
            // The parameters do not fit, and nothing was sent.
            if let Some((Err(failure), _)) = sent.answer.take_if(|(result, _)| result.is_err()) {
                while self.read_answer(batch, &statements, &mut in_flight, &mut results).await {}
                match self.replace_stale(sql, prepared, *was_known, failure).await {
                    Ok(again) => {
                        sent = self.send_statement(batch, index, again.clone()).await;
                        statements[index] = (again, false);
                    }
                    Err(error) => {
                        results.failure.get_or_insert((index, error));
                        break;
                    }
                }
            }
            in_flight.push_back(sent);
        }
        let mut commits = pin!(self.control("COMMIT"));
        match committed {
            Some(committed) if results.failure.is_none() => {
                send(committed, commits.as_mut()).await;
                while self.read_answer(batch, &statements, &mut in_flight, &mut results).await {}
                *committed = Some(answer(committed.take(), commits).await);
            }
            _ => while self.read_answer(batch, &statements, &mut in_flight, &mut results).await {},
        }
        guards.into_iter().for_each(StatementGuard::finished);
        match results.failure {
            Some((index, error)) => Err(failed(batch, index, error)),
            None => Ok(results.results),
        }
    }

    /// Sends a statement.
    async fn send_statement<'a>(
        &'a self,
        batch: &'a SqlBatch<'_>,
        index: usize,
        prepared: PreparedStatement,
    ) -> Sent<'a> {
        let params = &batch.statements[index].params;
        let future = Box::pin(async move {
            let mut rows = Vec::new();
            let result = self.run_once(&prepared, &params.refs(), &mut |row| rows.push(row)).await;
            (result, rows)
        });
        let mut sent = Sent { index, answer: None, future };
        send(&mut sent.answer, sent.future.as_mut()).await;
        sent
    }

    /// Reads the answer to the statement that was sent first; returns `false` if there is none.
    async fn read_answer(
        &self,
        batch: &SqlBatch<'_>,
        statements: &Statements,
        in_flight: &mut VecDeque<Sent<'_>>,
        results: &mut Results,
    ) -> bool {
        let Some(mut sent) = in_flight.pop_front() else { return false };
        let (index, (result, rows)) = (sent.index, answer(sent.answer, sent.future.as_mut()).await);
        match result {
            Ok(affected) => results.results.push(SqlBatchResult { affected, rows }),
            Err(failure) => {
                let sql = &batch.statements[index].sql;
                let (error, _) = self.record_failure(failure, sql, statements[index].1);
                results.failure.get_or_insert((index, error));
            }
        }
        true
    }
}

fn failed(batch: &SqlBatch<'_>, index: usize, error: tokio_postgres::Error) -> Error {
    Error::Batch { index, sql: batch.statements[index].sql.clone(), error }
}
