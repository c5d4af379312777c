//! Making a connection: the hosts of a database, and the link to one of them.

mod error;
pub(crate) mod hosts;
pub(crate) mod link;
pub(crate) mod progress;

pub(crate) use error::Reason;
pub use error::{ConnectError, HostError};
