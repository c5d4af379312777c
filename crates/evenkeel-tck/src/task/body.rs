//! The body of a group.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_base::lock;

use crate::probe_task::{End, Record, ReportedFailure, Script, StepRecorder, Task};

type Spawn = Box<dyn FnMut(Task) + Send>;

/// The script of a body.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    /// The tasks that it spawns, each with its time, in the order of time.
    tasks: Vec<(Duration, Script)>,
    /// When it ends, and how.
    takes: Duration,
    end: End,
}

impl Scene {
    /// Spawns these, and ends at once.
    pub(crate) fn of(tasks: impl IntoIterator<Item = Script>) -> Self {
        let tasks = tasks.into_iter().map(|script| (Duration::ZERO, script)).collect();
        Self { tasks, takes: Duration::ZERO, end: End::Ok }
    }

    /// Spawns another one at this time.
    pub(crate) fn later(mut self, at: Duration, script: Script) -> Self {
        self.tasks.push((at, script));
        Self { takes: self.takes.max(at), ..self }
    }

    /// Ends in this way, at this time.
    pub(crate) fn ending(self, takes: Duration, end: End) -> Self {
        Self { takes, end, ..self }
    }

    /// Returns whether the body only spawns tasks at once.
    pub(crate) fn is_plain(&self) -> bool {
        self.end == End::Ok && self.takes.is_zero() && self.tasks.iter().all(|(at, _)| at.is_zero())
    }
}

/// The body of a group: it spawns tasks and ends as the script of a rule says, and records each of its steps.
///
/// # Examples
/// A group over a `JoinSet` that runs the body first, for an adapter that supports
/// [`Capability::Body`](super::Capability::Body):
/// ```
/// use evenkeel_tck::{Configured, task::{Body, Outcome, ReportedFailure}};
/// use tokio::task::JoinSet;
///
/// let group: Configured<Body, Outcome> = Configured::new(|body: Body| async move {
///     let mut set = JoinSet::new();
///     body.run(|task| drop(set.spawn(task.alone()))).await?;
///     while let Some(ended) = set.join_next().await {
///         ended.map_err(ReportedFailure::from)??;
///     }
///     Ok(())
/// });
/// # drop(group);
/// ```
#[must_use = "it does nothing unless it is run"]
pub struct Body {
    scene: Scene,
    steps: StepRecorder,
    outside: Outside,
}

/// The slot in which the body leaves a handle to its group.
#[derive(Clone, Default)]
pub(crate) struct Outside(Arc<Mutex<Option<Spawn>>>);

impl Body {
    pub(crate) fn new(scene: Scene, record: &Record) -> Self {
        Self { scene, steps: StepRecorder::new(0, false, record), outside: Outside::default() }
    }

    pub(crate) fn outside(&self) -> Outside {
        self.outside.clone()
    }

    /// Leaves a handle that spawns into this group, also when its body has ended; only where
    /// [`Capability::Handle`](super::Capability::Handle) is supported.
    pub fn hand_out(&self, spawn: impl FnMut(Task) + Send + 'static) {
        self.outside.put(Box::new(spawn));
    }

    /// Runs the body; `spawn` puts a task into the group.
    ///
    /// # Errors
    /// If that is how the body ends. It only is where [`Capability::Body`](super::Capability::Body) is supported.
    ///
    /// # Cancel safety
    /// Dropping it ends the body, and is noted.
    ///
    /// # Panics
    /// If that is how the body ends.
    pub async fn run(self, mut spawn: impl FnMut(Task)) -> Result<(), ReportedFailure> {
        let Self { scene, mut steps, outside: _ } = self;
        steps.begins();
        let mut now = Duration::ZERO;
        for (at, script) in scene.tasks {
            steps.sleep(at - now).await;
            now = at;
            spawn(Task::new(script, steps.record()));
        }
        steps.sleep(scene.takes - now).await;
        steps.ends(scene.end)
    }

    /// All its tasks, for an implementation that wants them before it begins: where
    /// [`Capability::Body`](super::Capability::Body) is withheld the body does nothing else.
    #[must_use]
    pub fn tasks(self) -> Vec<Task> {
        let record = self.steps.record().clone();
        self.scene.tasks.into_iter().map(|(_, script)| Task::new(script, &record)).collect()
    }
}

impl Outside {
    fn put(&self, spawn: Spawn) {
        *lock(&self.0) = Some(spawn);
    }

    /// Spawns a task from outside, if a handle was left here. It is called outside of the lock.
    pub(crate) fn spawn(&self, script: Script, record: &Record) {
        let spawn = lock(&self.0).take();
        if let Some(mut spawn) = spawn {
            spawn(Task::new(script, record));
            self.put(spawn);
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("tasks", &self.scene.tasks.len()).finish_non_exhaustive()
    }
}
