//! The link from a host to an address, and all connections on it.
//!
//! # How it works
//!
//! One mutex guards the toxics in force, the refusals, the counts and all connections of a link. No foreign code runs
//! under it: each change returns [`Deferred`] work (wakers to call, timers to arm, values to drop), and
//! [`Link::run_deferred`] does it after the lock has been released. A poll that has to wait clones its waker before
//! it takes the lock a second time.
//!
//! A change of the toxics concerns open connections, too: first the ends that were due under the old toxics are
//! applied, then the new ones are put in force, then all waits are computed again. Connects that wait for the end
//! of a partition are told by `changed`; they register for it before they look, so that no change is missed.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    io,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use evenkeel_base::lock;
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use super::{
    connection::{ActiveToxics, Connection, Now},
    direction::{Direction, PerDirection},
    pipe::{End, Pipe},
    random::{Random, seed_of},
    schedule::Schedule,
    toxics::Toxics,
    waiter::{Deferred, SharedWaker},
};

/// The link from a host to an address: its faults concern all connections, also open ones; and their counts.
///
/// It is a handle: clones are the same link. [`MemNet::link`](super::MemNet::link) and `Proxy::link` return it.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::{World, assert_took, net::{MemNet, Toxics}};
/// use std::{io::ErrorKind, time::Duration};
/// use tokio::io::AsyncReadExt;
///
/// World::run(async |_| {
///     let net = MemNet::new();
///     let mut listener = net.listen("db.test:5432").unwrap();
///     let link = net.link("db.test:5432");
///
///     link.refuse(1);
///     link.connect_delay(Duration::from_secs(3));
///     let refused = assert_took!(net.connect("db.test:5432"), Duration::from_secs(3));
///     assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
///
///     link.heal();
///     link.upstream(Toxics::new().reset_peer(Duration::from_secs(1)));
///     let mut client = net.connect("db.test:5432").await.unwrap();
///     let reset = assert_took!(client.read_u8(), Duration::from_secs(1));
///     assert_eq!(reset.unwrap_err().kind(), ErrorKind::ConnectionReset);
///     assert_eq!(link.snapshot().opened, 1);
/// });
/// ```
#[derive(Clone, Debug)]
pub struct Link(Arc<Shared>);

/// The counts of a [`Link`], from [`Link::snapshot`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkSnapshot {
    /// Connections of which neither stream was dropped, and that the link has not ended.
    pub open: usize,
    /// The highest number of connections that were open at once.
    pub peak_open: usize,
    /// The number of all connections so far.
    pub opened: u64,
    /// Connects that were refused: by [`Link::refuse`], or because nobody listened.
    pub refused: u64,
    /// Bytes sent to the server.
    pub bytes_up: u64,
    /// Bytes sent to the client.
    pub bytes_down: u64,
}

#[derive(Debug)]
struct Shared {
    host: String,
    address: String,
    seed: u64,
    state: Mutex<State>,
    /// Notified when the toxics change: connects wait for the end of a partition.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    active: PerDirection<ActiveToxics>,
    refuse: usize,
    connect_delay: Duration,
    connections: BTreeMap<u64, Connection>,
    /// Its byte counts are those of the connections that are over.
    stats: LinkSnapshot,
}

impl Link {
    pub(super) fn new(seed: u64, host: &str, address: &str) -> Self {
        let active = ActiveToxics { toxics: Toxics::new(), since: Instant::now() };
        let state = State {
            active: PerDirection([active; 2]),
            refuse: 0,
            connect_delay: Duration::ZERO,
            connections: BTreeMap::new(),
            stats: LinkSnapshot::default(),
        };
        Link(Arc::new(Shared {
            host: host.to_owned(),
            address: address.to_owned(),
            seed: seed_of(seed, &format!("{host}>{address}"), 0),
            state: Mutex::new(state),
            changed: Notify::new(),
        }))
    }

