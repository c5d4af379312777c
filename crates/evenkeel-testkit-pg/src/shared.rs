//! What the sessions of a server share.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use evenkeel_base::lock;
use tokio::{sync::Notify, time::Instant};

use super::{
    error::SqlError,
    record::{Outcome, Statement},
    reply::Reply,
    script::{Described, ScriptEntry},
    store::Store,
};

/// How many notifications may wait for a session.
const NOTIFICATIONS: usize = 10_000;

/// A server without its wire.
#[derive(Debug)]
pub(super) struct Shared {
    start: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    scripts: Arc<Vec<Arc<ScriptEntry>>>,
    statements: Vec<Statement>,
    store: Store,
    sessions: BTreeMap<i32, Arc<Signals>>,
    peak: usize,
    /// All sessions that there were.
    opened: i32,
    /// The errors that the next start-ups end with.
    rejections: Vec<SqlError>,
}

/// What others tell a session.
#[derive(Debug, Default)]
pub(super) struct Signals {
    pending: Mutex<Pending>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Pending {
    cancel: bool,
    terminate: bool,
    channels: BTreeSet<String>,
    notifications: Vec<Notification>,
}

/// Who has changed what.
#[derive(Clone, Debug)]
pub(super) struct Notification {
    pub(super) pid: i32,
    pub(super) channel: String,
    pub(super) payload: String,
}

impl Shared {
    pub(super) fn new() -> Self {
        Shared { start: Instant::now(), state: Mutex::default() }
    }

    pub(super) fn add(&self, script: Arc<ScriptEntry>) {
        Arc::make_mut(&mut lock(&self.state).scripts).push(script);
    }

    /// Does something to the tables.
    pub(super) fn store<T>(&self, act: impl FnOnce(&mut Store) -> T) -> T {
        act(&mut lock(&self.state).store)
    }

    /// The reply to a statement, if a script has one; its number is counted from 1.
    pub(super) fn reply(&self, sql: &str, number: usize) -> Option<Reply> {
        let scripts = lock(&self.state).scripts.clone();
        scripts.iter().find_map(|script| script.answer(sql, number))
    }

    /// What the scripts say about a statement before it runs.
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

    /// Records a statement; its number, counted from 1.
    pub(super) fn record(&self, connection: i32, sql: &str, parameters: Vec<Option<String>>) -> usize {
        let at = self.start.elapsed();
        let outcome = Outcome::Running;
        let mut state = lock(&self.state);
        state.statements.push(Statement { at, connection, sql: sql.to_owned(), parameters, outcome });
        state.statements.len()
    }

    pub(super) fn settle(&self, number: usize, outcome: Outcome) {
        lock(&self.state).statements[number - 1].outcome = outcome;
    }

    pub(super) fn statements(&self) -> Vec<Statement> {
        lock(&self.state).statements.clone()
    }

    /// Lets the next start-ups fail, in index of those that were still to fail.
    pub(super) fn reject(&self, rejections: Vec<SqlError>) {
        lock(&self.state).rejections = rejections;
    }

    /// A new session: its process id, and its signals.
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

    /// How many sessions there are, and the most that there were at once.
    pub(super) fn sessions(&self) -> (usize, usize) {
        let state = lock(&self.state);
        (state.sessions.len(), state.peak)
    }

    /// Cancels what runs in a session, if this is its key.
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

    /// Tells all sessions that listen.
    pub(super) fn notify(&self, notification: &Notification) {
        for signals in self.signals() {
            signals.update(|pending| {
                if pending.channels.contains(&notification.channel) {
                    pending.notifications.push(notification.clone());
                }
            });
        }
    }

    /// Whether some session listens whose queue is full.
    pub(super) fn is_full(&self, channel: &str) -> bool {
        let state = lock(&self.state);
        state.sessions.values().any(|signals| {
            let pending = lock(&signals.pending);
            pending.channels.contains(channel) && pending.notifications.len() >= NOTIFICATIONS
        })
    }

    /// Of all sessions, to be changed when the lock is free: it wakes them.
    fn signals(&self) -> Vec<Arc<Signals>> {
        lock(&self.state).sessions.values().cloned().collect()
    }
}

/// The key to cancel a session with: the same in each run.
pub(super) fn secret_of(pid: i32) -> i32 {
    pid.wrapping_mul(0x9e37_79b9_u32 as i32)
}

impl Signals {
    pub(super) fn listen(&self, channel: &str) {
        lock(&self.pending).channels.insert(channel.to_owned());
    }

    /// No longer to this channel, or to none.
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

    /// A cancel request is for what runs when it comes.
    pub(super) fn forget_cancel(&self) {
        lock(&self.pending).cancel = false;
    }

    /// Waits until there is something new.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Waits until what runs is to end; the error that it ends with.
    pub(super) async fn interrupted(&self) -> SqlError {
        loop {
            if self.is_terminated() {
                return terminated();
            }
            if std::mem::take(&mut lock(&self.pending).cancel) {
                return SqlError::canceled();
            }
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
