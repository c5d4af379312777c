//! The parts of a program: tasks, clean-ups, guarded work, start-up and probe.

use std::{
    fmt,
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_base::lock;

use crate::{
    agenda::sleep,
    probe_task::{Event, Record, Remote, Script, Task},
};

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
    outside: Outside,
}

/// The work and the probe outside of the program.
#[derive(Clone)]
enum Outside {
    Here {
        start_up: Duration,
        record: Record,
    },
    /// They are in another process.
    Remote {
        start_up: Arc<Mutex<Option<Remote>>>,
        not_ready: Arc<dyn Fn() + Send + Sync>,
    },
}

impl Parts {
    pub(crate) fn new(scene: Scene, record: &Record) -> Self {
        let tasks = |scripts: Vec<_>| scripts.into_iter().map(|script| Task::new(script, record)).collect();
        Self {
            tasks: tasks(scene.tasks),
            clean_ups: tasks(scene.clean_ups),
            guards: tasks(scene.guards),
            outside: Outside::Here { start_up: scene.start_up, record: record.clone() },
        }
    }

    /// The parts of a program whose scripts are in another process.
    pub(crate) fn remote(
        [tasks, clean_ups, guards]: [Vec<Task>; 3],
        start_up: Option<Remote>,
        not_ready: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let start_up = Arc::new(Mutex::new(start_up));
        Self {
            tasks,
            clean_ups,
            guards,
            outside: Outside::Remote { start_up, not_ready: Arc::new(not_ready) },
        }
    }

    /// Whether the start-up takes any time.
    pub(crate) fn start_up_takes_time(&self) -> bool {
        matches!(self.outside, Outside::Here { start_up, .. } if !start_up.is_zero())
    }

    /// Returns the work between making the program and running it, such as connecting to a database. It takes its time
    /// where the rule is about that.
    ///
    /// # Cancel safety
    /// Dropping it ends the start-up.
    pub fn start_up(&self) -> impl Future<Output = ()> + Send + use<> {
        let outside = self.outside.clone();
        async move {
            match outside {
                Outside::Here { start_up, record } if !start_up.is_zero() => {
                    record.note(Event::StartsUp);
                    sleep(start_up).await;
                }
                Outside::Here { .. } => {}
                Outside::Remote { start_up, .. } => {
                    let remote = lock(&start_up).take();
                    if let Some(remote) = remote {
                        // It ends well.
                        let _ = remote.run(pending(), drop).await;
                    }
                }
            }
        }
    }

    /// Returns the readiness probe outside of the program: to be called when the program is asked to stop; only where
    /// [`Capability::Readiness`](super::Capability::Readiness) is supported.
    pub fn readiness_probe(&self) -> impl Fn() + Send + Sync + use<> {
        let outside = self.outside.clone();
        move || match &outside {
            Outside::Here { record, .. } => record.note(Event::TurnedAway),
            Outside::Remote { not_ready, .. } => not_ready(),
        }
    }
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Here { .. } => "Here",
            Self::Remote { .. } => "Remote",
        })
    }
}
