//! Connecting: one of the hosts of a database, over a link that is observed until it ends.

mod config;
pub(crate) mod connection_string;
pub(crate) mod encryption;
mod error;
pub(crate) mod hosts;
pub(crate) mod link;
pub(crate) mod pooling;
pub(crate) mod progress;
mod staggered;
pub(crate) mod tls_over;
pub(crate) mod unnamed;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use deadpool_postgres::Manager;
use evenkeel_pool::Adopted;

pub(crate) use self::error::ConnectReason;
pub use self::{
    error::{ConnectError, HostError},
    pooling::{PoolMode, Prepared},
};
use self::{link::LinkState, pooling::Pooling};

/// A new connection, the address that it leads to, the state of its link, and the name that its sessions have.
pub(crate) struct Connected {
    pub(crate) client: Adopted<Manager>,
    pub(crate) address: Option<Address>,
    pub(crate) link: LinkState,
    pub(crate) application_name: Option<Box<str>>,
    pub(crate) pooling: Pooling,
}

/// An address at which a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp(IpAddr, u16),
    /// The directory of the socket, and the port in its name.
    Unix(PathBuf, u16),
}

/// The other side of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: Address,
    pub(crate) is_encrypted: bool,
    /// The client takes [`PlainTls`](unnamed::PlainTls) for its TLS.
    pub(crate) has_plain_tls: bool,
}

impl Address {
    pub(crate) fn unix_socket(dir: &std::path::Path, port: u16) -> PathBuf {
        dir.join(format!(".s.PGSQL.{port}"))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr, port) => SocketAddr::new(*addr, *port).fmt(f),
            Self::Unix(dir, port) => Self::unix_socket(dir, *port).display().fmt(f),
        }
    }
}
