#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod job;
mod process;
mod report;
mod run;
mod shutdown;
mod signals;

pub use evenkeel_task::{BoxError, IntoResult, Panic, Stop};
pub use report::{Outcome, Reason, Report, TaskReport};
pub use shutdown::Shutdown;
