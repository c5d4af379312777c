//! The rules, in the order of the specification.

mod deadlocks;
mod silence;
mod stalls;
mod views;
mod workers;

use self::prelude::{Rule, Settings};

/// The words of the rules.
mod prelude {
    pub(super) use std::{
        future::pending,
        sync::{Arc, Weak},
    };

    pub(super) use crate::{
        inspect::{
            Capability, Settings, SharedKind, Site, StandStillKind,
            harness::{Scene, run_scene},
        },
        prelude::*,
    };

    pub(super) type Subject = dyn crate::Adapter<Settings>;

    /// Tasks without a limit.
    pub(super) const FREE: Settings = Settings { limit: None };
}

pub(super) const CHAPTERS: &[&[Rule<Settings>]] =
    &[deadlocks::RULES, stalls::RULES, silence::RULES, views::RULES, workers::RULES];
