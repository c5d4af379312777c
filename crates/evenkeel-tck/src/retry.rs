#![doc = include_str!("../spec/RETRY.md")]

mod adapter;
mod harness;
mod operation;
mod outcome;
mod record;
mod rules;
mod settings;

pub use adapter::{Adapter, Capability, Policy};
pub use operation::{Attempt, Hint, Operation, Refused};
pub use outcome::{GaveUp, Outcome, Reason};
pub(crate) use record::Record;
pub use settings::{Budget, Growth, Jitter, Settings};

use crate::Suite;

/// The rules for retry.
///
/// # Examples
/// As in [the crate's documentation](crate).
pub static SUITE: Suite<dyn Adapter> =
    Suite { pattern: "RETRY", spec: include_str!("../spec/RETRY.md"), chapters: rules::CHAPTERS };
