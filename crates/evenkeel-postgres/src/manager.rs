//! The manager of the pool: makes connections, and says which of them are not used again.

use std::{sync::Arc, time::Duration};

use deadpool_postgres::Manager;
use evenkeel_pool::{BoxError, Deadpool};
use tokio::time::timeout;

use crate::{
    connect::{
        ConnectError, ConnectReason, Connected, HostError, hosts::Hosts, link::LinkState,
        progress::ConnectProgress,
    },
    connection::{Connection, prepared::SchemaVersion, serial_number::SerialNumbers},
};

/// The manager of the connections.
pub(crate) struct ConnectionManager {
    pub(crate) source: Source,
    /// The time that the hosts share before they are tried side by side.
    pub(crate) shared_time: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) progress: Arc<ConnectProgress>,
    pub(crate) serial_numbers: Arc<SerialNumbers>,
    pub(crate) schema_version: SchemaVersion,
    pub(crate) reset_always: bool,
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
        let guard = self.progress.begin();
        let limit = self.connect_timeout;
        let connected = match &self.source {
            Source::Hosts(hosts) => hosts.connect(self.shared_time, limit, &guard.attempt).await,
            Source::Manager(manager) => {
                let host = || "the server".to_owned();
                let failed = |reason| vec![HostError::new(host(), reason)];
                guard.attempt.begin(host());
                match timeout(limit, manager.create()).await {
                    Ok(Ok(client)) => Ok(Connected { client, address: None, link: LinkState::default() }),
                    Ok(Err(error)) => Err(failed(ConnectReason::Client(error))),
                    Err(_) => Err(failed(ConnectReason::NoAnswer(limit))),
                }
            }
        };
        match connected {
            Ok(connected) => Ok(Connection::new(
                connected,
                self.serial_numbers.next(),
                Arc::clone(&self.schema_version),
                self.reset_always,
            )),
            Err(hosts) => Err(ConnectError { hosts }),
        }
    }

    async fn check(&self, connection: &mut Connection) -> Result<(), BoxError> {
        if connection.is_retired() {
            return Err("the server of the connections made before allows no writes".into());
        }
        match &self.source {
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
