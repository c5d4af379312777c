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

use self::prelude::{Rule, Settings};

/// The words of the rules.
mod prelude {
    pub(super) use crate::{
        prelude::*,
        probe_task::{End, Event, FailureKind, Finished, Record, Script},
        shutdown::{Capability, Parts, Settings, harness::run_program, parts::Scene},
    };

    pub(super) type Subject = dyn crate::Adapter<Settings>;

    /// A task that takes ten minutes, ends well, and at once when it is asked.
    pub(super) fn task(number: u32) -> Script {
        Script::new(number).taking(secs(600)).draining(ms(0))
    }
}

pub(super) const CHAPTERS: &[&[Rule<Settings>]] = &[
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
