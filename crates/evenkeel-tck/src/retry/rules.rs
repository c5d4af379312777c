//! The rules, in the order of the specification.

mod attempts;
mod budget;
mod busy;
mod cancel;
mod deadlines;
mod delays;
mod errors;
mod extremes;
mod jitter;
mod keys;
mod late_polls;
mod limits;
mod observer;
mod reset_after;
mod responses;
mod retry_after;
mod runtime_cost;

use self::prelude::{Rule, Settings};

/// The words of the rules.
mod prelude {
    pub(super) use crate::{
        prelude::*,
        retry::{
            Budget, Capability, Growth, Hint, Jitter, Operation, Policy, Reason, Settings,
            harness::{Expected, FinishedCall, run_call},
            operation::Step,
            record::Record,
        },
    };

    pub(super) type Subject = dyn crate::Adapter<Settings>;
}

pub(super) const CHAPTERS: &[&[Rule<Settings>]] = &[
    attempts::RULES,
    delays::RULES,
    runtime_cost::RULES,
    jitter::RULES,
    limits::RULES,
    retry_after::RULES,
    observer::RULES,
    cancel::RULES,
    budget::RULES,
    errors::RULES,
    deadlines::RULES,
    reset_after::RULES,
    responses::RULES,
    extremes::RULES,
    jitter::MORE,
    budget::MORE,
    limits::MORE,
    busy::RULES,
    late_polls::RULES,
    extremes::MORE,
    keys::RULES,
];
