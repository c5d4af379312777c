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

use self::prelude::{Adapter, Rule};

/// The words of the rules.
mod prelude {
    pub(super) use crate::{
        prelude::*,
        probe_task::{End, Event, Record},
        task::{
            Adapter, Body, Capability, FailureKind, Group, Settings,
            harness::{FinishedGroup, run_group},
            script::{Scene, Script, task},
        },
    };
}

pub(super) const CHAPTERS: &[&[Rule<dyn Adapter>]] = &[
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
