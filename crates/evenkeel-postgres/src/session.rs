//! A session: a leased connection in the hands of one user.

mod batch;
mod execute_many;

use std::{
    future::poll_fn,
    ops::Deref,
    panic::Location,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
};

use evenkeel_pool::Lease;
use tokio::{runtime::Handle, time::timeout};
use tokio_postgres::{
    Row,
    error::{DbError, Severity},
    types::ToSql,
};

use crate::{
    Error, FromRow, Params, TxOptions,
    connection::{Condition, Connection, TxState, prepared::PreparedStatement},
    manager::ConnectionManager,
    recycle::Recycler,
    row::read_all,
    sql::effect::SqlEffect,
    sqlstate::{is_in_failed_transaction, is_wrong_type},
};

/// A leased connection. Dropping it returns the connection, by way of the recycler if need be.
pub(crate) struct Session {
    // `None` after the return.
    lease: Option<Lease<ConnectionManager>>,
    recycler: Arc<Recycler>,
    runtime: Handle,
}

const LEASED: &str = "a session has its connection until it is dropped";

impl Session {
    pub(crate) fn new(
        mut lease: Lease<ConnectionManager>,
        recycler: Arc<Recycler>,
        place: &'static Location<'static>,
    ) -> Self {
        lease.begin_use(place);
        Self { lease: Some(lease), recycler, runtime: Handle::current() }
    }

    /// Fetches all rows; more than `max` are an error.
    pub(crate) async fn fetch<R: FromRow>(
        &self,
        sql: &str,
        params: impl Params,
        max: Option<usize>,
    ) -> Result<Vec<R>, Error> {
        let params = params.refs();
        let rows = self.rows(sql, &params, max).await?;
        let error = match read_all(rows) {
            Err(Error::Decode(error)) if is_wrong_type(&*error) => error,
            decoded => return decoded,
        };
        // The types that the client knows may be stale. A statement that only read can run again with the new ones.
        let (prepared, _) = self.get_or_prepare(sql).await?;
        let reads_only = !prepared.effect.taints_session && !prepared.effect.writes;
        match self.prepare_again(sql, &prepared).await {
            Ok(Some(_)) if reads_only => read_all(self.rows(sql, &params, max).await?),
            _ => Err(Error::Decode(error)),
        }
    }

    async fn rows(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
        max: Option<usize>,
    ) -> Result<Vec<Row>, Error> {
        let (mut rows, mut count) = (Vec::new(), 0);
        let each = |row| {
            count += 1;
            if max.is_none_or(|max| rows.len() < max) {
                rows.push(row);
            }
        };
        self.run(sql, params, each).await?;
        if rows.len() as u64 == count { Ok(rows) } else { Err(Error::RowCount(count)) }
    }

    pub(crate) async fn execute(&self, sql: &str, params: impl Params) -> Result<u64, Error> {
        self.run(sql, &params.refs(), drop).await
    }

    /// Begins a transaction.
    pub(crate) async fn begin(&mut self, begin: &str) -> Result<(), Error> {
        self.lease_mut().begin_tx(begin.ends_with(" READ ONLY"));
        Ok(self.control(begin).await?)
    }

    /// Begins a transaction of one call, and prepares a statement in the same round trip.
    ///
    /// The statement is prepared even if it was before: `execute_many` sends rows before there is an answer, and cannot send
    /// them again if it is stale.
    pub(crate) async fn begin_with(&mut self, sql: &str) -> Result<PreparedStatement, Error> {
        self.lease_mut().begin_tx(false);
        self.lease_mut().tx_is_of_call = true;
        let begin = TxOptions::new().begin();
        let mut begins = pin!(self.control(&begin));
        let mut prepares = pin!(self.prepare(sql, SqlEffect::of(sql)));
        let (mut begun, mut prepared) = (None, None);
        // They are sent in the order of their first polls.
        poll_fn(|cx| {
            let begun = poll_into(&mut begun, begins.as_mut(), cx);
            let prepared = poll_into(&mut prepared, prepares.as_mut(), cx);
            if begun.is_ready() { prepared } else { begun }
        })
        .await;
        begun.transpose()?;
        Ok(prepared.expect("both were polled to their ends")?)
    }

