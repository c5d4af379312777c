//! The body of a group.

use std::{
    fmt,
    future::{pending, ready},
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_base::lock;

use crate::probe_task::{End, Record, Remote, ReportedFailure, Script, StepRecorder, Task};

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
    steps: Steps,
    outside: Outside,
}

enum Steps {
    Here(Scene, StepRecorder),
    /// Its script is in another process, which has sent the tasks already where the body does nothing else.
    Remote(Vec<Task>, Remote),
}

/// The slot in which the body leaves a handle to its group.
#[derive(Clone, Default)]
pub(crate) struct Outside(Arc<Mutex<Option<Spawn>>>);

impl Body {
    pub(crate) fn new(scene: Scene, record: &Record) -> Self {
        let steps = Steps::Here(scene, StepRecorder::new(0, false, record));
        Self { steps, outside: Outside::default() }
    }

    /// A body whose script is in another process.
    pub(crate) fn remote(tasks: Vec<Task>, remote: Remote) -> Self {
        Self { steps: Steps::Remote(tasks, remote), outside: Outside::default() }
    }

    /// It has begun in another process: [`play`](Self::play) follows.
    pub(crate) fn begins_elsewhere(&mut self) {
        if let Steps::Here(_, steps) = &mut self.steps {
            steps.elsewhere();
            steps.begins();
        }
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
    pub async fn run(self, spawn: impl FnMut(Task)) -> Result<(), ReportedFailure> {
        self.play(spawn, |_| ready(())).await
    }

    /// As [`run`](Self::run); before its end, it awaits `ends`.
    pub(crate) async fn play<F: Future<Output = ()>>(
        self,
        mut spawn: impl FnMut(Task),
        ends: impl FnOnce(End) -> F,
    ) -> Result<(), ReportedFailure> {
        let (scene, mut steps) = match self.steps {
            Steps::Here(scene, steps) => (scene, steps),
            Steps::Remote(_, remote) => return remote.run(pending(), spawn).await,
        };
        steps.begins();
        let mut now = Duration::ZERO;
        for (at, script) in scene.tasks {
            steps.sleep(at - now).await;
            now = at;
            spawn(Task::new(script, steps.record()));
        }
        steps.sleep(scene.takes - now).await;
        ends(scene.end).await;
        steps.ends(scene.end)
    }

    /// All its tasks, for an implementation that wants them before it begins: where
    /// [`Capability::Body`](super::Capability::Body) is withheld the body does nothing else.
    #[must_use]
    pub fn tasks(self) -> Vec<Task> {
        match self.steps {
            Steps::Here(scene, steps) => {
                let tasks = scene.tasks.into_iter();
                tasks.map(|(_, script)| Task::new(script, steps.record())).collect()
            }
            Steps::Remote(tasks, remote) => {
                remote.forget();
                tasks
            }
        }
    }
}

impl Outside {
    fn put(&self, spawn: Spawn) {
        let old = lock(&self.0).replace(spawn);
        drop(old);
    }

    /// Spawns a task from outside, if a handle was left here.
    pub(crate) fn spawn(&self, script: Script, record: &Record) {
        self.spawn_with(|| Task::new(script, record));
    }

    /// As [`spawn`](Self::spawn). The handle is called outside of the lock.
    pub(crate) fn spawn_with(&self, task: impl FnOnce() -> Task) {
        let spawn = lock(&self.0).take();
        if let Some(mut spawn) = spawn {
            spawn(task());
            self.put(spawn);
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tasks = match &self.steps {
            Steps::Here(scene, _) => scene.tasks.len(),
            Steps::Remote(tasks, _) => tasks.len(),
        };
        f.debug_struct("Body").field("tasks", &tasks).finish_non_exhaustive()
    }
}
