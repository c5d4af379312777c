//! The rules, in the order of the specification.

mod changing;
mod checking;
mod closing;
mod creating;
mod dropping;
mod lease_ends;
mod leases;
mod overlaps;
mod races;
mod snapshots;
mod timeouts;
mod upkeep;
mod waiting;

use self::prelude::{Rule, Settings};

/// The words of the rules.
mod prelude {
    pub(super) use std::{
        panic::{AssertUnwindSafe, catch_unwind},
        task::{Context, Waker},
    };

    pub(super) use crate::{
        pool::{
            Capability, Destructor, GetError, Order, Settings, Snapshot, Step,
            harness::{Run, poll_once, settle, unwrap, within},
            record::Event,
        },
        prelude::*,
    };

    pub(super) type Subject = dyn crate::Adapter<Settings>;
}

pub(super) const CHAPTERS: &[&[Rule<Settings>]] = &[
    leases::RULES,
    waiting::RULES,
    timeouts::RULES,
    dropping::RULES,
    creating::RULES,
    checking::RULES,
    lease_ends::RULES,
    upkeep::RULES,
    changing::RULES,
    closing::RULES,
    snapshots::RULES,
    races::RULES,
    overlaps::RULES,
];
