#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod error;
mod group;
mod panic;
mod result;
mod stop;

pub use error::{Cause, Failure, GroupError};
pub use group::{Closed, Group, Task, group};
pub use panic::{CatchPanic, Panic, catch_panic};
pub use result::{BoxError, IntoResult};
pub use stop::{Stop, Stopping};
