#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
mod cancel;
mod connect;
mod connection;
mod database;
mod error;
mod manager;
mod origin;
mod params;
mod recycle;
mod row;
mod session;
mod session_pool;
mod sql;
mod transaction;

pub use builder::Builder;
pub use connect::{ConnectError, HostError};
pub use database::Database;
pub use error::Error;
pub use evenkeel_pool::{BoxError, BuildError, Closed, GetError, Holder, Snapshot};
pub use evenkeel_retry::{Policy, RetryError};
pub use params::Params;
pub use row::FromRow;
pub use transaction::{Tx, TxOptions};

pub use deadpool_postgres;
pub use tokio_postgres;
