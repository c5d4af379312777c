//! A connection of the pool, and the account that it keeps of itself.
//!
//! # How it works
//!
//! A connection records the effect of every statement before it is sent, so that a connection that was used in an orderly
//! way needs no question to the server before the next use.
//!
//! - [`Condition`] only gets worse, until a reset. A connection is marked as tainted *before* the statement is sent, so that
//!   a call can be dropped at any await.
//! - A [`StatementGuard`] exists while the server may be busy. It is forgotten when the answer is complete; dropped
//!   before, it marks the connection as abandoned.
//! - [`TxState`] and [`TxRecord`] describe the transaction: its failures, and whether a statement has ended it.
//! - Statements have numbers in the order in which they were sent, since several can be under way in one transaction. A
//!   success disproves a failure only if it was sent after it.
//!
//! All methods that run statements take `&self`, because a transaction may poll several of them together. The client
//! sends a statement when its future is first polled, so the order of the first polls is the order on the server. The
//! atomics are `Relaxed`: they pass no data, and a connection goes from user to user through the lock of the pool.

pub(crate) mod copy_end;
pub(crate) mod prepared;
mod reset;
pub(crate) mod run;
mod statement_cache;
mod tx_end;
mod tx_record;

use std::{
    mem,
    panic::Location,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use deadpool_postgres::Manager;
use evenkeel_base::lock;
use evenkeel_pool::Adopted;
use futures_core::Stream;
use tokio_postgres::{
    CancelToken, Error, SimpleQueryStream,
    error::{DbError, SqlState},
};

use self::{
    prepared::{PreparedStatements, SchemaVersion},
    tx_record::TxRecord,
};
use crate::{
    connect::{Connected, Peer, pooling::Pooling},
    edges::{ConnectionEdges, StatementEdge},
    sql::effect::SqlEffect,
    sqlstate::{is_connection_lost, is_idle_timeout},
};

/// Counts how often all connections of a pool were retired; shared by them.
pub(crate) type Generation = Arc<AtomicU64>;

/// A connection of the pool.
pub(crate) struct Connection {
    connected: Connected,
    // The present generation, and the one in which the connection was made.
    generation: Generation,
    made_in: u64,
    // The results of the last statement that was sent ahead of another one. Nobody waits for them: they are few enough
    // not to fill the channel of the client. They are kept because the error that ends a connection goes to its oldest
    // statement.
    pipelined: Mutex<Option<Pin<Box<SimpleQueryStream>>>>,
    statements: PreparedStatements,
    condition: AtomicU8,
    pub(crate) options: SessionOptions,
    pub(crate) tx_state: TxState,
    /// Whether the transaction was begun as read only.
    pub(crate) tx_is_read_only: bool,
    /// Whether the transaction is that of one call, which rolls it back after any failure.
    pub(crate) tx_is_of_call: bool,
    tx: Mutex<TxRecord>,
    // The number of statements that were sent.
    sent: AtomicU64,
    // Whether this user, and an earlier one, may have drawn from sequences: the session keeps the last values.
    uses_sequences: AtomicBool,
    used_sequences: AtomicBool,
    pub(crate) edges: ConnectionEdges,
}

/// The settings of all sessions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionOptions {
    /// Whether a session is reset after every use.
    pub(crate) reset_always: bool,
    /// How long a `COPY` waits for its source.
    pub(crate) source_timeout: Duration,
    /// How long the end of a failed statement may take.
    pub(crate) cleanup_timeout: Duration,
}

/// The condition in which users have left a connection; it only gets worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Condition {
    Clean,
    /// Something of a user may have stayed in the session.
    Tainted,
    /// A statement that nobody waits for may still run.
    Abandoned,
    /// The connection is of no use any more.
    Lost,
}

/// The state of a connection's transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TxState {
    /// There is no transaction.
    Idle,
    Open,
    Committing,
}

impl Connection {
    pub(crate) fn new(
        connected: Connected,
        generation: Generation,
        schema_version: SchemaVersion,
        options: SessionOptions,
        edges: ConnectionEdges,
    ) -> Self {
        Self {
            connected,
            made_in: generation.load(Relaxed),
            generation,
            pipelined: Mutex::default(),
            statements: PreparedStatements::new(schema_version),
            condition: AtomicU8::new(Condition::Clean as u8),
            options,
            tx_state: TxState::Idle,
            tx_is_read_only: false,
            tx_is_of_call: false,
            tx: Mutex::default(),
            sent: AtomicU64::new(0),
            uses_sequences: AtomicBool::new(false),
            used_sequences: AtomicBool::new(false),
            edges,
        }
    }

