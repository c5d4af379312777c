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

use self::prelude::{Rule, Settings};

/// The words of the rules.
mod prelude {
    pub(super) use crate::{
        limit::{
            Capability, Change, Denied, Limit, Rate, Request, Settings,
            harness::{Harness, Waiter},
            model::Model,
            record::Event,
        },
        prelude::*,
    };

    pub(super) type Subject = dyn crate::Adapter<Settings>;
}

pub(super) const CHAPTERS: &[&[Rule<Settings>]] = &[
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
