//! The body of a group.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    Child,
    script::{Scene, Script},
};
use crate::probe_task::{End, ProbeTask, Record, Refused};

type Spawn = Box<dyn FnMut(Child) + Send>;

/// The body of a group: it spawns tasks and ends as the script of a rule says, and records each of its steps.
///
/// # Examples
/// As in [`Adapter`](super::Adapter).
#[must_use = "it does nothing unless it is run"]
pub struct Body {
    scene: Scene,
    probe: ProbeTask,
    outside: Outside,
}

/// The slot in which the body leaves a handle to its group.
#[derive(Clone, Default)]
pub(crate) struct Outside(Arc<Mutex<Option<Spawn>>>);

impl Body {
    pub(crate) fn new(scene: Scene, record: &Record) -> Self {
        Self { scene, probe: ProbeTask::new(0, false, record), outside: Outside::default() }
    }

    pub(crate) fn outside(&self) -> Outside {
        self.outside.clone()
    }

    /// Leaves a handle that spawns into this group, also when its body has ended; only where
    /// [`Capability::Handle`](super::Capability::Handle) is supported.
    pub fn hand_out(&self, spawn: impl FnMut(Child) + Send + 'static) {
        *self.outside.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(spawn));
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
    pub async fn run(self, mut spawn: impl FnMut(Child)) -> Result<(), Refused> {
        let Self { scene, mut probe, outside: _ } = self;
        probe.begins();
        let mut now = std::time::Duration::ZERO;
        for (at, script) in scene.tasks {
            probe.sleep(at - now).await;
            now = at;
            spawn(Child::new(script, probe.record()));
        }
        probe.sleep(scene.takes - now).await;
        probe.ends(scene.end)
    }

    /// All its tasks, for an implementation that wants them before it begins: where
    /// [`Capability::Body`](super::Capability::Body) is withheld the body does nothing else.
    #[must_use]
    pub fn tasks(self) -> Vec<Child> {
        let record = self.probe.record().clone();
        self.scene.tasks.into_iter().map(|(_, script)| Child::new(script, &record)).collect()
    }

    /// Returns whether the body only spawns tasks at once.
    pub(crate) fn is_plain(scene: &Scene) -> bool {
        scene.end == End::Ok && scene.takes.is_zero() && scene.tasks.iter().all(|(at, _)| at.is_zero())
    }
}

impl Outside {
    /// Spawns a task from outside, if a handle was left here.
    pub(crate) fn spawn(&self, script: Script, record: &Record) {
        let mut spawn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(spawn) = &mut *spawn {
            spawn(Child::new(script, record));
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("tasks", &self.scene.tasks.len()).finish_non_exhaustive()
    }
}
