//! Notifications of the server: `LISTEN`.
//!
//! # How it works
//!
//! A listener has a connection of its own, beside the pool. The task of the connection passes notifications on through a
//! channel that holds a few; when it is full, the task stops reading, and the server keeps what follows. The channel ends
//! with the connection. Then the listener connects again, as often as it takes, and says with
//! [`ListenEvent::MayHaveMissed`] that it did: the server keeps nothing for a session that is gone.

use std::{
    fmt,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use evenkeel_base::Random;
use evenkeel_pool::GetError;
use evenkeel_retry::Backoff;
use futures_core::Stream;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_postgres::Notification;

use crate::{
    ConnectError, Database, Error,
    connect::Connected,
    edges::{DatabaseEdges, WaitEdge},
    manager::{ConnectSettings, Source},
    sql::session_use::LISTEN,
};

/// The number of notifications that a listener holds.
const HELD: usize = 1024;

/// The pauses between attempts to connect.
const BACKOFF: Backoff = Backoff::exponential(Duration::from_millis(50), Duration::from_secs(10));

/// An event of a [`Listener`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ListenEvent {
    /// A notification of the server: its channel, its payload, and the process that sent it.
    Notification(Notification),
    /// The connection was lost, and there is a new one. Notifications that were sent meanwhile are gone: look for the work
    /// that they would have told of.
    MayHaveMissed,
}

/// The notifications of some channels, as a stream; made by [`Database::listen`].
///
/// It never ends by itself, unless the server refuses the login: then its last item is that error. When the connection
/// is lost, it makes another one, and yields [`ListenEvent::MayHaveMissed`]. It makes progress while it is polled; up to 1,024
/// notifications are held in between, and the server keeps those after them.
///
/// # Cancel safety
///
/// No notification is lost if the future of a next item is dropped. Dropping the listener closes its connection.
#[must_use = "streams do nothing unless polled"]
pub struct Listener {
    state: State,
    connector: Arc<Connector>,
    waiting: WaitEdge,
}

enum State {
    Connected(Box<Listening>),
    Connecting(Pin<Box<dyn Future<Output = Result<Listening, Error>> + Send>>),
    Ended,
}

/// A connection whose session listens.
struct Listening {
    notifications: mpsc::Receiver<Notification>,
    // Dropping it ends the connection.
    _connected: Connected,
}

/// Makes the connections of a listener.
struct Connector {
    listen: String,
    settings: ConnectSettings,
    edges: DatabaseEdges,
    seed: u64,
}

impl Database {
    /// Listens to channels, and returns their notifications as a stream.
    ///
    /// The names of the channels are taken as they are, with their case: `notify Jobs` without quotes notifies `jobs`.
    ///
    /// The listener has a connection of its own, which does not count as one of the pool, and which
    /// [`close`](Self::close) does not wait for.
    ///
    /// - The server sends the notifications of a transaction at its commit, and none after a rollback, also of a savepoint.
    /// - It sends each distinct channel and payload once for a transaction, also across savepoints: put a number into
    ///   payloads that are to be counted.
    /// - A payload has at most 7,999 bytes; the server refuses a longer one (22023).
    /// - A session gets notifications between its own transactions. That of a listener has none, so nothing holds them
    ///   back.
    /// - After a lost connection the stream yields [`ListenEvent::MayHaveMissed`]: the server keeps nothing for a session
    ///   that is gone.
    /// - A pooler in transaction mode passes no notifications on: give the listener a database at the address of the
    ///   server.
    ///
    /// # Errors
    ///
    /// [`Error::Get`] if there is no connection within [`acquire_timeout`](crate::Builder::acquire_timeout),
    /// [`Error::Statement`] if the server refuses to listen, and [`Error::Unsupported`] behind a pooler in transaction
    /// mode, and for a database of [`over`](Self::over) a manager.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use evenkeel_postgres::{Database, Error, ListenEvent};
    /// use futures::TryStreamExt as _;
    ///
    /// # async fn work() {}
    /// # async fn example(db: Database) -> Result<(), Error> {
    /// let mut jobs = db.listen(["jobs"]).await?;
    /// work().await;
    /// while let Some(event) = jobs.try_next().await? {
    ///     match event {
    ///         ListenEvent::Notification(job) => println!("{}: {}", job.channel(), job.payload()),
    ///         _ => println!("some may have been missed"),
    ///     }
    ///     work().await;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn listen<C: AsRef<str>>(
        &self,
        channels: impl IntoIterator<Item = C>,
    ) -> impl Future<Output = Result<Listener, Error>> + Send {
        let settings = self.sessions.connect.clone();
        let listen = |channel: C| format!("LISTEN \"{}\";", channel.as_ref().replace('"', "\"\""));
        let connector = Arc::new(Connector {
            listen: channels.into_iter().map(listen).collect(),
            settings,
            edges: self.sessions.edges.clone(),
            seed: Random::new().number(0),
        });
        let (acquire_timeout, mut waiting) =
            (self.sessions.acquire_timeout, self.sessions.edges.listener(Location::caller()));
        async move {
            let deadline = Instant::now().checked_add(acquire_timeout);
            waiting.begin("a connection that listens");
            let listening = connector.connect(deadline).await?;
            waiting.end();
            Ok(Listener { state: State::Connected(Box::new(listening)), connector, waiting })
        }
    }
}

