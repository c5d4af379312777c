//! The records of a database.
//!
//! # How it works
//!
//! A statement is recorded while the server may be busy with it, as its [guard](crate::connection::StatementGuard) exists. A
//! call makes several at times, one within the other or side by side: of each session the oldest is told. A transaction is
//! recorded from its begin to its end on the server, which comes later than that of its task where a session is reset.
//!
//! The lock is held for moves of numbers and texts alone.

use std::{
    borrow::Cow,
    mem,
    panic::Location,
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_base::{Slab, error_chain, lock};
use evenkeel_inspect::TaskId;
use tokio::time::Instant;

use crate::{ConnectError, sql::effect::SqlEffect};

type Place = &'static Location<'static>;

/// The records of a database, shared by its handles and its connections.
#[derive(Clone, Debug)]
pub(crate) struct DatabaseEdges(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The place at which it was built.
    place: Place,
    shows_sql: bool,
    records: Mutex<Records>,
}

#[derive(Debug, Default)]
pub(super) struct Records {
    numbers: u64,
    pub(super) waits: Slab<Wait>,
    pub(super) sessions: Slab<SessionRecord>,
    /// The statements that were answered, and the time that they took.
    answered: u32,
    answer_time: Duration,
    pub(super) failures: ConnectFailures,
}

impl Records {
    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Returns the time that a statement takes, on average.
    pub(super) fn usual(&self) -> Option<Duration> {
        self.answer_time.checked_div(self.answered)
    }
}

/// A task that waits.
#[derive(Clone, Debug)]
pub(super) struct Wait {
    pub(super) number: u64,
    pub(super) task: TaskId,
    pub(super) place: Place,
    pub(super) since: Instant,
    pub(super) until: Option<Instant>,
    pub(super) label: Cow<'static, str>,
    pub(super) statement: Option<Statement>,
}

/// A statement that the server may be busy with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Statement {
    /// The key of its session.
    pub(super) session: usize,
    /// Whether it may take locks that others have, beside those of a read.
    pub(super) may_lock: bool,
}

#[derive(Debug, Default)]
pub(super) struct SessionRecord {
    pub(super) tx: Option<OpenTx>,
}

/// A transaction that is open on the server.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenTx {
    pub(super) number: u64,
    /// `None` if the task has left it, and it is being rolled back.
    pub(super) task: Option<TaskId>,
    pub(super) place: Place,
    pub(super) since: Instant,
    /// Whether it may have locks, beside those of a read.
    pub(super) has_locks: bool,
    /// When the server has answered one of its statements last.
    pub(super) answered_at: Instant,
}

/// Failures to connect after which no attempt has succeeded.
#[derive(Debug, Default)]
pub(super) struct ConnectFailures {
    pub(super) since: Option<Instant>,
    pub(super) number: u32,
    pub(super) last: Option<(Instant, String)>,
}

impl DatabaseEdges {
    pub(crate) fn new(place: Place, shows_sql: bool) -> Self {
        Self(Arc::new(Shared { place, shows_sql, records: Mutex::default() }))
    }

    pub(super) fn place(&self) -> Place {
        self.0.place
    }

    pub(super) fn look<R>(&self, look: impl FnOnce(&Records) -> R) -> R {
        look(&lock(&self.0.records))
    }

    /// Begins the record of a connection.
    pub(crate) fn connection(&self) -> ConnectionEdges {
        let session = lock(&self.0.records).sessions.insert(SessionRecord::default());
        ConnectionEdges { database: self.clone(), session, place: self.0.place }
    }

    /// Records an attempt to connect, which has this time.
    pub(crate) fn connecting(&self, limit: Duration) -> WaitEdge {
        let mut wait =
            WaitEdge { database: self.clone(), place: self.0.place, limit: Some(limit), wait: None };
        wait.begin("a new connection");
        wait
    }

    pub(crate) fn connect_failed(&self, error: &ConnectError) {
        let (now, text) = (Instant::now(), error_chain(error));
        let before = {
            let failures = &mut lock(&self.0.records).failures;
            failures.since.get_or_insert(now);
            failures.number = failures.number.saturating_add(1);
            failures.last.replace((now, text))
        };
        drop(before);
    }

    pub(crate) fn connected(&self) {
        let before = mem::take(&mut lock(&self.0.records).failures);
        drop(before);
    }

    /// Returns the record of a listener, which does not wait yet.
    pub(crate) fn listener(&self, place: Place) -> WaitEdge {
        WaitEdge { database: self.clone(), place, limit: None, wait: None }
    }

    fn begin(&self, wait: Wait) -> usize {
        let mut records = lock(&self.0.records);
        let number = records.number();
        records.waits.insert(Wait { number, ..wait })
    }

    fn end(&self, key: usize) -> Option<Wait> {
        lock(&self.0.records).waits.remove(key)
    }
}

/// A wait, or several one after the other; it ends with its drop.
#[derive(Debug)]
pub(crate) struct WaitEdge {
    database: DatabaseEdges,
    place: Place,
    limit: Option<Duration>,
    /// Its key, and its label.
    wait: Option<(usize, &'static str)>,
}

impl WaitEdge {
    /// Records that this task waits for something, unless it does so already.
    pub(crate) fn begin(&mut self, label: &'static str) {
        if self.wait.is_some_and(|(_, known)| known == label) {
            return;
        }
        self.end();
        let (task, since) = (TaskId::current(), Instant::now());
        let until = self.limit.and_then(|limit| since.checked_add(limit));
        let label_text = Cow::Borrowed(label);
        let wait =
            Wait { number: 0, task, place: self.place, since, until, label: label_text, statement: None };
        self.wait = Some((self.database.begin(wait), label));
    }