    /// Sets the toxics of the bytes that clients send, in place of the toxics before.
    ///
    /// Bytes in flight keep their arrival time.
    pub fn upstream(&self, toxics: Toxics) {
        self.set(&[Direction::Up], toxics);
    }

    /// Sets the toxics of the bytes that the server sends, in place of the toxics before.
    ///
    /// Bytes in flight keep their arrival time.
    pub fn downstream(&self, toxics: Toxics) {
        self.set(&[Direction::Down], toxics);
    }

    /// Sets the toxics of both directions, in place of the toxics before.
    pub fn both(&self, toxics: Toxics) {
        self.set(&Direction::BOTH, toxics);
    }

    /// Refuses the next `connects` connects, and no more: it replaces the number set before.
    pub fn refuse(&self, connects: usize) {
        lock(&self.0.state).refuse = connects;
    }

    /// Delays each connect by this long, also one that fails.
    pub fn connect_delay(&self, delay: Duration) {
        lock(&self.0.state).connect_delay = delay;
    }

    /// Removes all faults: toxics, refusals and the connect delay.
    pub fn heal(&self) {
        self.refuse(0);
        self.connect_delay(Duration::ZERO);
        self.both(Toxics::new());
    }

    /// Closes all open connections in both directions; sent bytes still arrive, unless a partition holds them back.
    pub fn cut(&self) {
        self.break_off(End::Close);
    }

    /// Resets all open connections; sent bytes still arrive, unless a partition holds them back.
    pub fn reset(&self) {
        self.break_off(End::Reset);
    }

    /// The counts so far.
    #[must_use]
    pub fn snapshot(&self) -> LinkSnapshot {
        let mut state = lock(&self.0.state);
        let deferred = state.each(|_, _| {});
        let mut stats = state.stats;
        for connection in state.connections.values() {
            stats.bytes_up += connection.sent(Direction::Up);
            stats.bytes_down += connection.sent(Direction::Down);
        }
        drop(state);
        self.run_deferred(deferred);
        stats
    }

    pub(super) fn host(&self) -> &str {
        &self.0.host
    }

    pub(super) fn address(&self) -> &str {
        &self.0.address
    }

    /// Waits as long as a connect takes, and returns whether it is allowed.
    pub(super) async fn admit_connect(&self) -> io::Result<()> {
        let delay = lock(&self.0.state).connect_delay;
        match delay.is_zero() {
            true => let_others_run().await,
            false => sleep(delay).await,
        }
        loop {
            let mut changed = pin!(self.0.changed.notified());
            // Registered before the check, so that a change in between is not missed.
            changed.as_mut().enable();
            match self.try_admit() {
                Some(admitted) => return admitted,
                None => changed.await,
            }
        }
    }

    /// Decides whether a connect is allowed; `None` during a partition.
    fn try_admit(&self) -> Option<io::Result<()>> {
        let mut state = lock(&self.0.state);
        let State { active, refuse, stats, .. } = &mut *state;
        if active.0.iter().any(|active| active.toxics.partition) {
            return None;
        }
        let Some(rest) = refuse.checked_sub(1) else { return Some(Ok(())) };
        *refuse = rest;
        stats.refused += 1;
        let message = format!("the link to {} refuses to connect", self.0.address);
        Some(Err(io::Error::new(io::ErrorKind::ConnectionRefused, message)))
    }

    /// Counts a connect to an address where nobody listens, and returns its error.
    pub(super) fn refused(&self) -> io::Error {
        lock(&self.0.state).stats.refused += 1;
        io::Error::new(io::ErrorKind::ConnectionRefused, format!("nobody listens on {}", self.0.address))
    }

