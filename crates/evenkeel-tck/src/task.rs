#![doc = include_str!("../spec/TASK.md")]

mod adapter;
mod body;
mod child;
mod harness;
mod outcome;
mod rules;
mod script;
mod settings;

pub use adapter::{Adapter, Capability, Group};
pub use body::Body;
pub use child::Child;
pub use outcome::Outcome;
pub use settings::{FailureMode, Settings};

use crate::Suite;
pub use crate::{
    probe_task::Refused,
    reported_failure::{FailureKind, ReportedFailure},
};

/// The rules for groups of tasks.
///
/// # Examples
/// As in [`Adapter`].
pub static SUITE: Suite<dyn Adapter> =
    Suite { pattern: "TASK", spec: include_str!("../spec/TASK.md"), chapters: rules::CHAPTERS };
