//! A connection in use.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::ops::Deref;
use std::sync::Arc;
use std::task::Poll;

use evenkeel_pool::Lease;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::error::{DbError, Severity, SqlState};

use crate::cleaner::Cleaner;
use crate::connection::{Condition, Connection, Stage};
use crate::connector::Connector;
use crate::params::sealed::Refs as _;
use crate::{Error, FromRow, Params};

/// How many statements of `execute_many` are under way at a time.
const WINDOW: usize = 256;

/// A connection in the hands of one user. Dropping it gives it back, by way of the cleaner if need be.
pub(crate) struct Session {
    // None once it was given back.
    lease: Option<Lease<Connector>>,
    cleaner: Arc<Cleaner>,
    runtime: Handle,
}

const HELD: &str = "a session has its connection until it is dropped";

impl Session {
    pub(crate) fn new(lease: Lease<Connector>, cleaner: Arc<Cleaner>) -> Self {
        Self { lease: Some(lease), cleaner, runtime: Handle::current() }
    }

    pub(crate) async fn fetch_one<R: FromRow>(&self, sql: &str, params: impl Params) -> Result<R, Error> {
        self.fetch_opt(sql, params).await?.ok_or(Error::RowCount(0))
    }

    pub(crate) async fn fetch_opt<R: FromRow>(
        &self,
        sql: &str,
        params: impl Params,
    ) -> Result<Option<R>, Error> {
        let (mut first, mut count) = (None, 0);
        let each = |row| {
            count += 1;
            first = Some(row);
        };
        self.run(sql, &params.refs(), each).await?;
        if count > 1 {
            return Err(Error::RowCount(count));
        }
        first.map(decode).transpose()
    }

    pub(crate) async fn fetch_all<R: FromRow>(
        &self,
        sql: &str,
        params: impl Params,
    ) -> Result<Vec<R>, Error> {
        let mut rows = Vec::new();
        self.run(sql, &params.refs(), |row| rows.push(row)).await?;
        rows.into_iter().map(decode).collect()
    }

    pub(crate) async fn execute(&self, sql: &str, params: impl Params) -> Result<u64, Error> {
        Ok(self.run(sql, &params.refs(), drop).await?)
    }

    pub(crate) async fn execute_many<I>(&self, sql: &str, rows: I) -> Result<u64, Error>
    where
        I: IntoIterator<Item: Params>,
    {
        let running = self.running(sql);
        let prepared = self.prepare(sql).await;
        self.settle(sql, &prepared);
        let statement = match prepared {
            Ok(statement) => statement,
            Err(error) => {
                running.end();
                return Err(error.into());
            }
        };
        let statement = &statement;
        let mut total = Ok(0);
        let mut rows = (0..).zip(rows);
        let mut window = VecDeque::with_capacity(WINDOW);
        loop {
            while window.len() < WINDOW
                && total.is_ok()
                && let Some((index, row)) = rows.next()
            {
                let mut one = Box::pin(async move { self.run_prepared(statement, &row.refs()).await });
                // The first poll sends it.
                match poll_fn(|cx| Poll::Ready(one.as_mut().poll(cx))).await {
                    Poll::Ready(result) => add(&mut total, index, result),
                    Poll::Pending => window.push_back((index, one)),
                }
            }
            let Some((index, one)) = window.pop_front() else { break };
            let result = one.await;
            self.settle(sql, &result);
            add(&mut total, index, result);
        }
        running.end();
        total.map_err(|(index, error)| Error::Row(index, error))
    }

    pub(crate) async fn batch_execute(&self, sql: &str) -> Result<(), Error> {
        Ok(self.run_batch(sql).await?)
    }

    /// Begins a transaction.
    pub(crate) async fn begin(&mut self, sql: &str) -> Result<(), Error> {
        self.forget_failure();
        self.lease_mut().stage = Stage::Inside;
        Ok(self.control(sql).await?)
    }

    /// Ends the transaction well, or says why it cannot; says in `committing` when that is under way.
    pub(crate) async fn commit(mut self, committing: &mut bool) -> Result<(), Error> {
        if self.condition() == Condition::Abandoned {
            return Err(Error::Abandoned);
        }
        if let Some(failure) = self.failure() {
            // A failure ends the transaction, unless it was taken back to a savepoint. To the commit of one that has
            // ended the server answers without an error.
            if let Err(error) = self.control("SELECT 1").await {
                let ended = error.code() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION);
                self.roll_back().await;
                return Err(if ended { Error::Aborted(failure) } else { error.into() });
            }
        }
        self.lease_mut().stage = Stage::Committing;
        let can_arrive = !self.is_closed();
        *committing = can_arrive;
        let result = self.control("COMMIT").await;
        let severity = |error: &tokio_postgres::Error| error.as_db_error().and_then(DbError::parsed_severity);
        match result {
            // The transaction is over after an error, and the server is in order.
            Err(error) if can_arrive && severity(&error) != Some(Severity::Error) => {
                Err(Error::CommitUnknown(Some(error)))
            }
            result => {
                self.lease_mut().stage = Stage::Outside;
                Ok(result?)
            }
        }
    }

    /// Ends the transaction without effect, in the background if the server is busy or slow.
    pub(crate) async fn roll_back(mut self) {
        if self.condition() >= Condition::Abandoned {
            return;
        }
        if let Ok(Ok(())) = timeout(self.cleaner.limit, self.control("ROLLBACK")).await {
            self.lease_mut().stage = Stage::Outside;
        }
    }

    fn lease_mut(&mut self) -> &mut Lease<Connector> {
        self.lease.as_mut().expect(HELD)
    }
}

fn decode<R: FromRow>(row: Row) -> Result<R, Error> {
    R::from_row(row).map_err(Error::Decode)
}

/// Adds what a row has come to; of several failures, that of the earliest row counts.
fn add(
    total: &mut Result<u64, (u64, tokio_postgres::Error)>,
    index: u64,
    result: Result<u64, tokio_postgres::Error>,
) {
    match (&mut *total, result) {
        (Ok(total), Ok(count)) => *total += count,
        (Err((first, _)), Err(error)) if index < *first => *total = Err((index, error)),
        (Ok(_), Err(error)) => *total = Err((index, error)),
        (Err(_), _) => {}
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            self.cleaner.take(lease, &self.runtime);
        }
    }
}

impl Deref for Session {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.lease.as_ref().expect(HELD)
    }
}