impl Connector {
    /// Connects and listens, again after failures that may pass.
    async fn connect(&self, deadline: Option<Instant>) -> Result<Listening, Error> {
        let mut failures = 0;
        loop {
            let error = match self.try_connect(deadline).await {
                Ok(listening) => {
                    self.edges.connected();
                    return Ok(listening);
                }
                Err(error) => error,
            };
            if let Error::Get(GetError::Create(error)) = &error {
                self.edges.connect_failed(error);
            }
            failures += 1;
            let again = Instant::now() + BACKOFF.delay(failures, self.seed);
            if !is_transient(&error) || deadline.is_some_and(|deadline| deadline < again) {
                return Err(error);
            }
            sleep(again.saturating_duration_since(Instant::now())).await;
        }
    }

    /// Makes one attempt, within the time for an attempt and until the deadline.
    async fn try_connect(&self, deadline: Option<Instant>) -> Result<Listening, Error> {
        let ConnectSettings { source, shared_time, connect_timeout, progress, .. } = &self.settings;
        let Source::Hosts(hosts) = &**source else {
            return Err(Error::Unsupported("a database over a manager has no access to notifications"));
        };
        let (sender, notifications) = mpsc::channel(HELD);
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let attempt = progress.begin(left.unwrap_or(Duration::MAX).min(*connect_timeout));
        let no_connection = |hosts| Error::Get(GetError::Create(ConnectError { hosts }));
        let connected = hosts.listening(sender).connect(*shared_time, &attempt).await;
        let connected = connected.map_err(no_connection)?;
        if let (true, Some(why)) = (connected.pooling.is_shared, LISTEN) {
            return Err(Error::Unsupported(why));
        }
        let server = connected.address.as_ref().map_or("the server".to_owned(), ToString::to_string);
        let listens = async { Ok(connected.client.batch_execute(&self.listen).await) };
        attempt.step(server, listens).await.map_err(no_connection)??;
        Ok(Listening { notifications, _connected: connected })
    }
}

/// Whether another attempt may succeed: also where the connection was lost while it began to listen.
fn is_transient(error: &Error) -> bool {
    match error {
        Error::Get(GetError::Create(error)) => error.is_transient(),
        error => error.is_connection_lost(),
    }
}

impl Stream for Listener {
    type Item = Result<ListenEvent, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.poll_event(cx);
        match (&polled, &self.state) {
            (Poll::Ready(_), _) => self.waiting.end(),
            (Poll::Pending, State::Connecting(_)) => self.waiting.begin("a connection that listens"),
            (Poll::Pending, _) => self.waiting.begin("a notification"),
        }
        polled
    }
}

impl Listener {
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<ListenEvent, Error>>> {
        loop {
            match &mut self.state {
                State::Connected(listening) => {
                    if let Some(notification) = ready!(listening.notifications.poll_recv(cx)) {
                        return Poll::Ready(Some(Ok(ListenEvent::Notification(notification))));
                    }
                    let connector = Arc::clone(&self.connector);
                    self.state = State::Connecting(Box::pin(async move { connector.connect(None).await }));
                }
                State::Connecting(connecting) => match ready!(connecting.as_mut().poll(cx)) {
                    Ok(listening) => {
                        self.state = State::Connected(Box::new(listening));
                        return Poll::Ready(Some(Ok(ListenEvent::MayHaveMissed)));
                    }
                    Err(error) => {
                        self.state = State::Ended;
                        return Poll::Ready(Some(Err(error)));
                    }
                },
                State::Ended => return Poll::Ready(None),
            }
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Connected(_) => "connected",
            State::Connecting(_) => "connecting",
            State::Ended => "ended",
        };
        f.debug_struct("Listener").field("listen", &self.connector.listen).field("state", &state).finish()
    }
}
