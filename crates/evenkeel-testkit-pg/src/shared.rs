//! The state that all sessions of a server share: scripts, records, tables, signals.
//!
//! Closures of scripts run without the lock: the list of scripts is cloned out of it first. Sessions are signalled
//! without the lock as well, as that wakes their tasks.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use evenkeel_base::lock;
use tokio::{sync::Notify, time::Instant};

#[cfg(feature = "timeline")]
use super::drawn::Drawn;
use super::{
    error::SqlError,
    record::{Statement, StatementOutcome},
    reply::Reply,
    script::{Described, ScriptState},
    store::Store,
    tables::Tables,
};

/// The maximum number of notifications that wait for a session.
const NOTIFICATIONS: usize = 10_000;

/// The state of a server.
#[derive(Debug)]
pub(super) struct Shared {
    start: Instant,
    /// The database in place of the tables of [`State`].
    pub(super) tables: Option<Box<dyn Tables>>,
    state: Mutex<State>,
    #[cfg(feature = "timeline")]
    drawn: Drawn,
}

#[derive(Debug, Default)]
struct State {
    scripts: Arc<Vec<Arc<ScriptState>>>,
    statements: Vec<Statement>,
    store: Store,
    sessions: BTreeMap<i32, Arc<Signals>>,
    peak: usize,
    /// The number of sessions so far; the newest has this process id.
    opened: i32,
    /// The errors of the next start-ups.
    rejections: Vec<SqlError>,
}

/// Events for a session, from other sessions and the test.
#[derive(Debug, Default)]
pub(super) struct Signals {
    pending: Mutex<Pending>,
    /// Notified after each change of `pending`.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Pending {
    cancel: bool,
    terminate: bool,
    channels: BTreeSet<String>,
    notifications: Vec<Notification>,
}

/// A notification, and the process that sent it.
#[derive(Clone, Debug)]
pub(super) struct Notification {
    pub(super) pid: i32,
    pub(super) channel: String,
    pub(super) payload: String,
}

impl Shared {
    #[cfg_attr(not(feature = "timeline"), expect(unused_variables, reason = "for the timeline alone"))]
    pub(super) fn new(address: &str, tables: Option<Box<dyn Tables>>) -> Self {
        Shared {
            start: Instant::now(),
            tables,
            state: Mutex::default(),
            #[cfg(feature = "timeline")]
            drawn: Drawn::new(address),
        }
    }

    pub(super) fn add(&self, script: Arc<ScriptState>) {
        Arc::make_mut(&mut lock(&self.state).scripts).push(script);
    }

    /// Ends a transaction in the database of the test.
    pub(super) fn end(&self, session: i32, is_committed: bool) {
        if let Some(tables) = &self.tables {
            tables.end(session, is_committed);
        }
    }

    /// Calls a function with the tables.
    pub(super) fn store<T>(&self, act: impl FnOnce(&mut Store) -> T) -> T {
        act(&mut lock(&self.state).store)
    }

    /// Returns the reply to a statement with this number, counted from 1, if a script has one.
    pub(super) fn reply(&self, sql: &str, number: usize) -> Option<Reply> {
        let scripts = lock(&self.state).scripts.clone();
        scripts.iter().find_map(|script| script.answer(sql, number))
    }

    /// Describes a statement before it runs, if a script matches it.
    pub(super) fn describe(&self, sql: &str) -> Option<Described> {
        let scripts = lock(&self.state).scripts.clone();
        let mut found = scripts.iter().filter_map(|script| script.describe(sql)).peekable();
        found.peek()?;
        Some(found.fold(Described::default(), |mut all, next| {
            if all.parameters.is_empty() {
                all.parameters = next.parameters;
            }
            all.fields = all.fields.or(next.fields);
            all
        }))
    }

    pub(super) fn missed(&self) -> Vec<String> {
        let scripts = lock(&self.state).scripts.clone();
        scripts.iter().filter_map(|script| script.missed()).collect()
    }

    /// Records a statement, and returns its number, counted from 1.
    pub(super) fn record(&self, connection: i32, sql: &str, parameters: Vec<Option<String>>) -> usize {
        let at = self.start.elapsed();
        let outcome = StatementOutcome::Running;
        let mut state = lock(&self.state);
        state.statements.push(Statement { at, connection, sql: sql.to_owned(), parameters, outcome });
        let number = state.statements.len();
        drop(state);
        #[cfg(feature = "timeline")]
        self.drawn.begin(number, sql);
        number
    }

