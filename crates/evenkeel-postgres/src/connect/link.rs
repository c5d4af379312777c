//! The link to one host: makes it, and observes whether it is encrypted and how it ends.
//!
//! The client sees only that a connection is closed. Its task sees what the server said before that, also while no
//! statement runs, and leaves it in a [`LinkState`].
//!
//! A link may be one whose prepared statements have no name on the server ([`unnamed`](super::unnamed)).

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use deadpool_postgres::Connect;
use evenkeel_base::lock;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    task::JoinHandle,
    time::sleep,
};
use tokio_postgres::{
    AsyncMessage, Client, Config, Connection, Error, NoTls, Notification, Socket,
    config::{Host, SslMode, SslNegotiation},
    error::DbError,
    tls::{MakeTlsConnect, TlsConnect},
};

use super::{
    tls_over::TlsOver,
    unnamed::{PlainTls, UnnamedStream},
};
use crate::sqlstate::io_error;

/// Makes a link to the one host of a configuration.
pub(crate) type ConnectLink = Arc<dyn Fn(Config, LinkState) -> ConnectingLink + Send + Sync>;

/// The shortest time that a timer knows.
const A_LOOK: Duration = Duration::from_millis(1);

type ConnectingLink = Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send>>;

/// The state of a link, as its task sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct LinkState(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    // Whether prepared statements are to have no name on the server.
    is_unnamed: bool,
    is_handshake_begun: AtomicBool,
    is_encrypted: AtomicBool,
    has_plain_tls: AtomicBool,
    end: Mutex<Option<LinkEnd>>,
    // Where the task of the connection passes notifications, which takes it; without it they are dropped.
    notifications: Mutex<Option<mpsc::Sender<Notification>>>,
}

/// The error with which the server ended a link. Only the client makes errors of its type, so that there is one.
#[derive(Debug)]
struct LinkEnd {
    db: DbError,
    error: Option<Error>,
}

impl LinkState {
    pub(crate) fn new(is_unnamed: bool, notifications: Option<mpsc::Sender<Notification>>) -> Self {
        Self(Arc::new(Inner { is_unnamed, notifications: Mutex::new(notifications), ..Inner::default() }))
    }

    /// Returns the error with which the server ended the connection while no statement ran.
    ///
    /// A statement that found the connection closed then was not sent: the error would have been the answer to one that was.
    pub(crate) fn end(&self) -> Option<DbError> {
        lock(&self.0.end).as_ref().map(|end| end.db.clone())
    }

    /// Takes the same error, for the first statement that found the connection closed.
    pub(crate) fn take_end(&self) -> Option<Error> {
        lock(&self.0.end).as_mut()?.error.take()
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.0.is_encrypted.load(Relaxed)
    }

    /// Whether the link has [`PlainTls`].
    pub(crate) fn has_plain_tls(&self) -> bool {
        self.0.has_plain_tls.load(Relaxed)
    }

    /// Whether the server accepted TLS, and the handshake has failed; before its end that it has not succeeded yet.
    pub(crate) fn is_handshake_failed(&self) -> bool {
        self.0.is_handshake_begun.load(Relaxed) && !self.is_encrypted()
    }
}

pub(crate) fn connect_with_tls<T>(tls: T) -> ConnectLink
where
    T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
    T::Stream: Send,
    T::TlsConnect: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    Arc::new(move |config, link| {
        let tls = ObservedTls { tls: tls.clone(), link: link.clone() };
        if !link.0.is_unnamed {
            return Box::pin(connect(config, tls, link));
        }
        Box::pin(async move {
            if config.get_ssl_mode() != SslMode::Disable {
                let connected = config.connect(TlsOver { tls, wrap: UnnamedStream::new }).await?;
                if link.is_encrypted() {
                    return Ok(spawn(connected, link));
                }
                // The server has no TLS, and needs none.
            }
            connect_unnamed(config, link).await
        })
    })
}

async fn connect<T>(config: Config, tls: T, link: LinkState) -> Result<(Client, JoinHandle<()>), Error>
where
    T: MakeTlsConnect<Socket, Stream: Send + 'static>,
{
    Ok(spawn(config.connect(tls).await?, link))
}

