//! The rules, in the order of the specification.

mod bounds;
mod changes;
mod concurrency;
mod keys;
mod leaving;
mod races;
mod rate;
mod refusals;
mod reservations;
mod several;
mod sliding;
mod waiting;

use super::Adapter;
use crate::Rule;

pub(super) const CHAPTERS: &[&[Rule<dyn Adapter>]] = &[
    rate::RULES,
    refusals::RULES,
    waiting::RULES,
    leaving::RULES,
    bounds::RULES,
    changes::RULES,
    sliding::RULES,
    keys::RULES,
    concurrency::RULES,
    several::RULES,
    races::RULES,
    reservations::RULES,
];
