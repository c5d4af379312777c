//! The manager of the pool: makes connections, and says which of them are not used again.

use std::{sync::Arc, time::Duration};

use deadpool_postgres::Manager;
use evenkeel_pool::{BoxError, Deadpool};

use crate::{
    connect::{
        ConnectError, ConnectReason, Connected, hosts::Hosts, link::LinkState, pooling::PoolerSettings,
        progress::ConnectProgress,
    },
    connection::{Connection, Generation, SessionOptions, prepared::SchemaVersion},
    edges::DatabaseEdges,
};

/// The manager of the connections.
pub(crate) struct ConnectionManager {
    pub(crate) connect: ConnectSettings,
    pub(crate) generation: Generation,
    pub(crate) schema_version: SchemaVersion,
    pub(crate) options: SessionOptions,
    pub(crate) edges: DatabaseEdges,
}

/// How connections are made, those of the pool and others.
#[derive(Clone)]
pub(crate) struct ConnectSettings {
    pub(crate) source: Arc<Source>,
    /// The time that the hosts share before they are tried side by side.
    pub(crate) shared_time: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) progress: Arc<ConnectProgress>,
    pub(crate) pooler: PoolerSettings,
}

impl ConnectSettings {
    /// Whether the settings ask for statements without names over a manager, whose links are not ours.
    pub(crate) fn is_unsupported(&self) -> bool {
        matches!(*self.source, Source::Manager(_)) && self.pooler.pooling().is_unnamed
    }
}

/// The source of connections.
#[derive(Debug)]
pub(crate) enum Source {
    Hosts(Box<Hosts>),
    Manager(Deadpool<Manager>),
}

impl evenkeel_pool::Manager for ConnectionManager {
    type Object = Connection;
    type Error = ConnectError;

    async fn create(&self) -> Result<Connection, ConnectError> {
        let ConnectSettings { source, shared_time, connect_timeout, progress, pooler } = &self.connect;
        let attempt = progress.begin(*connect_timeout);
        let _connecting = self.edges.connecting(*connect_timeout);
        let connected = match &**source {
            Source::Hosts(hosts) => hosts.connect(*shared_time, &attempt).await,
            Source::Manager(manager) => {
                let create = async {
                    let client = manager.create().await.map_err(ConnectReason::Client)?;
                    let (link, pooling) = (LinkState::default(), pooler.pooling());
                    Ok(Connected { client, address: None, link, application_name: None, pooling })
                };
                attempt.step("the server".to_owned(), create).await
            }
        };
        match connected {
            Ok(connected) => {
                self.edges.connected();
                Ok(Connection::new(
                    connected,
                    Arc::clone(&self.generation),
                    Arc::clone(&self.schema_version),
                    self.options,
                    self.edges.connection(),
                ))
            }
            Err(hosts) => {
                let error = ConnectError { hosts };
                self.edges.connect_failed(&error);
                Err(error)
            }
        }
    }

    async fn check(&self, connection: &mut Connection) -> Result<(), BoxError> {
        if connection.is_retired() {
            return Err("the server of the connections made before allows no writes".into());
        }
        match &*self.connect.source {
            Source::Manager(manager) => manager.check(connection.client_mut()).await,
            Source::Hosts(_) if connection.is_closed() => Err("the connection is closed".into()),
            Source::Hosts(_) => Ok(()),
        }
    }

    fn is_transient(&self, error: &ConnectError) -> bool {
        error.is_transient()
    }

    fn copy_error(&self, error: &ConnectError) -> Option<ConnectError> {
        Some(error.clone())
    }

    fn is_broken(&self, connection: &mut Connection) -> bool {
        !connection.is_clean() || connection.is_retired()
    }
}
