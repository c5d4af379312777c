//! `Connector`: how clients reach a server.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncWrite, empty, join},
    time::timeout,
};
use tokio_postgres::{CancelToken, Client, Config, Connection, Error, NoTls, tls::NoTlsStream};

use evenkeel_testkit::net::{MemNet, MemStream};

/// Connects to a PostgreSQL server in memory: single clients, or a pool of deadpool-postgres.
///
/// It ignores the hosts of a [`Config`], and uses its user, database, password and `connect_timeout`.
///
/// # Examples
///
/// With the feature `deadpool` it is a `deadpool_postgres::Connect`:
///
#[cfg_attr(feature = "deadpool", doc = "```")]
#[cfg_attr(not(feature = "deadpool"), doc = "```ignore")]
/// use deadpool_postgres::{Manager, ManagerConfig, Pool};
/// use evenkeel_testkit::{World, net::MemNet};
/// use evenkeel_testkit_pg::Server;
///
/// World::run(async |_| {
///     let server = Server::mem(&MemNet::new(), "db.test").unwrap();
///     let mut config = tokio_postgres::Config::new();
///     config.user("app");
///     let manager = Manager::from_connect(config, server.connector(), ManagerConfig::default());
///     let pool = Pool::builder(manager).max_size(2).build().unwrap();
///     let row = pool.get().await.unwrap().query_one("select 6 + 1", &[]).await.unwrap();
///     assert_eq!(row.get::<_, i32>(0), 7);
/// });
/// ```
#[derive(Clone, Debug)]
pub struct Connector {
    net: MemNet,
    address: String,
}

impl Connector {
    /// A connector to the server at an address like `db.test:5432`; the port is 5432 if it names none.
    #[must_use]
    pub fn new(net: &MemNet, address: &str) -> Self {
        let address = match address.contains(':') {
            true => address.to_owned(),
            false => format!("{address}:5432"),
        };
        Connector { net: net.clone(), address }
    }

    /// Connects, and returns the client and the connection, which the caller must drive.
    ///
    /// # Errors
    ///
    /// If the address has no listener, the link breaks, the server refuses, or the `connect_timeout` passes.
    ///
    /// # Cancel safety
    ///
    /// Dropping it before it returns leaves no connection behind.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_testkit::{World, net::MemNet};
    /// use evenkeel_testkit_pg::{Connector, Server};
    ///
    /// World::run(async |_| {
    ///     let net = MemNet::new();
    ///     let server = Server::mem(&net, "db.test").unwrap();
    ///     let config = "user=app dbname=app".parse().unwrap();
    ///     let worker = Connector::new(&net.at("worker"), "db.test");
    ///     let (client, connection) = worker.connect(&config).await.unwrap();
    ///     let driver = tokio::spawn(connection);
    ///     client.batch_execute("select 1").await.unwrap();
    ///     drop(client);
    ///     driver.await.unwrap().unwrap();
    /// });
    /// ```
    pub async fn connect(
        &self,
        config: &Config,
    ) -> Result<(Client, Connection<MemStream, NoTlsStream>), Error> {
        let stream = match config.get_connect_timeout() {
            Some(limit) => match timeout(*limit, self.net.connect(&self.address)).await {
                Ok(stream) => stream,
                Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "connection timed out")),
            },
            None => self.net.connect(&self.address).await,
        };
        match stream {
            Ok(stream) => config.connect_raw(stream, NoTls).await,
            Err(error) => match config.connect_raw(join(empty(), Refused(Some(error))), NoTls).await {
                Ok(_) => unreachable!("a stream that only fails"),
                Err(error) => Err(error),
            },
        }
    }

    /// Asks the server to cancel the statement that runs on the token's connection.
    ///
    /// # Errors
    ///
    /// If the link fails. The protocol does not say whether there was a statement to cancel.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, the request may have been sent or not.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_testkit::{World, assert_took, net::MemNet};
    /// use evenkeel_testkit_pg::Server;
    /// use std::time::Duration;
    /// use tokio::time::sleep;
    ///
    /// World::run(async |_| {
    ///     let server = Server::mem(&MemNet::new(), "db.test").unwrap();
    ///     let client = server.client().await.unwrap();
    ///     let (token, connector) = (client.cancel_token(), server.connector());
    ///     tokio::spawn(async move {
    ///         sleep(Duration::from_millis(20)).await;
    ///         connector.cancel(&token).await.unwrap();
    ///     });
    ///     let slow = client.batch_execute("select pg_sleep(3600)");
    ///     let error = assert_took!(slow, Duration::from_millis(20)).unwrap_err();
    ///     assert_eq!(error.code().unwrap().code(), "57014");
    /// });
    /// ```
    pub async fn cancel(&self, token: &CancelToken) -> Result<(), Error> {
        match self.net.connect(&self.address).await {
            Ok(stream) => token.cancel_query_raw(stream, NoTls).await,
            Err(error) => token.cancel_query_raw(join(empty(), Refused(Some(error))), NoTls).await,
        }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }
}

#[cfg(feature = "deadpool")]
#[cfg_attr(docsrs, doc(cfg(feature = "deadpool")))]
impl deadpool_postgres::Connect for Connector {
    fn connect(
        &self,
        config: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, tokio::task::JoinHandle<()>), Error>> + Send + '_>> {
        let config = config.clone();
        Box::pin(async move {
            let (client, connection) = self.connect(&config).await?;
            // The client sees the error of the connection.
            let driver = async { drop(connection.await) };
            Ok((client, tokio::spawn(driver)))
        })
    }
}

/// A stream whose first write fails with this error: tokio-postgres converts it to its own error type.
#[derive(Debug)]
struct Refused(Option<io::Error>);

impl AsyncWrite for Refused {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(self.0.take().unwrap_or_else(|| io::ErrorKind::NotConnected.into())))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
