#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
mod check;
mod create;
#[cfg(feature = "deadpool")]
mod deadpool;
mod error;
mod get;
mod lease;
mod manager;
mod pool;
mod queue;
mod seat;
mod shared;
mod snapshot;
mod state;

#[cfg(feature = "deadpool")]
pub use self::deadpool::{Adopted, Deadpool};
pub use builder::{BuildError, Builder};
pub use error::{GetError, Timeout};
pub use evenkeel_task::{BoxError, Panic};
pub use get::Get;
pub use lease::Lease;
pub use manager::Manager;
pub use pool::Pool;
pub use snapshot::{Closed, Holder, Snapshot};
