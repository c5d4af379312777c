#![doc = include_str!("../spec/LIMIT.md")]

mod adapter;
mod denied;
mod harness;
mod limiter;
mod model;
mod record;
mod rules;
mod settings;

pub use adapter::{Adapter, Capability};
pub use denied::{Denied, Reason};
pub use limiter::{AcquireFuture, Change, Limiter, Permit, Request, Reservation, Reserve};
pub use settings::{Limit, Rate, Settings};

use crate::Suite;

/// The rules for limits of rate and of concurrency.
///
/// # Examples
/// As in [`Adapter`].
pub static SUITE: Suite<dyn Adapter> =
    Suite { pattern: "LIMIT", spec: include_str!("../spec/LIMIT.md"), chapters: rules::CHAPTERS };