    /// Opens a connection, and returns its id.
    pub(super) fn open(&self, buffer: usize) -> u64 {
        let mut state = lock(&self.0.state);
        // A connection whose time-out is due must not count as open beside the new one.
        let timed = state.active.0.iter().any(|active| active.toxics.are_timed());
        let deferred = if timed { state.each(|_, _| {}) } else { Deferred::default() };
        let id = state.stats.opened;
        let opened = Instant::now();
        let pipe = |number| {
            let random = Random::new(seed_of(self.0.seed, "", 2 * id + number));
            Pipe::new(buffer, Schedule::new(opened, random))
        };
        let mut connection = Connection::new(opened, PerDirection([pipe(0), pipe(1)]));
        // A byte limit of zero ends it at once.
        connection.catch_up(Now { at: opened, active: &state.active });
        state.stats.opened += 1;
        state.stats.open += usize::from(connection.is_open());
        state.stats.peak_open = state.stats.peak_open.max(state.stats.open);
        state.connections.insert(id, connection);
        drop(state);
        self.run_deferred(deferred);
        id
    }

    /// Applies a change to a connection, and its consequences.
    pub(super) fn with<T>(&self, id: u64, act: impl FnOnce(&mut Connection, Now<'_>) -> T) -> T {
        let mut state = lock(&self.0.state);
        let State { active, connections, stats, .. } = &mut *state;
        let connection = connections.get_mut(&id).expect("a connection lives as long as its streams");
        let was_open = connection.is_open();
        let (result, deferred) = connection.act(id, Now { at: Instant::now(), active }, act);
        stats.open -= usize::from(was_open && !connection.is_open());
        let mut over = None;
        if connection.is_over() {
            stats.bytes_up += connection.sent(Direction::Up);
            stats.bytes_down += connection.sent(Direction::Down);
            over = connections.remove(&id);
        }
        drop(state);
        drop(over);
        self.run_deferred(deferred);
        result
    }

    /// Polls for a stream. Its waker is cloned only if it has to wait, and without the lock.
    pub(super) fn poll<T>(
        &self,
        id: u64,
        cx: &Context<'_>,
        mut act: impl FnMut(&mut Connection, Now<'_>, Option<&Arc<SharedWaker>>) -> Poll<T>,
    ) -> Poll<T> {
        let result = self.with(id, |connection, now| act(connection, now, None));
        if result.is_ready() {
            return result;
        }
        let waker = SharedWaker::of(cx);
        self.with(id, |connection, now| act(connection, now, Some(&waker)))
    }

    fn set(&self, directions: &[Direction], toxics: Toxics) {
        let mut state = lock(&self.0.state);
        // The toxics that are replaced have their effect first.
        let mut deferred = state.each(|_, _| {});
        for &direction in directions {
            *state.active.get_mut(direction) = ActiveToxics { toxics, since: Instant::now() };
        }
        deferred.append(state.each(|_, _| {}));
        drop(state);
        self.0.changed.notify_waiters();
        self.run_deferred(deferred);
    }

    fn break_off(&self, end: End) {
        let deferred = lock(&self.0.state).each(|connection, now| connection.break_off(now.at, end, now));
        self.run_deferred(deferred);
    }

    /// Arms timers and wakes tasks, without the lock.
    fn run_deferred(&self, deferred: Deferred) {
        deferred.run(|mut timers| {
            let mut state = lock(&self.0.state);
            // Timers that no waiter needs are returned, and dropped without the lock.
            timers
                .drain(..)
                .filter_map(|armed| match state.connections.get_mut(&armed.id.0) {
                    Some(connection) => connection.waiter(armed.id.1, armed.id.2).arm(armed),
                    None => Some(armed),
                })
                .collect()
        });
    }
}

impl State {
    fn each(&mut self, act: impl Fn(&mut Connection, Now<'_>)) -> Deferred {
        let now = Now { at: Instant::now(), active: &self.active };
        let mut deferred = Deferred::default();
        for (id, connection) in &mut self.connections {
            let was_open = connection.is_open();
            deferred.append(connection.act(*id, now, &act).1);
            self.stats.open -= usize::from(was_open && !connection.is_open());
        }
        deferred
    }
}

/// Makes every connect yield once. Tokio's `yield_now` would reverse the order of tasks that connect together.
async fn let_others_run() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
