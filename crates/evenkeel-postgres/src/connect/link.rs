//! The link to one host: makes it, and observes whether it is encrypted and how it ends.
//!
//! The client sees only that a connection is closed. Its task sees what the server said before that, also while no
//! statement runs, and leaves it in a [`LinkState`].

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use deadpool_postgres::Connect;
use evenkeel_base::lock;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_postgres::{
    AsyncMessage, Client, Config, Connection, Error, NoTls, Notification, Socket,
    error::DbError,
    tls::{MakeTlsConnect, TlsConnect, TlsStream},
};

use crate::sqlstate::io_error;

/// Makes a link to the one host of a configuration.
pub(crate) type ConnectLink = Arc<dyn Fn(Config, LinkState) -> ConnectingLink + Send + Sync>;

type ConnectingLink = Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send>>;

/// The state of a link, as its task sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct LinkState(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    is_encrypted: AtomicBool,
    end: Mutex<Option<Error>>,
    // Where the task of the connection passes notifications, which takes it; without it they are dropped.
    notifications: Mutex<Option<mpsc::Sender<Notification>>>,
}

impl LinkState {
    pub(crate) fn new(notifications: Option<mpsc::Sender<Notification>>) -> Self {
        Self(Arc::new(Inner { notifications: Mutex::new(notifications), ..Inner::default() }))
    }

    /// Returns the error with which the server ended the connection while no statement ran.
    ///
    /// A statement that found the connection closed then was not sent: the client reads everything that has arrived
    /// before it sends.
    pub(crate) fn end(&self) -> Option<DbError> {
        lock(&self.0.end).as_ref()?.as_db_error().cloned()
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.0.is_encrypted.load(Relaxed)
    }
}

pub(crate) fn connect_without_tls() -> ConnectLink {
    Arc::new(|config, link| Box::pin(connect(config, NoTls, link)))
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
        Box::pin(connect(config, tls, link))
    })
}

async fn connect<T>(config: Config, tls: T, link: LinkState) -> Result<(Client, JoinHandle<()>), Error>
where
    T: MakeTlsConnect<Socket, Stream: Send + 'static>,
{
    let (client, connection) = config.connect(tls).await?;
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
            // it to the oldest statement, or ends with it if there is none; if there is no error, it fails again.
            let last = connection.as_mut().await;
            if last.as_ref().is_err_and(|error| error.as_db_error().is_some()) {
                ended = last;
            }
        }
        *lock(&link.0.end) = ended.err();
    });
    Ok((client, task))
}

/// Runs a connection until it ends, and passes its notifications on. While nobody takes them, it reads no further.
async fn pass_on<T: TlsStream + Unpin>(
    mut connection: Pin<&mut Connection<Socket, T>>,
    notifications: &mpsc::Sender<Notification>,
) -> Result<(), Error> {
    while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await.transpose()? {
        if let AsyncMessage::Notification(notification) = message {
            // A listener that is gone has dropped its client, which ends the connection.
            let _ = notifications.send(notification).await;
        }
    }
    Ok(())
}

/// TLS that notes whether the server accepts it.
struct ObservedTls<T> {
    tls: T,
    link: LinkState,
}

impl<T: MakeTlsConnect<Socket>> MakeTlsConnect<Socket> for ObservedTls<T> {
    type Stream = T::Stream;
    type TlsConnect = ObservedTls<T::TlsConnect>;
    type Error = T::Error;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Self::TlsConnect, T::Error> {
        Ok(ObservedTls { tls: self.tls.make_tls_connect(domain)?, link: self.link.clone() })
    }
}

impl<T: TlsConnect<Socket>> TlsConnect<Socket> for ObservedTls<T> {
    type Stream = T::Stream;
    type Error = T::Error;
    type Future = T::Future;

    fn connect(self, stream: Socket) -> T::Future {
        self.link.0.is_encrypted.store(true, Relaxed);
        self.tls.connect(stream)
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
