//! How the store reaches a PostgreSQL server.

use std::fmt;

#[cfg(feature = "postgres")]
use evenkeel::postgres::{
    Builder, Database,
    tokio_postgres::{Client, Config, Error, NoTls},
};
#[cfg(feature = "postgres")]
use futures::future::BoxFuture;

/// Reaches a PostgreSQL server. Without the feature `postgres` there is none to be reached.
pub trait Connect: fmt::Debug + Send + Sync {
    /// Begins to configure a database.
    #[cfg(feature = "postgres")]
    fn database(&self, config: Config) -> Builder;

    /// Connects once. The connection is the second future, which has to run.
    #[cfg(feature = "postgres")]
    fn connect(&self, config: Config) -> BoxFuture<'_, Result<(Client, BoxFuture<'static, ()>), Error>>;
}

/// Over the network, or a socket of this machine.
#[derive(Debug)]
pub(crate) struct Network;

impl Connect for Network {
    #[cfg(feature = "postgres")]
    fn database(&self, config: Config) -> Builder {
        Database::builder(config)
    }

    #[cfg(feature = "postgres")]
    fn connect(&self, config: Config) -> BoxFuture<'_, Result<(Client, BoxFuture<'static, ()>), Error>> {
        Box::pin(async move {
            let (client, connection) = config.connect(NoTls).await?;
            let connection: BoxFuture<'static, ()> = Box::pin(async { drop(connection.await) });
            Ok((client, connection))
        })
    }
}