    /// Passes the connection to its next user, a call at this place.
    pub(crate) fn begin_use(&mut self, place: &'static Location<'static>) {
        self.edges.begin_use(place);
        *self.used_sequences.get_mut() |= mem::take(self.uses_sequences.get_mut());
    }

    pub(crate) fn client(&self) -> &Adopted<Manager> {
        &self.connected.client
    }

    pub(crate) fn client_mut(&mut self) -> &mut Adopted<Manager> {
        &mut self.connected.client
    }

    pub(crate) fn pooling(&self) -> Pooling {
        self.connected.pooling
    }

    pub(crate) fn cancel_token(&self) -> CancelToken {
        self.client().cancel_token()
    }

    /// The name that the sessions have by the configuration, where it is known.
    pub(crate) fn application_name(&self) -> Option<&str> {
        self.connected.application_name.as_deref()
    }

    /// The other side, where it is known.
    pub(crate) fn peer(&self) -> Option<Peer> {
        let Connected { address, link, .. } = &self.connected;
        Some(Peer {
            address: address.clone()?,
            is_encrypted: link.is_encrypted(),
            has_plain_tls: link.has_plain_tls(),
        })
    }

    /// Whether the connection was made before the server began to refuse writes.
    pub(crate) fn is_retired(&self) -> bool {
        self.made_in < self.generation.load(Relaxed)
    }

    pub(crate) fn condition(&self) -> Condition {
        [Condition::Clean, Condition::Tainted, Condition::Abandoned, Condition::Lost]
            [usize::from(self.condition.load(Relaxed))]
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.condition() == Condition::Clean && self.tx_state == TxState::Idle
    }

    /// Whether a statement that is sent from now on cannot arrive.
    pub(crate) fn is_closed(&self) -> bool {
        self.client().is_closed()
    }

    pub(crate) fn worsen(&self, condition: Condition) {
        self.condition.fetch_max(condition as u8, Relaxed);
    }

    /// Notes that a transaction begins.
    pub(crate) fn begin_tx(&mut self, is_read_only: bool) {
        (self.tx_state, self.tx_is_read_only, self.tx_is_of_call) = (TxState::Open, is_read_only, false);
        *self.tx() = TxRecord::default();
        self.edges.begin_tx();
        // Ahead of the transaction: inside it the statement would fix the snapshot, and the isolation level.
        self.discard_sequences();
    }

    /// Notes that the transaction has ended.
    pub(crate) fn end_tx(&mut self) {
        self.tx_state = TxState::Idle;
        self.edges.end_tx();
    }

