//! The way to an address, and all connections on it.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    io,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use super::{
    connection::{Connection, Now, Rule},
    direction::{Direction, PerDirection},
    pipe::{End, Pipe},
    random::{Random, seed_of},
    schedule::Schedule,
    stream::MemStream,
    toxics::Toxics,
    waiter::{Task, Woken},
};

/// The way from a host to an address: what it does to all connections, open ones included, and their counts.
///
/// It is a handle: clones are the same link. [`MemNet::link`](super::MemNet::link) and `Proxy::link` give it.
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
///     assert_eq!(link.stats().opened, 1);
/// });
/// ```
#[derive(Clone, Debug)]
pub struct Link(Arc<Shared>);

/// What a [`Link`] has carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkStats {
    /// The connections whose two streams are both there, and that the link has not ended.
    pub open: usize,
    /// The most that were open at once.
    pub peak_open: usize,
    /// All connections.
    pub opened: u64,
    /// The connects that were refused: by [`Link::refuse`], or because nobody listened.
    pub refused: u64,
    /// The bytes sent to the server.
    pub bytes_up: u64,
    /// The bytes sent to the client.
    pub bytes_down: u64,
}

#[derive(Debug)]
struct Shared {
    host: String,
    address: String,
    seed: u64,
    state: Mutex<State>,
    /// Told when the toxics change: connects wait for the end of a partition.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    rules: PerDirection<Rule>,
    refuse: usize,
    connect_delay: Duration,
    connections: BTreeMap<u64, Connection>,
    /// Of the bytes, those of the connections that are over.
    stats: LinkStats,
}

impl Link {
    pub(super) fn new(seed: u64, host: &str, address: &str) -> Self {
        let rule = Rule { toxics: Toxics::new(), since: Instant::now() };
        let state = State {
            rules: PerDirection { up: rule, down: rule },
            refuse: 0,
            connect_delay: Duration::ZERO,
            connections: BTreeMap::new(),
            stats: LinkStats::default(),
        };
        Link(Arc::new(Shared {
            host: host.to_owned(),
            address: address.to_owned(),
            seed: seed_of(seed, &format!("{host}>{address}"), 0),
            state: Mutex::new(state),
            changed: Notify::new(),
        }))
    }

    /// Sets the toxics of what clients send, in place of those before.
    ///
    /// Bytes that are on their way keep their time.
    pub fn upstream(&self, toxics: Toxics) {
        self.set(&[Direction::Up], toxics);
    }

    /// Sets the toxics of what the server sends, in place of those before.
    ///
    /// Bytes that are on their way keep their time.
    pub fn downstream(&self, toxics: Toxics) {
        self.set(&[Direction::Down], toxics);
    }

    /// Sets the toxics of both directions, in place of those before.
    pub fn both(&self, toxics: Toxics) {
        self.set(&Direction::BOTH, toxics);
    }

    /// Refuses the next `connects` connects, in place of those that were still to be refused.
    pub fn refuse(&self, connects: usize) {
        self.state().refuse = connects;
    }

    /// Lets each connect take this long, whatever becomes of it.
    pub fn connect_delay(&self, delay: Duration) {
        self.state().connect_delay = delay;
    }

    /// Takes all faults away: toxics, refusals and the connect delay.
    pub fn heal(&self) {
        self.refuse(0);
        self.connect_delay(Duration::ZERO);
        self.both(Toxics::new());
    }

    /// Closes all open connections, both directions; what was sent arrives, unless a partition holds it back.
    pub fn cut(&self) {
        self.break_off(End::Close);
    }

    /// Resets all open connections; what was sent arrives, unless a partition holds it back.
    pub fn reset(&self) {
        self.break_off(End::Reset);
    }

    /// The counts until now.
    #[must_use]
    pub fn stats(&self) -> LinkStats {
        let mut state = self.state();
        let woken = state.each(|_, _| {});
        let mut stats = state.stats;
        for connection in state.connections.values() {
            stats.bytes_up += connection.sent(Direction::Up);
            stats.bytes_down += connection.sent(Direction::Down);
        }
        drop(state);
        self.settle(woken);
        stats
    }

    pub(super) fn host(&self) -> &str {
        &self.0.host
    }

    pub(super) fn address(&self) -> &str {
        &self.0.address
    }

    /// Waits as long as a connect takes; whether it may go on.
    pub(super) async fn dial(&self) -> io::Result<()> {
        let delay = self.state().connect_delay;
        match delay.is_zero() {
            true => let_others_run().await,
            false => sleep(delay).await,
        }
        loop {
            let mut changed = pin!(self.0.changed.notified());
            changed.as_mut().enable();
            match self.admit() {
                Some(admitted) => return admitted,
                None => changed.await,
            }
        }
    }

