use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    Child,
    script::{Scene, Script},
};
use crate::life::{End, Life, Record, Refused};

type Spawn = Box<dyn FnMut(Child) + Send>;

/// What a group is to run: it spawns tasks when a rule says so, ends as it says, and notes it.
///
/// # Examples
/// As in [`Adapter`](super::Adapter).
#[must_use = "it does nothing unless it is run"]
pub struct Body {
    scene: Scene,
    life: Life,
    outside: Outside,
}

/// Where a handle to the group is left for those outside of it.
#[derive(Clone, Default)]
pub(crate) struct Outside(Arc<Mutex<Option<Spawn>>>);

impl Body {
    pub(crate) fn new(scene: Scene, record: &Record) -> Self {
        Self { scene, life: Life::new(0, false, record), outside: Outside::default() }
    }

    pub(crate) fn outside(&self) -> Outside {
        self.outside.clone()
    }

    /// Hands out the means to spawn into this group, also when its body has ended; only where
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
        let Self { scene, mut life, outside: _ } = self;
        life.begins();
        let mut now = std::time::Duration::ZERO;
        for (at, script) in scene.tasks {
            life.sleep(at - now).await;
            now = at;
            spawn(Child::new(script, life.record()));
        }
        life.sleep(scene.takes - now).await;
        life.ends(scene.end)
    }

    /// All its tasks, for an implementation that wants them before it begins: where
    /// [`Capability::Body`](super::Capability::Body) is withheld the body does nothing else.
    #[must_use]
    pub fn tasks(self) -> Vec<Child> {
        let record = self.life.record().clone();
        self.scene.tasks.into_iter().map(|(_, script)| Child::new(script, &record)).collect()
    }

    /// Whether the body does anything but spawn tasks at once.
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
