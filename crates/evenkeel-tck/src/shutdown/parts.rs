//! The parts of a program: tasks, clean-ups, guarded work, start-up and probe.

use std::time::Duration;

use tokio::time::sleep;

use crate::probe_task::{Event, Record, Script, Task};

/// The scripts of all parts of a program.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scene {
    pub(crate) tasks: Vec<Script>,
    pub(crate) clean_ups: Vec<Script>,
    pub(crate) guards: Vec<Script>,
    /// How long it takes between being made and being run.
    start_up: Duration,
}

impl Scene {
    pub(crate) fn of(tasks: impl IntoIterator<Item = Script>) -> Self {
        Self { tasks: tasks.into_iter().collect(), ..Self::default() }
    }

    pub(crate) fn starting_up(self, start_up: Duration) -> Self {
        Self { start_up, ..self }
    }

    pub(crate) fn cleaned_by(self, clean_ups: impl IntoIterator<Item = Script>) -> Self {
        Self { clean_ups: clean_ups.into_iter().collect(), ..self }
    }

    pub(crate) fn guarded_by(self, guards: impl IntoIterator<Item = Script>) -> Self {
        Self { guards: guards.into_iter().collect(), ..self }
    }
}

/// The parts of a program.
///
/// # Examples
/// A program that starts up, runs its tasks to their end, and then its clean-ups:
/// ```
/// use evenkeel_tck::{Configured, shutdown::{Outcome, Parts, ReportedFailure}};
///
/// let program: Configured<Parts, Outcome> = Configured::new(|parts: Parts| async move {
///     parts.start_up().await;
///     let running: Vec<_> = parts.tasks.into_iter().map(|task| tokio::spawn(task.alone())).collect();
///     for task in running {
///         task.await.map_err(ReportedFailure::from)??;
///     }
///     for clean_up in parts.clean_ups {
///         clean_up.alone().await?;
///     }
///     Ok(())
/// });
/// # drop(program);
/// ```
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "they do nothing unless they are run"]
pub struct Parts {
    /// The tasks, in the order of their phases.
    pub tasks: Vec<Task>,
    /// The clean-ups, to run when the tasks have ended; only where
    /// [`Capability::CleanUps`](super::Capability::CleanUps) is supported.
    pub clean_ups: Vec<Task>,
    /// Work that is to run beside the program, each with a guard; only where
    /// [`Capability::Guards`](super::Capability::Guards) is supported.
    pub guards: Vec<Task>,
    start_up: Duration,
    record: Record,
}

impl Parts {
    pub(crate) fn new(scene: Scene, record: &Record) -> Self {
        let tasks = |scripts: Vec<_>| scripts.into_iter().map(|script| Task::new(script, record)).collect();
        Self {
            tasks: tasks(scene.tasks),
            clean_ups: tasks(scene.clean_ups),
            guards: tasks(scene.guards),
            start_up: scene.start_up,
            record: record.clone(),
        }
    }

    /// Returns the work between making the program and running it, such as connecting to a database. It takes its time
    /// where the rule is about that.
    ///
    /// # Cancel safety
    /// Dropping it ends the start-up.
    pub fn start_up(&self) -> impl Future<Output = ()> + Send + use<> {
        let (takes, record) = (self.start_up, self.record.clone());
        async move {
            if !takes.is_zero() {
                record.note(Event::StartsUp);
                sleep(takes).await;
            }
        }
    }

    /// Returns the readiness probe outside of the program: to be called when the program is asked to stop; only where
    /// [`Capability::Readiness`](super::Capability::Readiness) is supported.
    pub fn readiness_probe(&self) -> impl Fn() + Send + Sync + use<> {
        let record = self.record.clone();
        move || record.note(Event::TurnedAway)
    }
}
