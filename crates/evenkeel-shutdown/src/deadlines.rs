//! The arithmetic of a stop: who has how much of the grace period.

use std::fmt::Write;
use std::time::Duration;

use crate::state::{Phase, Step};

/// How long a stop may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// From the request to stop to the abort.
    pub(crate) grace: Duration,
    /// From the request to stop to the drain of the first phase.
    pub(crate) pre_stop: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self { grace: Duration::from_secs(10), pre_stop: Duration::ZERO }
    }
}

impl Plan {
    /// What is kept for the tasks of a phase, and again for its clean-ups, however late their turn comes.
    pub(crate) fn reserve(&self, phase: &Phase) -> Duration {
        phase.reserve.unwrap_or(self.grace / 10)
    }

    /// What is kept for all that comes after a step of a phase, and is not empty.
    pub(crate) fn reserved_after(&self, phases: &[Phase], phase: usize, step: Step) -> Duration {
        self.steps_after(phases, phase, step).fold(Duration::ZERO, Duration::saturating_add)
    }

    /// What is kept for the next step that is not empty; `None` if this is the last.
    pub(crate) fn next_reserve(&self, phases: &[Phase], phase: usize, step: Step) -> Option<Duration> {
        self.steps_after(phases, phase, step).next()
    }

    fn steps_after(&self, phases: &[Phase], phase: usize, step: Step) -> impl Iterator<Item = Duration> {
        let steps = phases.iter().enumerate().skip(phase).flat_map(move |(index, of)| {
            let drains = index > phase && of.tasks + of.guards > 0;
            let cleans = (index > phase || step < Step::Cleaning) && of.clean_ups > 0;
            let reserve = self.reserve(of);
            [drains.then_some(reserve), cleans.then_some(reserve)]
        });
        steps.flatten()
    }

    /// Whether all that is reserved fits into the grace period; if not, the sum in words.
    pub(crate) fn check(&self, phases: &[Phase]) -> Result<(), String> {
        let Self { grace, pre_stop } = *self;
        let mut sum = pre_stop;
        let mut words = format!("{pre_stop:?} before the stop");
        for phase in phases {
            let steps = u32::from(phase.open || phase.tasks > 0) + u32::from(phase.clean_ups > 0);
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
