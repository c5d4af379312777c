//! The rules, in the order of the specification.

mod attempts;
mod beyond;
mod budget;
mod busy;
mod cancel;
mod deadlines;
mod delays;
mod driving;
mod errors;
mod jitter;
mod keys;
mod lasting;
mod late;
mod limits;
mod observer;
mod responses;
mod retry_after;

use super::Adapter;
use crate::Rule;

pub(super) const CHAPTERS: &[&[Rule<dyn Adapter>]] = &[
    attempts::RULES,
    delays::RULES,
    driving::RULES,
    jitter::RULES,
    limits::RULES,
    retry_after::RULES,
    observer::RULES,
    cancel::RULES,
    budget::RULES,
    errors::RULES,
    deadlines::RULES,
    lasting::RULES,
    responses::RULES,
    beyond::RULES,
    jitter::MORE,
    budget::MORE,
    limits::MORE,
    busy::RULES,
    late::RULES,
    beyond::MORE,
    keys::RULES,
];