/// Connects without TLS; prepared statements have no name on the server.
async fn connect_unnamed(mut config: Config, link: LinkState) -> Result<(Client, JoinHandle<()>), Error> {
    #[cfg(unix)]
    if let [Host::Unix(dir)] = config.get_hosts() {
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let socket = super::Address::unix_socket(dir, port);
        config.ssl_mode(SslMode::Disable);
        loop {
            // The client alone makes errors of its type, and compares `target_session_attrs`.
            drop(config.connect(NoTls).await?);
            if let Ok(stream) = tokio::net::UnixStream::connect(&socket).await {
                let stream = super::unnamed::UnnamedStream::new(stream);
                return Ok(spawn(config.connect_raw(stream, NoTls).await?, link));
            }
        }
    }
    if config.get_hosts().is_empty() {
        // The client demands a name for TLS.
        let addr = config.get_hostaddrs().first().map(ToString::to_string);
        config.host(addr.unwrap_or_default());
    }
    config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
    link.0.has_plain_tls.store(true, Relaxed);
    connect(config, TlsOver { tls: PlainTls, wrap: UnnamedStream::new }, link).await
}

/// Spawns the task of a connection.
fn spawn<S, T>((client, connection): (Client, Connection<S, T>), link: LinkState) -> (Client, JoinHandle<()>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let notifications = lock(&link.0.notifications).take();
    let task = tokio::spawn(async move {
        // The end is stored before the connection is dropped, because the drop is how the client learns of it.
        let mut connection = pin!(connection);
        let mut ended = match notifications {
            Some(notifications) => pass_on(connection.as_mut(), &notifications).await,
            None => connection.as_mut().await,
        };
        if ended.as_ref().is_err_and(|error| io_error(error).is_some()) {
            // A write failed. An error that the server sent before it closed may still be unread. The connection passes
            // it to the oldest statement, or ends with it if there is none; if there is no error, it fails again. It reads
            // only what the runtime has seen at its sockets, and the runtime looks at them before a timer fires.
            sleep(A_LOOK).await;
            let last = connection.as_mut().await;
            if last.as_ref().is_err_and(|error| error.as_db_error().is_some()) {
                ended = last;
            }
        }
        *lock(&link.0.end) = ended
            .err()
            .and_then(|error| Some(LinkEnd { db: error.as_db_error()?.clone(), error: Some(error) }));
    });
    (client, task)
}

/// Runs a connection until it ends, and passes its notifications on. While nobody takes them, it reads no further.
async fn pass_on<S, T>(
    mut connection: Pin<&mut Connection<S, T>>,
    notifications: &mpsc::Sender<Notification>,
) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await.transpose()? {
        if let AsyncMessage::Notification(notification) = message {
            // A listener that is gone has dropped its client, which ends the connection.
            let _ = notifications.send(notification).await;
        }
    }
    Ok(())
}

/// TLS that notes whether the server accepts it, and whether the handshake succeeds.
struct ObservedTls<T> {
    tls: T,
    link: LinkState,
}

impl<T> MakeTlsConnect<Socket> for ObservedTls<T>
where
    T: MakeTlsConnect<Socket>,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send + 'static,
{
    type Stream = T::Stream;
    type TlsConnect = ObservedTls<T::TlsConnect>;
    type Error = T::Error;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Self::TlsConnect, T::Error> {
        Ok(ObservedTls { tls: self.tls.make_tls_connect(domain)?, link: self.link.clone() })
    }
}

impl<T> TlsConnect<Socket> for ObservedTls<T>
where
    T: TlsConnect<Socket, Future: Send + 'static>,
{
    type Stream = T::Stream;
    type Error = T::Error;
    type Future = Pin<Box<dyn Future<Output = Result<T::Stream, T::Error>> + Send>>;

    fn connect(self, stream: Socket) -> Self::Future {
        let Self { tls, link } = self;
        link.0.is_handshake_begun.store(true, Relaxed);
        let handshake = tls.connect(stream);
        Box::pin(async move {
            let stream = handshake.await?;
            link.0.is_encrypted.store(true, Relaxed);
            Ok(stream)
        })
    }
}

/// Connects in the way of deadpool-postgres, once: its link has one state.
pub(crate) struct ObservedConnect {
    pub(crate) connect: ConnectLink,
    pub(crate) link: LinkState,
}

impl Connect for ObservedConnect {
    fn connect(
        &self,
        config: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + '_>> {
        (self.connect)(config.clone(), self.link.clone())
    }
}