    /// Whether a connect may go on; nothing during a partition.
    fn admit(&self) -> Option<io::Result<()>> {
        let mut state = self.state();
        let State { rules, refuse, stats, .. } = &mut *state;
        if Direction::BOTH.into_iter().any(|direction| rules.get(direction).toxics.partition) {
            return None;
        }
        let Some(rest) = refuse.checked_sub(1) else { return Some(Ok(())) };
        *refuse = rest;
        stats.refused += 1;
        let message = format!("the link to {} refuses to connect", self.0.address);
        Some(Err(io::Error::new(io::ErrorKind::ConnectionRefused, message)))
    }

    /// Nobody listens.
    pub(super) fn nobody(&self) -> io::Error {
        self.state().stats.refused += 1;
        io::Error::new(io::ErrorKind::ConnectionRefused, format!("nobody listens on {}", self.0.address))
    }

    /// Opens a connection: the client's stream, and the server's.
    pub(super) fn open(&self, buffer: usize) -> (MemStream, MemStream) {
        let mut state = self.state();
        // Whoever has timed out by now is not open beside it.
        let timed =
            Direction::BOTH.into_iter().any(|direction| state.rules.get(direction).toxics.are_timed());
        let woken = if timed { state.each(|_, _| {}) } else { Woken::default() };
        let id = state.stats.opened;
        let opened = Instant::now();
        let pipe = |number| {
            let random = Random::new(seed_of(self.0.seed, "", 2 * id + number));
            Pipe::new(buffer, Schedule::new(opened, random))
        };
        let mut connection = Connection::new(opened, PerDirection { up: pipe(0), down: pipe(1) });
        // It may be cut as soon as it is open.
        connection.catch_up(Now { at: opened, rules: &state.rules });
        state.stats.opened += 1;
        state.stats.open += usize::from(connection.is_open());
        state.stats.peak_open = state.stats.peak_open.max(state.stats.open);
        state.connections.insert(id, connection);
        drop(state);
        self.settle(woken);
        (MemStream::new(self.clone(), id, Direction::Up), MemStream::new(self.clone(), id, Direction::Down))
    }

    /// Does something to a connection, and lets follow what follows from it.
    pub(super) fn with<T>(&self, id: u64, act: impl FnOnce(&mut Connection, Now<'_>) -> T) -> T {
        let mut state = self.state();
        let State { rules, connections, stats, .. } = &mut *state;
        let connection = connections.get_mut(&id).expect("a connection lives as long as its streams");
        let was_open = connection.is_open();
        let (result, woken) = connection.act(id, Now { at: Instant::now(), rules }, act);
        stats.open -= usize::from(was_open && !connection.is_open());
        let mut over = None;
        if connection.is_over() {
            stats.bytes_up += connection.sent(Direction::Up);
            stats.bytes_down += connection.sent(Direction::Down);
            over = connections.remove(&id);
        }
        drop(state);
        drop(over);
        self.settle(woken);
        result
    }

    /// Does something for a stream that may have to wait; its waker is cloned for that, without the lock.
    pub(super) fn poll<T>(
        &self,
        id: u64,
        cx: &Context<'_>,
        mut act: impl FnMut(&mut Connection, Now<'_>, Option<&Arc<Task>>) -> Poll<T>,
    ) -> Poll<T> {
        let result = self.with(id, |connection, now| act(connection, now, None));
        if result.is_ready() {
            return result;
        }
        let task = Task::of(cx);
        self.with(id, |connection, now| act(connection, now, Some(&task)))
    }

    fn set(&self, directions: &[Direction], toxics: Toxics) {
        let mut state = self.state();
        // What was in force until now has its effect first.
        let mut woken = state.each(|_, _| {});
        for &direction in directions {
            *state.rules.get_mut(direction) = Rule { toxics, since: Instant::now() };
        }
        woken.append(state.each(|_, _| {}));
        drop(state);
        self.0.changed.notify_waiters();
        self.settle(woken);
    }

    fn break_off(&self, end: End) {
        let woken = self.state().each(|connection, now| connection.break_off(now.at, end, now));
        self.settle(woken);
    }

    /// Sets alarms and wakes tasks, without the lock.
    fn settle(&self, woken: Woken) {
        woken.settle(|mut alarms| {
            let mut state = self.state();
            // What the connection has no use for any more is dropped without the lock.
            alarms
                .drain(..)
                .filter_map(|set| match state.connections.get_mut(&set.place.0) {
                    Some(connection) => connection.waiter(set.place.1, set.place.2).keep(set),
                    None => Some(set),
                })
                .collect()
        });
    }

    // Nothing of others runs under the lock: neither a waker nor a timer.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn each(&mut self, act: impl Fn(&mut Connection, Now<'_>)) -> Woken {
        let now = Now { at: Instant::now(), rules: &self.rules };
        let mut woken = Woken::default();
        for (id, connection) in &mut self.connections {
            let was_open = connection.is_open();
            woken.append(connection.act(*id, now, &act).1);
            self.stats.open -= usize::from(was_open && !connection.is_open());
        }
        woken
    }
}

/// No connect is over at once. Tokio's `yield_now` would reverse the order of those who connect together.
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
