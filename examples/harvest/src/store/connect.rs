//! How the store reaches a PostgreSQL server.

use std::fmt;

use evenkeel::postgres::{
    Builder, Database,
    tokio_postgres::{Client, Config, Error, NoTls},
};
use futures::future::BoxFuture;

/// Reaches a PostgreSQL server.
pub trait Connect: fmt::Debug + Send + Sync {
    /// Begins to configure a database.
    fn database(&self, config: Config) -> Builder;

    /// Connects once. The connection is the second future, which has to run.
    fn connect(&self, config: Config) -> BoxFuture<'_, Result<(Client, BoxFuture<'static, ()>), Error>>;
}

/// Over the network, or a socket of this machine.
#[derive(Debug)]
pub(crate) struct Network;

impl Connect for Network {
    fn database(&self, config: Config) -> Builder {
        Database::builder(config)
    }

    fn connect(&self, config: Config) -> BoxFuture<'_, Result<(Client, BoxFuture<'static, ()>), Error>> {
        Box::pin(async move {
            let (client, connection) = config.connect(NoTls).await?;
            let connection: BoxFuture<'static, ()> = Box::pin(async { drop(connection.await) });
            Ok((client, connection))
        })
    }
}
