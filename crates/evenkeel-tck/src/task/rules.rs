//! The rules, in the order of the specification.

mod blocking;
mod failures;
mod grace;
mod joining;
mod limits;
mod panics;
mod reporting;
mod runtimes;
mod shield;
mod stopping;

use self::prelude::{Rule, Settings};

/// The words of the rules.
mod prelude {
    pub(super) use crate::{
        prelude::*,
        probe_task::{End, Event, FailureKind, Finished, Record, Script, sorted},
        task::{Body, Capability, Settings, body::Scene, harness::run_group},
    };

    pub(super) type Subject = dyn crate::Adapter<Settings>;

    /// A task that takes a minute, ignores the signal to drain, and ends well.
    pub(super) fn task(number: u32) -> Script {
        Script::new(number)
    }
}

pub(super) const CHAPTERS: &[&[Rule<Settings>]] = &[
    joining::RULES,
    failures::RULES,
    panics::RULES,
    stopping::RULES,
    grace::RULES,
    limits::RULES,
    reporting::RULES,
    shield::RULES,
    blocking::RULES,
    runtimes::RULES,
];
