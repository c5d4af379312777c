#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod guard;
pub mod guide;
mod handle;
mod job;
mod plan;
mod process;
mod report;
mod run;
mod sequence;
mod shutdown;
mod signals;
mod state;
mod systemd;

pub use evenkeel_task::{BoxError, Closed, IntoResult, Panic, Stop};
pub use guard::Guard;
pub use handle::Handle;
pub use report::{Kind, Outcome, Reason, Report, TaskReport};
pub use shutdown::Shutdown;
