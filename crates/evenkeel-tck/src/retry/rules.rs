//! The rules, in the order of the specification.

mod attempts;
mod budget;
mod cancel;
mod delays;
mod driving;
mod errors;
mod jitter;
mod limits;
mod observer;
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
];
