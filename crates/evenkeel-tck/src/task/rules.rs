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

use super::Adapter;
use crate::Rule;

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