    /// Locks the record of the transaction.
    pub(crate) fn tx(&self) -> MutexGuard<'_, TxRecord> {
        lock(&self.tx)
    }

    /// Runs a statement that begins or ends a transaction, or asks about it.
    pub(crate) async fn control(&self, sql: &str) -> Result<(), Error> {
        self.recorded(sql, self.client().batch_execute(sql)).await
    }

    /// Runs a statement that is not prepared, and records its end.
    async fn recorded<T>(
        &self,
        sql: &str,
        statement: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let guard = StatementGuard { connection: self, edge: self.edges.begin_control(sql) };
        let number = self.next_number();
        let result = statement.await;
        self.record_end(number, result.as_ref().err(), false);
        guard.finished();
        result.map_err(|error| self.explained(error))
    }

    /// Returns the error with which the server ended the connection, for one that says no more than that it is closed.
    pub(crate) fn explained(&self, error: Error) -> Error {
        let end = error.is_closed().then(|| self.connected.link.take_end()).flatten();
        end.unwrap_or(error)
    }

    /// Records the effect of a statement that is about to be sent, and that the server may be busy with it.
    pub(crate) fn begin_statement(&self, effect: SqlEffect, sql: &str) -> StatementGuard<'_> {
        self.record_effect(effect);
        StatementGuard { connection: self, edge: self.edges.begin_statement(effect, sql) }
    }

    /// Records the effect of a statement that is about to be sent.
    pub(crate) fn record_effect(&self, effect: SqlEffect) {
        if effect.taints_session || (self.options.reset_always && !self.pooling().is_shared) {
            self.worsen(Condition::Tainted);
        }
        if effect.taints_session {
            self.discard_sequences();
        }
        if effect.uses_sequences {
            self.uses_sequences.store(true, Relaxed);
        }
    }

    /// Clears `lastval()` where it may be that of an earlier user: before this user asks for it, and before a
    /// transaction.
    fn discard_sequences(&self) {
        if self.used_sequences.swap(false, Relaxed) && !self.pooling().is_shared {
            self.pipeline("DISCARD SEQUENCES");
        }
    }

    /// Sends a statement ahead of the next one, and does not wait for its answer.
    fn pipeline(&self, sql: &str) {
        // The first poll sends it.
        let sent = pin!(self.client().simple_query_raw(sql)).poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(Ok(results)) = sent {
            let before = lock(&self.pipelined).replace(Box::pin(results));
            drop(before);
        }
    }

    /// Returns the server's error if it is certain that a statement that failed with `error` did not begin: the server
    /// had ended the connection before, or the connection can prepare nothing any more.
    ///
    /// An open transaction is rolled back then.
    pub(crate) fn never_began(&self, error: &Error) -> Option<Box<DbError>> {
        if error.is_closed() {
            return self.connected.link.end().map(Box::new).or_else(|| self.pipelined_idle_timeout());
        }
        let error = error.as_db_error()?;
        if let Some(end) = self.connected.link.end().filter(|end| end == error) {
            return Some(Box::new(end));
        }
        // The client's own statements, by which it prepares others, are gone.
        let cannot_prepare =
            self.condition() == Condition::Lost && *error.code() == SqlState::INVALID_SQL_STATEMENT_NAME;
        (cannot_prepare || is_idle_timeout(error.code())).then(|| Box::new(error.clone()))
    }

    /// Returns the server's error if it has ended the connection because of its idleness.
    pub(crate) fn idle_timeout(&self) -> Option<Box<DbError>> {
        let end = self.connected.link.end().filter(|error| is_idle_timeout(error.code()));
        end.map(Box::new).or_else(|| self.pipelined_idle_timeout())
    }

    /// The same, if the server said so in reply to a statement that was sent ahead.
    fn pipelined_idle_timeout(&self) -> Option<Box<DbError>> {
        let mut results = lock(&self.pipelined).take()?;
        match results.as_mut().poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(Err(error))) => {
                error.as_db_error().filter(|error| is_idle_timeout(error.code())).cloned().map(Box::new)
            }
            _ => None,
        }
    }

    pub(crate) fn next_number(&self) -> u64 {
        self.sent.fetch_add(1, Relaxed)
    }

    /// Records the end of a statement.
    pub(crate) fn record_end(&self, number: u64, error: Option<&Error>, is_stale: bool) {
        let Some(error) = error else { return self.tx().on_success(number) };
        if is_connection_lost(error) || self.is_closed() {
            self.worsen(Condition::Lost);
        }
        match error.as_db_error() {
            Some(error) => {
                // The server has become a standby. The other connections lead to it as well, and only a new one finds its
                // successor.
                if *error.code() == SqlState::READ_ONLY_SQL_TRANSACTION
                    && !(self.tx_is_read_only && self.tx_state == TxState::Open)
                {
                    self.generation.fetch_add(1, Relaxed);
                }
                self.tx().on_failure(number, error, is_stale);
            }
            // As a rule a parameter that does not fit; or a server that is out of step.
            None => self.worsen(Condition::Tainted),
        }
    }
}

/// A statement that the server may be busy with. Dropping it notes that nobody waits for its end any more.
pub(crate) struct StatementGuard<'a> {
    connection: &'a Connection,
    edge: StatementEdge,
}

impl StatementGuard<'_> {
    pub(crate) fn finished(self) {
        self.connection.edges.answered(self.edge);
        mem::forget(self);
    }
}

impl Drop for StatementGuard<'_> {
    fn drop(&mut self) {
        self.connection.edges.abandoned(self.edge);
        self.connection.worsen(Condition::Abandoned);
    }
}
