//! A connection in use.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::ops::Deref;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use evenkeel_pool::Lease;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_postgres::error::{DbError, Severity, SqlState};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

use crate::connection::prepared::{Failed, Prepared, is_wrong_type};
use crate::connection::{Condition, Connection, Stage};
use crate::manager::Connector;
use crate::params::sealed::Refs as _;
use crate::recycle::Cleaner;
use crate::sql::effect::Effect;
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
    pub(crate) fn new(mut lease: Lease<Connector>, cleaner: Arc<Cleaner>) -> Self {
        lease.hand_over();
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
        Ok(self.fetch(sql, params, Some(1)).await?.pop())
    }

    pub(crate) async fn fetch_all<R: FromRow>(
        &self,
        sql: &str,
        params: impl Params,
    ) -> Result<Vec<R>, Error> {
        self.fetch(sql, params, None).await
    }

    /// Fetches all rows; more than `most` are an error.
    async fn fetch<R: FromRow>(
        &self,
        sql: &str,
        params: impl Params,
        most: Option<usize>,
    ) -> Result<Vec<R>, Error> {
        let params = params.refs();
        let rows = self.rows(sql, &params, most).await?;
        let error = match decode(rows) {
            Err(Error::Decode(error)) if is_wrong_type(&*error) => error,
            decoded => return decoded,
        };
        // What was known of the types may be out of date; then what was only read may be read again.
        let (Prepared { statement, effect }, _) = self.prepared(sql).await?;
        match self.renew(sql, effect, &statement).await {
            Ok(Some(_)) if !effect.taints && !effect.writes => decode(self.rows(sql, &params, most).await?),
            _ => Err(Error::Decode(error)),
        }
    }

    async fn rows(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
        most: Option<usize>,
    ) -> Result<Vec<Row>, Error> {
        let (mut rows, mut count) = (Vec::new(), 0);
        let each = |row| {
            count += 1;
            if most.is_none_or(|most| rows.len() < most) {
                rows.push(row);
            }
        };
        self.run(sql, params, each).await?;
        if rows.len() as u64 == count { Ok(rows) } else { Err(Error::RowCount(count)) }
    }

    pub(crate) async fn execute(&self, sql: &str, params: impl Params) -> Result<u64, Error> {
        self.run(sql, &params.refs(), drop).await
    }

    /// Runs a statement for each row.
    pub(crate) async fn execute_many<I>(&self, sql: &str, rows: I) -> Result<u64, Error>
    where
        I: IntoIterator<Item: Params>,
    {
        let (Prepared { mut statement, effect }, mut was_known) = self.prepared(sql).await?;
        self.refuse(effect.ends)?;
        let running = self.running(effect);
        let send = |statement: Statement, row: I::Item| {
            Box::pin(async move { (self.run_once(&statement, &row.refs(), &mut drop).await, row) })
        };
        let mut total: Total = Ok(0);
        let mut rows = (0..).zip(rows);
        let mut window = VecDeque::with_capacity(WINDOW);
        loop {
            while window.len() < WINDOW
                && total.is_ok()
                && let Some((index, row)) = rows.next()
            {
                let mut one = send(statement.clone(), row);
                // The first poll sends it.
                let mut first = poll_fn(|cx| Poll::Ready(one.as_mut().poll(cx))).await;
                if let Poll::Ready((Err(failed), row)) = first {
                    // It was refused before it was sent. The answers that are under way make room for another one.
                    while self.next_answer(&mut window, &mut total, sql, was_known).await {}
                    match self.again(sql, effect, &statement, was_known, failed).await {
                        Ok(again) => {
                            (statement, was_known) = (again, false);
                            one = send(statement.clone(), row);
                            first = poll_fn(|cx| Poll::Ready(one.as_mut().poll(cx))).await;
                        }
                        Err(error) => {
                            add(&mut total, index, Err(error));
                            break;
                        }
                    }
                }
                match first {
                    Poll::Ready((result, _)) => {
                        add(&mut total, index, result.map_err(|failed| self.fail(failed, sql, was_known).0));
                    }
                    Poll::Pending => window.push_back((index, one)),
                }
            }
            if !self.next_answer(&mut window, &mut total, sql, was_known).await {
                break;
            }
        }
        running.end();
        total.map_err(|(index, error)| Error::Row(index, error))
    }

    /// Waits for the answer to the row that was sent first; false if there is none.
    async fn next_answer<R>(
        &self,
        window: &mut VecDeque<(u64, impl Future<Output = (Result<u64, Failed>, R)>)>,
        total: &mut Total,
        sql: &str,
        was_known: bool,
    ) -> bool {
        let Some((index, one)) = window.pop_front() else { return false };
        let (result, _) = one.await;
        add(total, index, result.map_err(|failed| self.fail(failed, sql, was_known).0));
        true
    }

    pub(crate) async fn batch_execute(&self, sql: &str) -> Result<(), Error> {
        self.run_batch(sql).await
    }

    /// Begins a transaction.
    pub(crate) async fn begin(&mut self, sql: &str) -> Result<(), Error> {
        self.lease_mut().begin();
        self.lease_mut().read_only = sql.ends_with(" READ ONLY");
        Ok(self.control(sql).await?)
    }

    /// Begins a transaction, and prepares a statement on the way, whether it was before or not: its rows are sent
    /// before there is an answer, and cannot be sent again if it is out of date.
    pub(crate) async fn begin_with(&mut self, begin: &str, sql: &str) -> Result<(), Error> {
        self.lease_mut().begin();
        let mut begins = pin!(self.control(begin));
        let mut prepares = pin!(self.prepare(sql, Effect::of(sql)));
        let (mut begun, mut prepared) = (None, None);
        // In this order they are sent.
        poll_fn(|cx| {
            match (step(&mut begun, begins.as_mut(), cx), step(&mut prepared, prepares.as_mut(), cx)) {
                (Poll::Ready(()), Poll::Ready(())) => Poll::Ready(()),
                _ => Poll::Pending,
            }
        })
        .await;
        begun.transpose()?;
        prepared.transpose()?;
        Ok(())
    }

    /// Ends the transaction well, or says why it cannot; says in `committing` when that is under way.
    pub(crate) async fn commit(&mut self, committing: &mut bool) -> Result<(), Error> {
        if self.condition() == Condition::Abandoned {
            return Err(Error::Abandoned);
        }
        let lasts = if self.has_ended() { Err(Error::Ended) } else { self.lasts().await };
        if let Err(error) = lasts {
            self.roll_back().await;
            return Err(error);
        }
        self.lease_mut().stage = Stage::Committing;
        let can_arrive = !self.is_closed();
        *committing = can_arrive;
        let result = self.control("COMMIT").await;
        let severity = |error: &tokio_postgres::Error| error.as_db_error().and_then(DbError::parsed_severity);
        match result {
            // The transaction is over after an error, and the server is in order.
            Err(error)
                if can_arrive
                    && severity(&error) != Some(Severity::Error)
                    && self.unbegun(&error).is_none() =>
            {
                Err(Error::CommitUnknown(Some(error)))
            }
            result => {
                self.lease_mut().stage = Stage::Outside;
                Ok(result?)
            }
        }
    }

    /// Whether the transaction goes on, after a failure in it: it has ended it, unless it was taken back to a
    /// savepoint. To the commit of one that has ended the server answers without an error.
    async fn lasts(&self) -> Result<(), Error> {
        let Some(failure) = self.failure() else { return self.is_sure().await };
        match self.control("SELECT 1").await {
            Ok(()) => self.is_sure().await,
            Err(error) if error.code() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION) => {
                Err(Error::Aborted(failure.error))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Ends the transaction without effect, in the background if the server is busy or slow.
    pub(crate) async fn roll_back(&mut self) {
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

fn decode<R: FromRow>(rows: Vec<Row>) -> Result<Vec<R>, Error> {
    rows.into_iter().map(R::from_row).collect::<Result<_, _>>().map_err(Error::Decode)
}

/// Polls a future until it is ready, and keeps what it gives.
fn step<F: Future>(output: &mut Option<F::Output>, future: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<()> {
    if output.is_none() {
        *output = Some(ready!(future.poll(cx)));
    }
    Poll::Ready(())
}

/// What all rows have come to, or the first that failed.
type Total = Result<u64, (u64, tokio_postgres::Error)>;

/// Adds what a row has come to; of several failures, that of the earliest row counts.
fn add(total: &mut Total, index: u64, result: Result<u64, tokio_postgres::Error>) {
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
