//! The rules, in the order of the specification.

mod clocks;
mod control;
mod delivery;
mod demand;
mod drains;
mod failures;
mod leases;
mod letters;
mod merges;
mod numbers;
mod overlaps;
mod servers;
mod shapes;
mod supersession;

use self::prelude::{Rule, Settings};

/// The words of the rules.
mod prelude {
    pub(super) use crate::{
        pipeline::{Capability, Item, Settings, Shape, harness::Run, record::Event, work::Step},
        prelude::*,
    };

    pub(super) type Subject = dyn crate::Adapter<Settings>;
}

pub(super) const CHAPTERS: &[&[Rule<Settings>]] = &[
    delivery::RULES,
    demand::RULES,
    control::RULES,
    leases::RULES,
    supersession::RULES,
    drains::RULES,
    letters::RULES,
    shapes::RULES,
    servers::RULES,
    numbers::RULES,
    overlaps::RULES,
    failures::RULES,
    merges::RULES,
    clocks::RULES,
];
