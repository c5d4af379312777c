//! The rules, in the order of the specification.

mod blocking;
mod ends;
mod failures;
mod grace;
mod joining;
mod limits;
mod panics;
mod runtimes;
mod shield;
mod telling;

use super::Adapter;
use crate::Rule;

pub(super) const CHAPTERS: &[&[Rule<dyn Adapter>]] = &[
    joining::RULES,
    failures::RULES,
    panics::RULES,
    ends::RULES,
    grace::RULES,
    limits::RULES,
    telling::RULES,
    shield::RULES,
    blocking::RULES,
    runtimes::RULES,
];