    pub(super) fn set_outcome(&self, number: usize, outcome: StatementOutcome) {
        #[cfg(feature = "timeline")]
        self.drawn.end(number, &outcome);
        lock(&self.state).statements[number - 1].outcome = outcome;
    }

    pub(super) fn statements(&self) -> Vec<Statement> {
        lock(&self.state).statements.clone()
    }

    /// Sets the errors of the next start-ups.
    pub(super) fn reject(&self, rejections: Vec<SqlError>) {
        lock(&self.state).rejections = rejections;
    }

    /// Opens a session, and returns its process id and its signals.
    pub(super) fn open(&self) -> Result<(i32, Arc<Signals>), SqlError> {
        let mut state = lock(&self.state);
        if let Some(error) = state.rejections.pop() {
            return Err(error);
        }
        state.opened += 1;
        let (pid, signals) = (state.opened, Arc::new(Signals::default()));
        state.sessions.insert(pid, signals.clone());
        state.peak = state.peak.max(state.sessions.len());
        Ok((pid, signals))
    }

    pub(super) fn close(&self, pid: i32) {
        lock(&self.state).sessions.remove(&pid);
    }

    /// The number of sessions, and the highest number at once.
    pub(super) fn sessions(&self) -> (usize, usize) {
        let state = lock(&self.state);
        (state.sessions.len(), state.peak)
    }

    /// Cancels the statement of a session, if this is its key.
    pub(super) fn cancel(&self, pid: i32, secret: Option<i32>) {
        if secret == Some(secret_of(pid)) {
            let session = lock(&self.state).sessions.get(&pid).cloned();
            session.iter().for_each(|signals| signals.update(|pending| pending.cancel = true));
        }
    }

    pub(super) fn terminate_all(&self) {
        for signals in self.signals() {
            signals.update(|pending| pending.terminate = true);
        }
    }

    /// Queues a notification for all sessions that listen to its channel.
    pub(super) fn notify(&self, notification: &Notification) {
        for signals in self.signals() {
            signals.update(|pending| {
                if pending.channels.contains(&notification.channel) {
                    pending.notifications.push(notification.clone());
                }
            });
        }
    }

    /// Whether a session listens to the channel whose queue is full.
    pub(super) fn is_full(&self, channel: &str) -> bool {
        let state = lock(&self.state);
        state.sessions.values().any(|signals| {
            let pending = lock(&signals.pending);
            pending.channels.contains(channel) && pending.notifications.len() >= NOTIFICATIONS
        })
    }

    /// The signals of all sessions, to be changed without the lock.
    fn signals(&self) -> Vec<Arc<Signals>> {
        lock(&self.state).sessions.values().cloned().collect()
    }
}

/// The key for cancel requests: the same in each run.
pub(super) fn secret_of(pid: i32) -> i32 {
    pid.wrapping_mul(0x9e37_79b9_u32 as i32)
}

impl Signals {
    pub(super) fn listen(&self, channel: &str) {
        lock(&self.pending).channels.insert(channel.to_owned());
    }

    /// Stops listening to this channel, or to all channels.
    pub(super) fn unlisten(&self, channel: Option<&str>) {
        match channel {
            Some(channel) => drop(lock(&self.pending).channels.remove(channel)),
            None => lock(&self.pending).channels.clear(),
        }
    }

    pub(super) fn notifications(&self) -> Vec<Notification> {
        std::mem::take(&mut lock(&self.pending).notifications)
    }

    pub(super) fn is_terminated(&self) -> bool {
        lock(&self.pending).terminate
    }

    /// Drops a cancel request for the statement before.
    pub(super) fn forget_cancel(&self) {
        lock(&self.pending).cancel = false;
    }

    /// Waits for the next change.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Waits for the end of the session.
    pub(super) async fn terminated(&self) {
        while !self.is_terminated() {
            self.changed().await;
        }
    }

    /// Waits for a cancel request or the end of the session, and returns the error for the statement.
    pub(super) async fn interrupted(&self) -> SqlError {
        loop {
            if self.is_terminated() {
                return terminated();
            }
            if std::mem::take(&mut lock(&self.pending).cancel) {
                return SqlError::canceled();
            }
            // A change since the check has left a permit in `changed`, so that it is not missed.
            self.changed().await;
        }
    }

    fn update(&self, change: impl FnOnce(&mut Pending)) {
        change(&mut lock(&self.pending));
        self.changed.notify_one();
    }
}

pub(super) fn terminated() -> SqlError {
    SqlError::fatal("57P01", "terminating connection due to administrator command")
}
