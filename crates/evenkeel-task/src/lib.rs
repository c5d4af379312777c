#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod background;
mod blocking;
mod error;
mod first_ok;
mod group;
pub mod guide;
mod into_result;
mod paged_slab;
mod panic;
mod shield;
mod stop;
mod telemetry;
mod timer;
mod using;

pub use background::{Background, background};
pub use blocking::{Blocking, blocking};
pub use error::{Cause, Failure, GroupError};
pub use first_ok::{NoneOk, first_ok};
pub use group::{Closed, Group, GroupBuilder, Restart, State, Task, TaskInfo, group};
pub use into_result::{BoxError, IntoResult};
pub use panic::{CatchPanic, Panic, catch_panic};
pub use shield::{Shield, shield};
pub use stop::{Stop, Stopping};
pub use using::{Lent, Step, UsingError, using};
