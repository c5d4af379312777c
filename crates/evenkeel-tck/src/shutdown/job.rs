//! The task that an implementation of shutdown runs.

use std::{fmt, pin::pin};

use super::script::Script;
use crate::probe_task::{Event, ProbeTask, Record, Refused};

/// A task, a clean-up or guarded work that an implementation is to run: it follows the script of a rule, and records
/// each of its steps.
///
/// # Examples
/// As in [`Adapter`](super::Adapter).
#[must_use = "it does nothing unless it is run"]
pub struct Job {
    script: Script,
    probe: ProbeTask,
}

impl Job {
    pub(super) fn new(script: Script, record: &Record) -> Self {
        record.note(Event::Spawned(script.number));
        let probe = ProbeTask::new(script.number, script.panics_on_drop, record);
        Self { script, probe }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        format!("task {}", self.script.number)
    }

    /// The phase in which it is to stop, from 0. It is 0 where [`Capability::Phases`](super::Capability::Phases) is
    /// withheld.
    #[must_use]
    pub fn phase(&self) -> usize {
        self.script.phase
    }

    /// Whether its end is to stop the program. It never is where [`Capability::Vital`](super::Capability::Vital) is
    /// withheld.
    #[must_use]
    pub fn is_vital(&self) -> bool {
        self.script.is_vital
    }

    /// Runs the job. `asked` ends when it is asked to stop, with the reason where there is one; `start` starts another
    /// task of the program, and is not called where [`Capability::Start`](super::Capability::Start) is withheld.
    ///
    /// # Errors
    /// If that is how the job ends.
    ///
    /// # Cancel safety
    /// Dropping it ends the job, and is noted.
    ///
    /// # Panics
    /// If that is how the job ends; a rule may also make the destructor panic.
    pub async fn run(
        self,
        asked: impl Future<Output = Option<String>>,
        mut start: impl FnMut(Self),
    ) -> Result<(), Refused> {
        let Self { script, mut probe } = self;
        probe.begins();
        let Some((takes, end)) = script.drains else {
            probe.sleep(script.takes).await;
            return probe.ends(script.end);
        };
        let asked = pin!(asked);
        probe.sleep(script.looks_after.min(script.takes)).await;
        match probe.sleep_or(script.takes.saturating_sub(script.looks_after), asked).await {
            None => probe.ends(script.end),
            Some(reason) => {
                probe.drains(reason);
                for next in script.starts {
                    start(Self::new(next, probe.record()));
                }
                probe.sleep(takes).await;
                probe.ends(end)
            }
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("number", &self.script.number).finish_non_exhaustive()
    }
}
