//! A connection, and what is known of its state.

mod pipelined_results;
pub(crate) mod prepared;
mod reset;
mod statement_cache;
mod tx_identity;
mod tx_record;

use std::future::poll_fn;
use std::mem;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use deadpool_postgres::Manager;
use evenkeel_pool::Adopted;
use futures_core::Stream;
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::types::ToSql;
use tokio_postgres::{CancelToken, Row, SimpleQueryMessage, Statement};

use crate::Error;
use crate::connection::pipelined_results::Ahead;
use crate::connection::prepared::{Failed, Generation, OutOfDate, Prepared, Statements, are_alike};
use crate::connection::tx_identity::{IDENTITY, Watch};
use crate::connection::tx_record::{Failure, Failures};
use crate::error::is_lost;
use crate::origin::Origin;
use crate::sql::effect::Effect;
use crate::sql::ends_tx::Ends;

/// A connection of the pool.
///
/// It keeps account of itself, so that one that was used in an orderly way needs no question to the server before it
/// is used again.
pub(crate) struct Connection {
    client: Adopted<Manager>,
    pub(crate) origin: Origin,
    ahead: Ahead,
    /// Whether its transaction is to write nothing.
    pub(crate) read_only: bool,
    statements: Statements,
    condition: AtomicU8,
    reset_always: bool,
    pub(crate) stage: Stage,
    // How many statements were sent.
    sent: AtomicU64,
    // Whether this user, and those before, may have drawn from sequences, of which the session keeps the last values.
    draws: AtomicBool,
    drew: AtomicBool,
    failures: Failures,
    watch: Watch,
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
    pub(crate) fn new(
        client: Adopted<Manager>,
        origin: Origin,
        generation: Generation,
        reset_always: bool,
    ) -> Self {
        Self {
            client,
            origin,
            ahead: Ahead::default(),
            read_only: false,
            statements: Statements::new(generation),
            condition: AtomicU8::new(Condition::Clean as u8),
            reset_always,
            stage: Stage::Outside,
            sent: AtomicU64::new(0),
            draws: AtomicBool::new(false),
            drew: AtomicBool::new(false),
            failures: Failures::default(),
            watch: Watch::default(),
        }
    }

    /// Comes into other hands.
    pub(crate) fn hand_over(&mut self) {
        *self.drew.get_mut() |= mem::take(self.draws.get_mut());
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

    /// What has gone wrong in the transaction so far.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.failures.last()
    }

    /// The session begins a transaction.
    pub(crate) fn begin(&mut self) {
        (self.stage, self.read_only) = (Stage::Inside, false);
        self.failures.forget();
        self.watch.begin();
        // Ahead of it: inside it would fix the snapshot, and the isolation level.
        self.discard_sequences();
    }

    /// Whether a statement in the transaction has ended it, or was to.
    pub(crate) fn has_ended(&self) -> bool {
        self.watch.has_ended()
    }

    /// Runs one statement, and hands out each row; gives the number of rows that it concerned.
    pub(crate) async fn run(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
        mut each: impl FnMut(Row),
    ) -> Result<u64, Error> {
        let known = self.statements.get(&self.client, sql);
        let effect = known.as_ref().map_or_else(|| Effect::of(sql), |known| known.effect);
        self.refuse(effect.ends)?;
        let running = self.running(effect);
        let result = self.run_known_or_new(sql, known, effect, parameters, &mut each).await;
        running.end();
        Ok(result?)
    }

    async fn run_known_or_new(
        &self,
        sql: &str,
        known: Option<Prepared>,
        effect: Effect,
        parameters: &[&(dyn ToSql + Sync)],
        each: &mut impl FnMut(Row),
    ) -> Result<u64, tokio_postgres::Error> {
        let was_known = known.is_some();
        let statement = match known {
            Some(known) => known.statement,
            None => self.prepare(sql, effect).await?,
        };
        match self.run_once(&statement, parameters, each).await {
            Ok(count) => Ok(count),
            Err(failed) => {
                let again = self.again(sql, effect, &statement, was_known, failed).await?;
                self.run_once(&again, parameters, each)
                    .await
                    .map_err(|failed| self.fail(failed, sql, false).0)
            }
        }
    }

    /// The statement to go on with after this failure, if it is one of what was prepared, and nothing was done yet.
    pub(crate) async fn again(
        &self,
        sql: &str,
        effect: Effect,
        statement: &Statement,
        was_known: bool,
        failed: Failed,
    ) -> Result<Statement, tokio_postgres::Error> {
        if failed.out_of_date() == Some(OutOfDate::Unfit) {
            let renewed = self.renew(sql, effect, statement).await?;
            return renewed.ok_or_else(|| self.fail(failed, sql, was_known).0);
        }
        // What a failure ends has had no effect, unless it ends transactions of its own.
        let is_undone = !failed.has_begun || !(effect.taints || failed.has_rows);
        match self.fail(failed, sql, was_known) {
            // It has ended a transaction.
            (_, true) if is_undone && self.stage == Stage::Outside => self.prepare(sql, effect).await,
            (error, _) => Err(error),
        }
    }

