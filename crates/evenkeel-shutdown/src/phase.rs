//! Phases: the parts of a program that stop one after the other.

use std::{borrow::Cow, time::Duration};

use crate::Kind;

/// Tasks, clean-ups and guards that stop at the same time.
#[derive(Default)]
pub(crate) struct Phase {
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) reserve: Option<Duration>,
    /// Whether a handle was taken that may add tasks and guards to it.
    pub(crate) has_handle: bool,
    pub(crate) step: PhaseStep,
    /// Counts of tasks, clean-ups and guards that have not ended.
    pub(crate) tasks: usize,
    pub(crate) clean_ups: usize,
    pub(crate) guards: usize,
}

/// The progress of a phase's stop; it only moves forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PhaseStep {
    #[default]
    Running,
    /// Tasks have been asked to drain; guards are waited for.
    Draining,
    /// Clean-ups run; no task is accepted.
    CleaningUp,
    /// Nothing is accepted.
    Ended,
}

impl PhaseStep {
    pub(crate) fn next(self) -> Self {
        match self {
            Self::Running => Self::Draining,
            Self::Draining => Self::CleaningUp,
            Self::CleaningUp | Self::Ended => Self::Ended,
        }
    }
}

impl Phase {
    /// Counts the tasks or clean-ups that have not ended.
    pub(crate) fn unfinished(&self, kind: Kind) -> usize {
        if kind == Kind::CleanUp { self.clean_ups } else { self.tasks }
    }

    /// Moves on from this step if nothing is left in it, and returns whether it did.
    ///
    /// The check and the move happen under one lock: no task can be registered between them and be missed.
    pub(crate) fn advance_if_empty(&mut self, step: PhaseStep) -> bool {
        let left = if step == PhaseStep::Draining { self.tasks + self.guards } else { self.clean_ups };
        if left == 0 {
            self.step = step.next();
        }
        left == 0
    }
}
