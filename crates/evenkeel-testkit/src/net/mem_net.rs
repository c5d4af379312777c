//! `MemNet`: addresses, their listeners, and links.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
};

use evenkeel_base::lock;
use tokio::sync::mpsc;

use super::{direction::Direction, link::Link, listener::MemListener, stream::MemStream};

/// A network in memory: its addresses are names, its faults are chosen, and its time is tokio's.
///
/// Under paused time its delays are exact, to the millisecond of tokio's timers, and cost no real time. It
/// spawns no tasks. It is a handle: clones are the same network.
///
/// | setting | default |
/// |---|---|
/// | bytes that wait to be read, for each direction of a connection | 65,536 |
/// | connections that wait to be accepted, for each address | 128 |
/// | seed of jitter and slicer | 0 |
/// | host that connects | `client` |
///
/// # Why not just use a loopback socket?
///
/// It has no faults to choose, its ports are shared with the machine, and a test that reads it beside
/// virtual time depends on when the kernel delivers.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::{World, assert_took, net::{MemNet, Toxics}};
/// use std::time::Duration;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// World::run(async |_| {
///     let net = MemNet::new();
///     let mut listener = net.listen("echo.test:7").unwrap();
///     tokio::spawn(async move {
///         let mut stream = listener.accept().await;
///         while let Ok(byte) = stream.read_u8().await {
///             stream.write_u8(byte).await.unwrap();
///         }
///     });
///
///     let link = net.link("echo.test:7");
///     let mut stream = net.connect("echo.test:7").await.unwrap();
///     let mut echo = async |byte| {
///         stream.write_u8(byte).await.unwrap();
///         stream.read_u8().await.unwrap()
///     };
///     assert_eq!(assert_took!(echo(1), Duration::ZERO), 1);
///     link.both(Toxics::new().latency(Duration::from_millis(40))); // also for open connections
///     assert_eq!(assert_took!(echo(2), Duration::from_millis(80)), 2);
/// });
/// ```
#[derive(Clone, Debug)]
pub struct MemNet {
    host: Arc<str>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    seed: u64,
    buffer: usize,
    backlog: usize,
    listeners: BTreeMap<String, mpsc::Sender<MemStream>>,
    /// By host and address.
    links: BTreeMap<(String, String), Link>,
}

impl MemNet {
    /// A network where nobody listens.
    #[must_use]
    pub fn new() -> Self {
        let state = State {
            seed: 0,
            buffer: 64 * 1024,
            backlog: 128,
            listeners: BTreeMap::new(),
            links: BTreeMap::new(),
        };
        MemNet { host: "client".into(), state: Arc::new(Mutex::new(state)) }
    }

    /// Sets the seed of jitter and slicer, for links that are used later; for example
    /// [`World::seed`](crate::World::seed).
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        lock(&self.state).seed = seed;
        self
    }

    /// Sets how many bytes may wait to be read, for connections that are opened later.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[must_use]
    #[track_caller]
    pub fn buffer(self, bytes: usize) -> Self {
        assert!(bytes > 0, "a buffer of zero bytes");
        lock(&self.state).buffer = bytes;
        self
    }

    /// Sets how many connections may wait to be accepted, for listeners that are made later.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[must_use]
    #[track_caller]
    pub fn backlog(self, connections: usize) -> Self {
        assert!(connections > 0, "a backlog of zero connections");
        lock(&self.state).backlog = connections;
        self
    }

    /// Returns the same network for a client on the host of this name, which has its own links.
    #[must_use]
    pub fn at(&self, host: &str) -> Self {
        MemNet { host: host.into(), state: self.state.clone() }
    }

    /// Listens on an address, which may be any text.
    ///
    /// # Errors
    ///
    /// `AddrInUse`, if somebody listens there.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_testkit::net::MemNet;
    ///
    /// let net = MemNet::new();
    /// let listener = net.listen("api.test:80").unwrap();
    /// assert!(net.listen("api.test:80").is_err());
    /// drop(listener);
    /// assert!(net.listen("api.test:80").is_ok());
    /// ```
    pub fn listen(&self, address: &str) -> io::Result<MemListener> {
        let mut state = lock(&self.state);
        if state.listeners.get(address).is_some_and(|listener| !listener.is_closed()) {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                format!("somebody listens on {address} already"),
            ));
        }
        let (send, receive) = mpsc::channel(state.backlog);
        let gone = state.listeners.insert(address.to_owned(), send);
        drop(state);
        // Dropped without the lock: it may hold streams, whose ends wake tasks.
        drop(gone);
        Ok(MemListener::new(address, receive))
    }

    /// Connects to an address.
    ///
    /// It waits for the link's [`connect_delay`](Link::connect_delay), for the end of a partition, and for room in
    /// the listener's backlog.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused`, if nobody listens there, or if the link [refuses](Link::refuse).
    ///
    /// # Cancel safety
    ///
    /// Dropping it before it returns opens no connection.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_testkit::{World, net::MemNet};
    /// use std::io::ErrorKind;
    ///
    /// World::run(async |_| {
    ///     let error = MemNet::new().connect("api.test:80").await.unwrap_err();
    ///     assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    ///     assert_eq!(error.to_string(), "nobody listens on api.test:80");
    /// });
    /// ```
    pub async fn connect(&self, address: &str) -> io::Result<MemStream> {
        let link = self.link(address);
        link.admit_connect().await?;
        let listener = lock(&self.state).listeners.get(address).cloned().ok_or_else(|| link.refused())?;
        let place = listener.reserve().await.map_err(|_| link.refused())?;
        let buffer = lock(&self.state).buffer;
        let id = link.open(buffer);
        place.send(MemStream::new(link.clone(), id, Direction::Down));
        Ok(MemStream::new(link, id, Direction::Up))
    }

    /// The link from this host to an address, whether a listener is there or not.
    #[must_use]
    pub fn link(&self, address: &str) -> Link {
        let mut state = lock(&self.state);
        let seed = state.seed;
        let link = state.links.entry((self.host.to_string(), address.to_owned()));
        link.or_insert_with(|| Link::new(seed, &self.host, address)).clone()
    }

    /// Frees an address before its listener is dropped; later connects are refused.
    #[cfg(feature = "http")]
    pub(crate) fn free(&self, address: &str) {
        let listener = lock(&self.state).listeners.remove(address);
        // Dropped without the lock: it wakes the task that accepts.
        drop(listener);
    }
}

impl Default for MemNet {
    fn default() -> Self {
        Self::new()
    }
}
