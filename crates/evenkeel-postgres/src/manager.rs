//! How connections come about, and which are not used again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use deadpool_postgres::Manager;
use evenkeel_pool::{BoxError, Deadpool};
use tokio::time::timeout;

use crate::ConnectError;
use crate::connect::hosts::{Connected, Hosts};
use crate::connect::link::Link;
use crate::connect::progress::Attempts;
use crate::connect::{HostError, Reason};
use crate::connection::Connection;
use crate::connection::prepared::Generation;
use crate::origin::Origin;

/// Makes the connections of the pool.
pub(crate) struct Connector {
    pub(crate) source: Source,
    /// The time that the hosts share before they are tried side by side.
    pub(crate) turns: Duration,
    /// The time of one attempt.
    pub(crate) limit: Duration,
    pub(crate) attempts: Arc<Attempts>,
    pub(crate) serials: Arc<Serials>,
    pub(crate) generation: Generation,
    pub(crate) reset_always: bool,
}

/// Where connections come from.
#[derive(Debug)]
pub(crate) enum Source {
    Hosts(Box<Hosts>),
    Manager(Deadpool<Manager>),
}

/// The order of the connections of a pool, and which of them are retired.
#[derive(Debug, Default)]
pub(crate) struct Serials {
    count: AtomicU64,
    retired: AtomicU64,
}

/// The number of a connection.
#[derive(Debug)]
pub(crate) struct Serial {
    serials: Arc<Serials>,
    number: u64,
}

impl Serials {
    fn next(self: &Arc<Self>) -> Serial {
        Serial { serials: Arc::clone(self), number: self.count.fetch_add(1, Relaxed) }
    }
}

impl Serial {
    /// Has all connections closed that there are so far, each when it comes back or before it is used again.
    pub(crate) fn retire_all(&self) {
        let serials = self.serials.count.load(Relaxed);
        self.serials.retired.fetch_max(serials, Relaxed);
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.number < self.serials.retired.load(Relaxed)
    }
}

impl evenkeel_pool::Manager for Connector {
    type Object = Connection;
    type Error = ConnectError;

    async fn create(&self) -> Result<Connection, ConnectError> {
        let open = self.attempts.begin();
        let connected = match &self.source {
            Source::Hosts(hosts) => hosts.connect(self.turns, self.limit, &open.attempt).await,
            Source::Manager(manager) => {
                let host = || "the server".to_owned();
                let failed = |reason| vec![HostError::new(host(), reason)];
                open.attempt.ask(host());
                match timeout(self.limit, manager.create()).await {
                    Ok(Ok(client)) => Ok(Connected { client, address: None, link: Link::default() }),
                    Ok(Err(error)) => Err(failed(Reason::Client(error))),
                    Err(_) => Err(failed(Reason::NoAnswer(self.limit))),
                }
            }
        };
        match connected {
            Ok(connected) => {
                let Connected { client, address, link } = connected;
                let origin = Origin { address, link, serial: self.serials.next() };
                Ok(Connection::new(client, origin, Arc::clone(&self.generation), self.reset_always))
            }
            Err(hosts) => Err(ConnectError { hosts }),
        }
    }

    async fn check(&self, connection: &mut Connection) -> Result<(), BoxError> {
        if connection.origin.is_retired() {
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
        !connection.is_clean() || connection.origin.is_retired()
    }
}
