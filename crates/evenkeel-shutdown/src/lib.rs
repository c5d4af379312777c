#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod change_notify;
mod deadlines;
mod escalation;
mod exit;
mod guard;
pub mod guide;
mod handle;
mod phase;
mod registry;
mod report;
mod run;
mod shutdown;
mod signals;
mod state;
mod stop_phases;
mod systemd;
mod task;
mod watchdog;
mod watchdog_thread;
mod work;

pub use escalation::SignalReport;
pub use evenkeel_task::{BoxError, Closed, IntoResult, Panic, Stop};
pub use guard::Guard;
pub use handle::Handle;
pub use report::{Kind, Outcome, Reason, Report, TaskReport};
pub use shutdown::Shutdown;
pub use systemd::without_notify_socket;