    pub(crate) fn end(&mut self) {
        if let Some((key, _)) = self.wait.take() {
            drop(self.database.end(key));
        }
    }
}

impl Drop for WaitEdge {
    fn drop(&mut self) {
        self.end();
    }
}

/// The record of a connection; it ends with its drop.
#[derive(Debug)]
pub(crate) struct ConnectionEdges {
    database: DatabaseEdges,
    /// The key of its session.
    session: usize,
    /// The place of the call that has it.
    place: Place,
}

/// The key of the record of a statement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StatementEdge(usize);

impl ConnectionEdges {
    pub(crate) fn begin_use(&mut self, place: Place) {
        self.place = place;
    }

    /// Notes that the call has left the connection.
    pub(crate) fn end_use(&self) {
        self.with_session(|session| {
            if let Some(tx) = &mut session.tx {
                tx.task = None;
            }
        });
    }

    /// Records that this task makes the connection reusable, within this time.
    pub(crate) fn recycling(&self, label: &'static str, limit: Duration) -> WaitEdge {
        let database = self.database.clone();
        let mut wait = WaitEdge { database, place: self.place, limit: Some(limit), wait: None };
        wait.begin(label);
        wait
    }

    pub(crate) fn begin_tx(&self) {
        let (task, since) = (TaskId::current(), Instant::now());
        let mut records = lock(&self.database.0.records);
        let number = records.number();
        if let Some(session) = records.sessions.get_mut(self.session) {
            session.tx = Some(OpenTx {
                number,
                task: Some(task),
                place: self.place,
                since,
                has_locks: false,
                answered_at: since,
            });
        }
    }

    pub(crate) fn end_tx(&self) {
        self.with_session(|session| session.tx = None);
    }

    /// Records a statement of the user.
    pub(crate) fn begin_statement(&self, effect: SqlEffect, sql: &str) -> StatementEdge {
        let may_lock = effect.writes || effect.taints_session;
        let label = match effect {
            _ if self.database.0.shows_sql => format!("the answer to {sql}").into(),
            SqlEffect { taints_session: true, .. } => Cow::Borrowed("the answer to a statement"),
            SqlEffect { writes: true, .. } => Cow::Borrowed("the answer to a write"),
            _ => Cow::Borrowed("the answer to a read"),
        };
        self.begin(label, may_lock)
    }

    /// Records the preparation of a statement.
    pub(crate) fn begin_prepare(&self, sql: &str) -> StatementEdge {
        match self.database.0.shows_sql {
            true => self.begin(format!("the answer to the preparation of {sql}").into(), false),
            false => self.begin("the answer to a preparation".into(), false),
        }
    }

    /// Records a statement of a transaction's begin or end, or a text of the user without parameters.
    pub(crate) fn begin_control(&self, sql: &str) -> StatementEdge {
        let (label, may_lock) = match sql {
            "COMMIT" => ("the answer to COMMIT", false),
            "ROLLBACK" => ("the answer to ROLLBACK", false),
            begin if begin.starts_with("BEGIN") => ("the answer to BEGIN", false),
            _ => ("the answer to statements", true),
        };
        match may_lock && self.database.0.shows_sql {
            true => self.begin(format!("the answer to {sql}").into(), true),
            false => self.begin(label.into(), may_lock),
        }
    }

    fn begin(&self, label: Cow<'static, str>, may_lock: bool) -> StatementEdge {
        let statement = Some(Statement { session: self.session, may_lock });
        let (task, since) = (TaskId::current(), Instant::now());
        let wait = Wait { number: 0, task, place: self.place, since, until: None, label, statement };
        StatementEdge(self.database.begin(wait))
    }

    /// Notes that the server has answered a statement.
    pub(crate) fn answered(&self, statement: StatementEdge) {
        let now = Instant::now();
        let ended = {
            let mut records = lock(&self.database.0.records);
            let ended = records.waits.remove(statement.0);
            if let Some(Wait { since, statement: Some(Statement { session, may_lock }), .. }) = &ended {
                records.answered = records.answered.saturating_add(1);
                let took = now.saturating_duration_since(*since);
                records.answer_time = records.answer_time.saturating_add(took);
                if let Some(tx) = records.sessions.get_mut(*session).and_then(|session| session.tx.as_mut()) {
                    tx.has_locks |= may_lock;
                    tx.answered_at = now;
                }
            }
            ended
        };
        drop(ended);
    }

    /// Notes that nobody waits for a statement any more.
    pub(crate) fn abandoned(&self, statement: StatementEdge) {
        drop(self.database.end(statement.0));
    }

    fn with_session(&self, change: impl FnOnce(&mut SessionRecord)) {
        if let Some(session) = lock(&self.database.0.records).sessions.get_mut(self.session) {
            change(session);
        }
    }
}

impl Drop for ConnectionEdges {
    fn drop(&mut self) {
        lock(&self.database.0.records).sessions.discard(self.session);
    }
}
