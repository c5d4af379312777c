//! Where a connection leads to, how it ended, and whether it is to be used again.

use tokio_postgres::error::DbError;

use crate::connect::hosts::{Address, Peer};
use crate::connect::link::Link;
use crate::error::is_idle_end;
use crate::manager::Serial;

/// What is known of a connection apart from its session.
pub(crate) struct Origin {
    pub(crate) address: Option<Address>,
    pub(crate) link: Link,
    pub(crate) serial: Serial,
}

impl Origin {
    /// Why it is certain that what ended so was not begun: the server had ended the connection before.
    ///
    /// A transaction that was open is rolled back then.
    pub(crate) fn unbegun(&self, error: &tokio_postgres::Error) -> Option<Box<DbError>> {
        match error.as_db_error() {
            Some(error) => is_idle_end(error.code()).then(|| Box::new(error.clone())),
            None if error.is_closed() => self.link.last_word().map(Box::new),
            None => None,
        }
    }

    /// The other side, where it is known.
    pub(crate) fn peer(&self) -> Option<Peer> {
        Some(Peer { address: self.address.clone()?, is_encrypted: self.link.is_encrypted() })
    }

    /// Why the server has ended the connection, if that was for its idleness.
    pub(crate) fn idle_end(&self) -> Option<Box<DbError>> {
        self.link.last_word().filter(|error| is_idle_end(error.code())).map(Box::new)
    }

    /// Whether it was made before the server began to refuse writes.
    pub(crate) fn is_retired(&self) -> bool {
        self.serial.is_retired()
    }
}
