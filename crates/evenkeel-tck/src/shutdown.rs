#![doc = include_str!("../spec/SHUTDOWN.md")]

mod adapter;
mod harness;
mod job;
mod outcome;
mod parts;
mod rules;
mod script;
mod settings;

pub use adapter::{Adapter, Capability, Program};
pub use job::Job;
pub use outcome::Outcome;
pub use parts::{Parts, Probe, StartUp};
pub use settings::Settings;

use crate::Suite;
pub use crate::{
    probe_task::Refused,
    reported_failure::{FailureKind, ReportedFailure},
};

/// The rules for programs that stop in good order.
///
/// # Examples
/// As in [`Adapter`].
pub static SUITE: Suite<dyn Adapter> =
    Suite { pattern: "SHUTDOWN", spec: include_str!("../spec/SHUTDOWN.md"), chapters: rules::CHAPTERS };