    /// Keeps account of a statement that has failed; true if it was out of date.
    pub(crate) fn fail(&self, failed: Failed, sql: &str, was_known: bool) -> (tokio_postgres::Error, bool) {
        let is_out_of_date = match failed.out_of_date() {
            Some(OutOfDate::Gone) => {
                self.statements.forget_all();
                true
            }
            Some(OutOfDate::Changed) if was_known => {
                self.statements.outdate(&self.client);
                true
            }
            // It was prepared a moment ago.
            Some(OutOfDate::Changed) => {
                self.statements.forget(sql);
                false
            }
            Some(OutOfDate::Unfit) | None => false,
        };
        self.conclude(failed.number, Err::<(), _>(&failed.error), is_out_of_date);
        (failed.error, is_out_of_date)
    }

    /// Prepares a statement again, with the types as they are now; none if they are what they were.
    pub(crate) async fn renew(
        &self,
        sql: &str,
        effect: Effect,
        before: &Statement,
    ) -> Result<Option<Statement>, tokio_postgres::Error> {
        self.client.clear_type_cache();
        let statement = self.prepare(sql, effect).await?;
        if are_alike(before, &statement) {
            return Ok(None);
        }
        self.statements.outdate(&self.client);
        self.statements.keep(sql, Prepared { statement: statement.clone(), effect });
        Ok(Some(statement))
    }

    /// The statement as it is prepared, or else prepared now.
    pub(crate) async fn prepared(&self, sql: &str) -> Result<(Prepared, bool), tokio_postgres::Error> {
        if let Some(known) = self.statements.get(&self.client, sql) {
            return Ok((known, true));
        }
        let effect = Effect::of(sql);
        Ok((Prepared { statement: self.prepare(sql, effect).await?, effect }, false))
    }

    pub(crate) async fn prepare(
        &self,
        sql: &str,
        effect: Effect,
    ) -> Result<Statement, tokio_postgres::Error> {
        let running = Running { connection: self };
        let number = self.next();
        let result = self.client.prepare(sql).await;
        match &result {
            Ok(statement) => self.statements.keep(sql, Prepared { statement: statement.clone(), effect }),
            Err(error) => {
                // The client's own statements, by which it looks at types, are gone, and it does not make others.
                let is_gone = error.code() == Some(&SqlState::INVALID_SQL_STATEMENT_NAME);
                if is_gone {
                    self.worsen(Condition::Lost);
                }
                self.conclude(number, Err::<(), _>(error), is_gone);
            }
        }
        running.end();
        result
    }

    /// Runs a prepared statement. It is sent when the future is first polled.
    pub(crate) async fn run_once(
        &self,
        statement: &Statement,
        parameters: &[&(dyn ToSql + Sync)],
        each: &mut impl FnMut(Row),
    ) -> Result<u64, Failed> {
        let number = self.next();
        let rows = self.client.query_raw(statement, parameters.iter().copied()).await;
        let mut rows =
            pin!(rows.map_err(|error| Failed { error, number, has_begun: false, has_rows: false })?);
        let mut has_rows = false;
        while let Some(row) = poll_fn(|cx| rows.as_mut().poll_next(cx)).await {
            each(row.map_err(|error| Failed { error, number, has_begun: true, has_rows })?);
            has_rows = true;
        }
        self.failures.went_well(number);
        Ok(rows.rows_affected().unwrap_or(0))
    }

    /// Runs any number of statements, of which nobody knows what they do to the session.
    pub(crate) async fn run_batch(&self, sql: &str) -> Result<(), Error> {
        let ends = if self.stage == Stage::Inside { Ends::of(sql) } else { Ends::Never };
        self.refuse(ends == Ends::Surely)?;
        let is_watched = ends == Ends::Perhaps;
        if is_watched {
            self.watch().await?;
        }
        self.running(Effect { taints: true, draws: true, writes: true, ends: false }).end();
        let result = self.control(sql).await.map_err(Error::from);
        if is_watched { self.watched(result).await } else { result }
    }

    /// Runs a statement that begins or ends a transaction, or asks about it.
    pub(crate) async fn control(&self, sql: &str) -> Result<(), tokio_postgres::Error> {
        let running = Running { connection: self };
        let number = self.next();
        let result = self.client.batch_execute(sql).await;
        self.conclude(number, result.as_ref(), false);
        running.end();
        result
    }

