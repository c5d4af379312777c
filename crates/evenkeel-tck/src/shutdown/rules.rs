//! The rules, in the order of the specification.

mod dropped;
mod failures;
mod grace;
mod guards;
mod phases;
mod readiness;
mod signals;
mod starting;
mod stopping;
mod telling;

use super::Adapter;
use crate::Rule;

pub(super) const CHAPTERS: &[&[Rule<dyn Adapter>]] = &[
    stopping::RULES,
    grace::RULES,
    failures::RULES,
    telling::RULES,
    phases::RULES,
    readiness::RULES,
    guards::RULES,
    starting::RULES,
    dropped::RULES,
    signals::RULES,
];
