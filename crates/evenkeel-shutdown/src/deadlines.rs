//! Deadlines of a stop: how much of the grace period each step of each phase may use.
//!
//! A phase stops in two steps, its drain and its clean-ups, and each step has a reserve. A step may last until the
//! grace period minus the reserves of all non-empty steps after it. So every step has at least its reserve, and time
//! that a step does not need is left to those that follow.

use std::{fmt::Write, time::Duration};

use crate::phase::{Phase, PhaseStep};

/// The durations that a stop is measured by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    /// From the request to stop to the abort.
    pub(crate) grace: Duration,
    /// From the request to stop to the drain of the first phase.
    pub(crate) pre_stop: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { grace: Duration::from_secs(10), pre_stop: Duration::ZERO }
    }
}

impl Deadlines {
    /// Returns the time that is kept for the tasks of a phase, and again for its clean-ups, however late they start.
    pub(crate) fn reserve(&self, phase: &Phase) -> Duration {
        phase.reserve.unwrap_or(self.grace / 10)
    }

    /// Returns the time that is kept for all non-empty steps after a step of a phase.
    pub(crate) fn reserved_after(&self, phases: &[Phase], phase: usize, step: PhaseStep) -> Duration {
        self.steps_after(phases, phase, step).fold(Duration::ZERO, Duration::saturating_add)
    }

    /// Returns the time that is kept for the next non-empty step, or `None` if there is none.
    pub(crate) fn next_reserve(&self, phases: &[Phase], phase: usize, step: PhaseStep) -> Option<Duration> {
        self.steps_after(phases, phase, step).next()
    }

    fn steps_after(&self, phases: &[Phase], phase: usize, step: PhaseStep) -> impl Iterator<Item = Duration> {
        let steps = phases.iter().enumerate().skip(phase).flat_map(move |(index, of)| {
            let drains = index > phase && of.tasks + of.guards > 0;
            let cleans = (index > phase || step < PhaseStep::CleaningUp) && of.clean_ups > 0;
            let reserve = self.reserve(of);
            [drains.then_some(reserve), cleans.then_some(reserve)]
        });
        steps.flatten()
    }

    /// Checks that the pre-stop delay and all reserves fit into the grace period; the error is the sum in words.
    pub(crate) fn check(&self, phases: &[Phase]) -> Result<(), String> {
        let Self { grace, pre_stop } = *self;
        let mut sum = pre_stop;
        let mut words = format!("{pre_stop:?} before the stop");
        for phase in phases {
            let steps = u32::from(phase.has_handle || phase.tasks > 0) + u32::from(phase.clean_ups > 0);
            if steps > 0 {
                let reserve = self.reserve(phase);
                sum = sum.saturating_add(reserve.saturating_mul(steps));
                let name = phase.name.as_deref().unwrap_or("the first phase");
                let _ = write!(words, " + {steps} x {reserve:?} for {name}");
            }
        }
        if sum > grace { Err(format!("{words} = {sum:?}")) } else { Ok(()) }
    }
}
