#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// The files in reading order:
//
// | file | contents |
// |---|---|
// | `shutdown`, `handle`, `guard`, `report` | the public types |
// | `run` | one run: every change of its state, and the signals that follow from it |
// | `state`, `phase`, `work` | the data of a run: tasks and guards, phases, work before it is spawned |
// | `task` | the future of one task or clean-up |
// | `stop_phases`, `deadlines` | the stop of a run, phase by phase, and the time of each step |
// | `change_notify` | wakes those who wait for a change of the state |
// | `escalation`, `signals` | the effect of a signal; taking signals over, on a thread of their own |
// | `registry` | the runs of this process, which get its signals, and their watchdogs |
// | `watchdog`, `watchdog_thread`, `exit` | ends the process if it does not end by itself |
// | `inspect`, `dump_signal` | the drain in dumps; a dump at SIGUSR1; behind the feature `inspect` |
// | `systemd` | notifications to a service manager |
// | `guide` | how to build a service, a step at a time |

mod change_notify;
mod deadlines;
#[cfg(all(unix, feature = "inspect"))]
mod dump_signal;
mod escalation;
mod exit;
mod guard;
pub mod guide;
mod handle;
#[cfg(feature = "inspect")]
mod inspect;
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
pub use evenkeel_task::{BoxError, IntoResult, Panic, Rejected, Stop};
pub use guard::Guard;
pub use handle::Handle;
pub use report::{Kind, Outcome, Reason, Report, TaskReport};
pub use shutdown::Shutdown;
pub use systemd::without_notify_socket;
