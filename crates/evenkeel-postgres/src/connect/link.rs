//! One connection to one host, and how it ends.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use deadpool_postgres::Connect;
use tokio::task::JoinHandle;
use tokio_postgres::error::DbError;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, Config, Error, NoTls, Socket};

use crate::connection::lock;
use crate::error::io_error;

/// Connects to the one host of a configuration.
pub(crate) type Dial = Arc<dyn Fn(Config, Link) -> Connecting + Send + Sync>;

type Connecting = Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send>>;

/// What is known of a connection apart from its statements.
#[derive(Clone, Debug, Default)]
pub(crate) struct Link(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    encrypted: AtomicBool,
    end: Mutex<Option<Error>>,
}

impl Link {
    /// What the server said when it ended the connection while it was asked nothing.
    ///
    /// A statement that found the connection closed then was not sent: the client looks at what has come before it
    /// sends.
    pub(crate) fn last_word(&self) -> Option<DbError> {
        lock(&self.0.end).as_ref()?.as_db_error().cloned()
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.0.encrypted.load(Relaxed)
    }
}

pub(crate) fn dial_without_tls() -> Dial {
    Arc::new(|config, link| Box::pin(dial(config, NoTls, link)))
}

pub(crate) fn dial_over<T>(tls: T) -> Dial
where
    T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
    T::Stream: Send,
    T::TlsConnect: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    Arc::new(move |config, link| {
        let tls = Noting { tls: tls.clone(), known: Arc::clone(&link.0) };
        Box::pin(dial(config, tls, link))
    })
}

async fn dial<T>(config: Config, tls: T, Link(known): Link) -> Result<(Client, JoinHandle<()>), Error>
where
    T: MakeTlsConnect<Socket, Stream: Send + 'static>,
{
    let (client, connection) = config.connect(tls).await?;
    let task = tokio::spawn(async move {
        // The connection is dropped, which the client sees, when its end is known.
        let mut connection = pin!(connection);
        let mut ended = connection.as_mut().await;
        if ended.as_ref().is_err_and(|error| io_error(error).is_some()) {
            // It ended at a write. What the server said before it closed may not have been read yet, and is the answer
            // to those who wait, and the end of the connection if nobody does; where there is nothing, it fails again.
            let last = connection.as_mut().await;
            if last.as_ref().is_err_and(|error| error.as_db_error().is_some()) {
                ended = last;
            }
        }
        *lock(&known.end) = ended.err();
    });
    Ok((client, task))
}

/// TLS that notes whether the server has it.
struct Noting<T> {
    tls: T,
    known: Arc<Known>,
}

impl<T: MakeTlsConnect<Socket>> MakeTlsConnect<Socket> for Noting<T> {
    type Stream = T::Stream;
    type TlsConnect = Noting<T::TlsConnect>;
    type Error = T::Error;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Self::TlsConnect, T::Error> {
        Ok(Noting { tls: self.tls.make_tls_connect(domain)?, known: Arc::clone(&self.known) })
    }
}

impl<T: TlsConnect<Socket>> TlsConnect<Socket> for Noting<T> {
    type Stream = T::Stream;
    type Error = T::Error;
    type Future = T::Future;

    fn connect(self, stream: Socket) -> T::Future {
        self.known.encrypted.store(true, Relaxed);
        self.tls.connect(stream)
    }
}

/// A way to connect as deadpool-postgres wants it, for one connection.
pub(crate) struct Once {
    pub(crate) dial: Dial,
    pub(crate) link: Link,
}

impl Connect for Once {
    fn connect(
        &self,
        config: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + '_>> {
        (self.dial)(config.clone(), self.link.clone())
    }
}
