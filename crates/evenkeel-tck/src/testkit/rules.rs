//! The rules, in the order of the specification.

mod awaits;
mod leaks;
mod moves;
mod panics;
mod seeds;
mod servers;
mod stand_still;
mod time;

use self::prelude::{Rule, Settings};

/// The words of the rules.
mod prelude {
    pub(super) use crate::{
        prelude::*,
        testkit::{
            Capability, Event, Reply, Route, Settings, Step,
            harness::{Ran, run, run_on, run_with, serve, simulate},
        },
    };

    pub(super) type Subject = dyn crate::Adapter<Settings>;

    /// The numbers at these times.
    pub(super) const fn noted(at: Duration, number: u32) -> (Duration, Event) {
        (at, Event::Noted(number))
    }
}

pub(super) const CHAPTERS: &[&[Rule<Settings>]] = &[
    time::RULES,
    moves::RULES,
    stand_still::RULES,
    leaks::RULES,
    panics::RULES,
    awaits::RULES,
    servers::RULES,
    seeds::RULES,
];
