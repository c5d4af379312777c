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

use super::Adapter;
use crate::Rule;

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
