//! The rules, in the order of the specification.

mod batches;
mod changing;
mod contract;
mod dropping;
mod failures;
mod keys;
mod limits;
mod merging;
mod paging;
mod panics;
mod progress;
mod queue_ends;
mod queues;
mod results;
mod workers;

use self::prelude::{Rule, Settings};

/// The words of the rules.
mod prelude {
    pub(super) use crate::{
        prelude::*,
        probe_task::{FailureKind, sorted},
        stream::{
            Capability, Map, Settings, Source,
            consumer::Busy,
            harness::{Run, maps, maps_on_failure, operator, unwrap},
            item::Script,
            operator::next,
            record::{Event, Record},
            source::Supply,
        },
        task::FailureMode,
    };

    pub(super) type Subject = dyn crate::Adapter<Settings>;

    /// Items whose work ends at once, with these numbers.
    pub(super) fn item(number: u32) -> Script {
        Script::new(number)
    }

    /// This number of items whose work takes this time.
    pub(super) fn items(number: u32, takes: Duration) -> Supply {
        Supply::of((1..=number).map(|number| item(number).taking(takes)))
    }
}

pub(super) const CHAPTERS: &[&[Rule<Settings>]] = &[
    results::RULES,
    limits::RULES,
    progress::RULES,
    failures::RULES,
    panics::RULES,
    dropping::RULES,
    contract::RULES,
    keys::RULES,
    batches::RULES,
    merging::RULES,
    paging::RULES,
    queues::RULES,
    queue_ends::RULES,
    workers::RULES,
    changing::RULES,
];
