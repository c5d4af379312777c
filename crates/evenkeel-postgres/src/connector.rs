//! How connections come about.

use std::io::ErrorKind::{
    BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable,
    TimedOut, UnexpectedEof,
};

use std::sync::Arc;

use deadpool_postgres::Manager;
use evenkeel_pool::{BoxError, Deadpool, Manage};
use evenkeel_retry::Policy;
use tokio_postgres::error::SqlState;

use crate::ConnectError;
use crate::connection::Connection;
use crate::error::io_error;
use crate::statements::Generation;

/// Makes the connections of the pool, and tries again while the server is not ready.
pub(crate) struct Connector {
    manager: Deadpool<Manager>,
    retry: Policy,
    generation: Generation,
    reset_always: bool,
}

impl Connector {
    pub(crate) fn new(manager: Manager, retry: Policy, reset_always: bool) -> Self {
        Self { manager: Deadpool::new(manager), retry, generation: Generation::default(), reset_always }
    }
}

impl Manage for Connector {
    type Object = Connection;
    type Error = ConnectError;

    async fn create(&self) -> Result<Connection, ConnectError> {
        self.retry
            .run(|| self.manager.create())
            .when(is_passing)
            .await
            .map(|client| Connection::new(client, Arc::clone(&self.generation), self.reset_always))
    }

    async fn check(&self, connection: &mut Connection) -> Result<(), BoxError> {
        self.manager.check(connection.client_mut()).await
    }

    fn is_broken(&self, connection: &mut Connection) -> bool {
        !connection.is_clean()
    }
}

/// Whether it may be otherwise in a moment: the server starts or stops, has no place left, or is not there yet.
fn is_passing(error: &tokio_postgres::Error) -> bool {
    match error.as_db_error() {
        Some(error) => [
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::TOO_MANY_CONNECTIONS,
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
        ]
        .contains(error.code()),
        None => match io_error(error).map(std::io::Error::kind) {
            Some(kind) => [
                BrokenPipe,
                ConnectionAborted,
                ConnectionRefused,
                ConnectionReset,
                HostUnreachable,
                NetworkUnreachable,
                TimedOut,
                UnexpectedEof,
            ]
            .contains(&kind),
            None => error.is_closed(),
        },
    }
}
