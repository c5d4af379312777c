#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
mod cleaner;
mod connection;
mod connector;
mod database;
mod effect;
mod ending;
mod error;
mod failure;
mod options;
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
pub use database::Database;
pub use error::{ConnectError, Error};
pub use evenkeel_pool::{BoxError, BuildError, Closed, GetError, Holder, Stats};
pub use evenkeel_retry::{Policy, RetryError};
pub use options::TxOptions;
pub use params::Params;
pub use row::FromRow;
pub use tx::Tx;

pub use deadpool_postgres;
pub use tokio_postgres;
