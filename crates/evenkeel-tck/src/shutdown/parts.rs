//! The parts of a program: tasks, clean-ups, guards, start-up and probe.

use std::{fmt, time::Duration};

use tokio::time::sleep;

use super::{Job, script::Scene};
use crate::probe_task::{Event, Record};

/// The parts of a program.
///
/// # Examples
/// As in [`Adapter`](super::Adapter).
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "they do nothing unless they are run"]
pub struct Parts {
    /// The tasks, in the order of their phases.
    pub tasks: Vec<Job>,
    /// The clean-ups, to run when the tasks have ended; only where
    /// [`Capability::CleanUps`](super::Capability::CleanUps) is supported.
    pub clean_ups: Vec<Job>,
    /// Work that is to run beside the program, each with a guard; only where
    /// [`Capability::Guards`](super::Capability::Guards) is supported.
    pub guards: Vec<Job>,
    /// The work between making the program and running it.
    pub start_up: StartUp,
    /// The probe to notify when the program is asked to stop; only where
    /// [`Capability::Readiness`](super::Capability::Readiness) is supported.
    pub probe: Probe,
}

/// The work of a program before it runs, such as connecting to a database.
#[must_use = "it does nothing unless it is run"]
pub struct StartUp {
    takes: Duration,
    record: Record,
}

/// A readiness probe outside of the program.
#[derive(Clone)]
pub struct Probe(Record);

impl Parts {
    pub(crate) fn new(scene: Scene, record: &Record) -> Self {
        let jobs = |scripts: Vec<_>| scripts.into_iter().map(|script| Job::new(script, record)).collect();
        Self {
            tasks: jobs(scene.tasks),
            clean_ups: jobs(scene.clean_ups),
            guards: jobs(scene.guards),
            start_up: StartUp { takes: scene.start_up, record: record.clone() },
            probe: Probe(record.clone()),
        }
    }
}

impl Probe {
    /// Records that the program is not ready any more.
    pub fn is_turned_away(&self) {
        self.0.note(Event::TurnedAway);
    }
}

impl StartUp {
    /// Takes its time, where the rule is about that.
    ///
    /// # Cancel safety
    /// Dropping it ends the start-up.
    pub async fn run(self) {
        if !self.takes.is_zero() {
            self.record.note(Event::StartsUp);
            sleep(self.takes).await;
        }
    }
}

impl fmt::Debug for StartUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartUp").field("takes", &self.takes).finish_non_exhaustive()
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").finish_non_exhaustive()
    }
}
