//! The rules, in the order of the specification.

mod bounds;
mod cancel;
mod changes;
mod composition;
mod concurrency;
mod keys;
mod races;
mod rate;
mod refusals;
mod reservations;
mod sliding;
mod waiting;

use super::Adapter;
use crate::Rule;

pub(super) const CHAPTERS: &[&[Rule<dyn Adapter>]] = &[
    rate::RULES,
    refusals::RULES,
    waiting::RULES,
    cancel::RULES,
    bounds::RULES,
    changes::RULES,
    sliding::RULES,
    keys::RULES,
    concurrency::RULES,
    composition::RULES,
    races::RULES,
    reservations::RULES,
];
