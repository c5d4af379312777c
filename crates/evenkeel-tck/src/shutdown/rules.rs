//! The rules, in the order of the specification.

mod cancel;
mod failures;
mod grace;
mod guards;
mod phases;
mod readiness;
mod reporting;
mod signals;
mod starting;
mod stopping;

use self::prelude::{Adapter, Rule};

/// The words of the rules.
mod prelude {
    pub(super) use crate::{
        prelude::*,
        probe_task::{End, Event, Record},
        shutdown::{
            Adapter, Capability, FailureKind, Parts, Program, Settings,
            harness::{FinishedProgram, run_program},
            script::{Scene, Script, task},
        },
    };
}

pub(super) const CHAPTERS: &[&[Rule<dyn Adapter>]] = &[
    stopping::RULES,
    grace::RULES,
    failures::RULES,
    reporting::RULES,
    phases::RULES,
    readiness::RULES,
    guards::RULES,
    starting::RULES,
    cancel::RULES,
    signals::RULES,
];
