#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod changed;
mod guard;
pub mod guide;
mod handle;
mod job;
mod ladder;
mod listener;
mod plan;
mod process;
mod report;
mod run;
mod sequence;
mod shutdown;
mod signals;
mod state;
mod systemd;
mod watchdog;

pub use evenkeel_task::{BoxError, Closed, IntoResult, Panic, Stop};
pub use guard::Guard;
pub use handle::Handle;
pub use ladder::SignalReport;
pub use report::{Kind, Outcome, Reason, Report, TaskReport};
pub use shutdown::Shutdown;
pub use systemd::without_notify_socket;
