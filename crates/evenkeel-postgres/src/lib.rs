#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod ahead;
mod attempts;
mod builder;
mod calls;
mod cancel;
mod cleaner;
mod connect_error;
mod connection;
mod connector;
mod database;
mod dial;
mod effect;
mod ending;
mod error;
mod failure;
mod hosts;
mod options;
mod origin;
mod params;
mod recent;
mod row;
mod session;
mod sql;
mod statements;
mod transaction;
mod tx;
mod watch;

pub use builder::Builder;
pub use connect_error::{ConnectError, HostError};
pub use database::Database;
pub use error::Error;
pub use evenkeel_pool::{BoxError, BuildError, Closed, GetError, Holder, Snapshot};
pub use evenkeel_retry::{Policy, RetryError};
pub use options::TxOptions;
pub use params::Params;
pub use row::FromRow;
pub use tx::Tx;

pub use deadpool_postgres;
pub use tokio_postgres;