    /// Refuses a statement that would end the transaction: what it has done so far would be neither whole nor undone.
    pub(crate) fn refuse(&self, ends: bool) -> Result<(), Error> {
        if !ends || self.stage != Stage::Inside {
            return Ok(());
        }
        self.watch.end();
        Err(Error::Ended)
    }

    /// Looks ahead of statements that may end the transaction.
    async fn watch(&self) -> Result<(), Error> {
        if !self.watch.is_known() {
            match self.identity().await {
                Ok(identity) => self.watch.know(identity),
                // It has failed, and after that a statement that saves it must not be taken for another one.
                Err(error) if has_failed(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Looks again, and says if the transaction is another one, or none.
    async fn watched<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        match self.identity().await {
            Ok(identity) if self.watch.is_same(&identity) => result,
            Ok(_) => Err(Error::Ended),
            Err(error) if has_failed(&error) => {
                self.watch.doubt();
                result
            }
            Err(error) => result.and(Err(error.into())),
        }
    }

    /// Looks once more ahead of a commit, if it could not be told before.
    pub(crate) async fn is_sure(&self) -> Result<(), Error> {
        if self.watch.is_unsure() { self.watched(Ok(())).await } else { Ok(()) }
    }

    async fn identity(&self) -> Result<Option<String>, tokio_postgres::Error> {
        let running = Running { connection: self };
        let number = self.next();
        let result = self.client.simple_query(IDENTITY).await;
        self.conclude(number, result.as_ref(), false);
        running.end();
        let first = |answer: &SimpleQueryMessage| match answer {
            SimpleQueryMessage::Row(row) => row.get(0).map(ToOwned::to_owned),
            _ => None,
        };
        Ok(result?.iter().find_map(first))
    }

    /// Says that a statement is about to be sent.
    pub(crate) fn running(&self, effect: Effect) -> Running<'_> {
        if effect.taints || self.reset_always {
            self.worsen(Condition::Tainted);
        }
        if effect.taints {
            self.discard_sequences();
        }
        if effect.draws {
            self.draws.store(true, Relaxed);
        }
        Running { connection: self }
    }

    /// `lastval()` is to be that of this user, or none: before it is asked for, and before a transaction has one.
    fn discard_sequences(&self) {
        if self.drew.swap(false, Relaxed) {
            self.send("DISCARD SEQUENCES");
        }
    }

    /// Sends a statement ahead of the next one, and waits for no answer.
    fn send(&self, sql: &str) {
        let sent = pin!(self.client.simple_query_raw(sql)).poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(Ok(answers)) = sent {
            self.ahead.keep(answers);
        }
    }

    /// Why it is certain that what ended so was not begun: the server had ended the connection before, or the
    /// connection can prepare nothing any more.
    ///
    /// A transaction that was open is rolled back then.
    pub(crate) fn unbegun(&self, error: &tokio_postgres::Error) -> Option<Box<DbError>> {
        // It was not prepared, where the client's own statements for it are gone.
        let is_unprepared = self.condition() == Condition::Lost
            && error.code() == Some(&SqlState::INVALID_SQL_STATEMENT_NAME);
        let unprepared = error.as_db_error().filter(|_| is_unprepared).cloned().map(Box::new);
        let idle_end = || self.ahead.idle_end().filter(|_| error.is_closed());
        unprepared.or_else(|| self.origin.unbegun(error)).or_else(idle_end)
    }

    /// Why the server has ended the connection, if that was for its idleness.
    pub(crate) fn idle_end(&self) -> Option<Box<DbError>> {
        self.origin.idle_end().or_else(|| self.ahead.idle_end())
    }

    fn next(&self) -> u64 {
        self.sent.fetch_add(1, Relaxed)
    }

    /// Keeps account of how a statement has ended.
    fn conclude<T>(&self, number: u64, result: Result<T, &tokio_postgres::Error>, is_out_of_date: bool) {
        let Err(error) = result else { return self.failures.went_well(number) };
        if is_lost(error) || self.is_closed() {
            self.worsen(Condition::Lost);
        }
        match error.as_db_error() {
            Some(error) => {
                // The server has become a standby; others there are as old, and only a new connection finds its successor.
                if *error.code() == SqlState::READ_ONLY_SQL_TRANSACTION
                    && !(self.read_only && self.stage == Stage::Inside)
                {
                    self.origin.serial.retire_all();
                }
                self.failures.went_wrong(number, error, is_out_of_date);
            }
            // A parameter that does not fit, as a rule; or a server that is out of step.
            None => self.worsen(Condition::Tainted),
        }
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

/// Whether it says that the transaction has failed before.
fn has_failed(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION)
}

/// Locks; a panic cannot leave anything half done, since no code of others runs under the lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