    /// Commits the transaction, or rolls it back and returns the reason. Sets `committing` when the commit may reach the
    /// server, so that a caller that stops waiting knows that the outcome is unknown.
    pub(crate) async fn commit(&mut self, committing: &mut bool) -> Result<(), Error> {
        if self.condition() == Condition::Abandoned {
            return Err(Error::Abandoned);
        }
        let can_commit = if self.tx().has_ended { Err(Error::Ended) } else { self.check_open().await };
        if let Err(error) = can_commit {
            self.roll_back().await;
            return Err(error);
        }
        self.lease_mut().tx_state = TxState::Committing;
        let can_arrive = !self.is_closed();
        *committing = can_arrive;
        let result = self.control("COMMIT").await;
        let severity = |error: &tokio_postgres::Error| error.as_db_error().and_then(DbError::parsed_severity);
        match result {
            Err(error)
                if can_arrive
                    && severity(&error) != Some(Severity::Error)
                    && self.never_began(&error).is_none() =>
            {
                Err(Error::CommitUnknown(Some(error)))
            }
            // Also after an error of this severity the transaction is over, and the connection in order.
            result => {
                self.lease_mut().end_tx();
                Ok(result?)
            }
        }
    }

    /// Checks that the transaction is still open. A failure has ended it, unless it went back to a savepoint, and the
    /// server answers to the commit of a failed transaction without an error.
    async fn check_open(&self) -> Result<(), Error> {
        let Some(failure) = self.tx().failure.clone() else { return self.check_identity().await };
        match self.control("SELECT 1").await {
            Ok(()) => self.check_identity().await,
            Err(error) if is_in_failed_transaction(&error) => Err(Error::Aborted(failure.error)),
            Err(error) => Err(error.into()),
        }
    }

    /// Rolls the transaction back; in the background if the server is busy or slow.
    pub(crate) async fn roll_back(&mut self) {
        if self.condition() >= Condition::Abandoned {
            return;
        }
        if let Ok(Ok(())) = timeout(self.recycler.timeout, self.control("ROLLBACK")).await {
            self.lease_mut().end_tx();
        }
    }

    fn lease_mut(&mut self) -> &mut Lease<ConnectionManager> {
        self.lease.as_mut().expect(LEASED)
    }
}

/// Polls a future until it is ready, and stores its output.
fn poll_into<F: Future + ?Sized>(
    output: &mut Option<F::Output>,
    future: Pin<&mut F>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    if output.is_none() {
        *output = Some(ready!(future.poll(cx)));
    }
    Poll::Ready(())
}

/// Polls a future once, by which it sends its statement, and stores its output if it is ready.
async fn send<F: Future + ?Sized>(output: &mut Option<F::Output>, mut future: Pin<&mut F>) {
    let _ = poll_fn(|cx| Poll::Ready(poll_into(output, future.as_mut(), cx))).await;
}

/// Waits for the output of a future that may have been stored.
async fn answer<F: Future + ?Sized>(output: Option<F::Output>, future: Pin<&mut F>) -> F::Output {
    match output {
        Some(output) => output,
        None => future.await,
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.edges.end_use();
            self.recycler.recycle(lease, &self.runtime);
        }
    }
}

impl Deref for Session {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.lease.as_ref().expect(LEASED)
    }
}

/// Ends the transaction of a call whose statements had this result.
pub(crate) async fn end_call(mut session: Session, result: Result<u64, Error>) -> Result<u64, Error> {
    match result {
        Ok(count) => session.commit(&mut false).await.map(|()| count),
        Err(error) => {
            session.roll_back().await;
            Err(error)
        }
    }
}
