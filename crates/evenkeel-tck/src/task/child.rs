use std::{fmt, pin::Pin, thread, time::Duration};

use tokio::time::Instant;

use super::{
    Body,
    script::{Scene, Script},
};
use crate::{
    duration::ms,
    life::{Event, Life, Record, Refused},
};

type Drained = Pin<Box<dyn Future<Output = Option<String>> + Send>>;

/// A task that an implementation is to run: it does what a rule has written for it, and notes all of it.
///
/// # Examples
/// As in [`Adapter`](super::Adapter).
#[must_use = "it does nothing unless it is run"]
pub struct Child {
    script: Script,
    life: Life,
    drained: Option<Drained>,
}

impl Child {
    pub(super) fn new(script: Script, record: &Record) -> Self {
        record.note(Event::Spawned(script.number));
        let life = Life::new(script.number, script.is_sore, record);
        Self { script, life, drained: None }
    }

    /// The task's name.
    #[must_use]
    pub fn name(&self) -> String {
        format!("task {}", self.script.number)
    }

    /// For how long at most it is to be protected against being stopped. It never is where
    /// [`Capability::Shield`](super::Capability::Shield) is withheld.
    #[must_use]
    pub fn shield(&self) -> Option<Duration> {
        self.script.shield
    }

    /// Whether it is to [block](Self::block) a thread. It never is where
    /// [`Capability::Blocking`](super::Capability::Blocking) is withheld.
    #[must_use]
    pub fn is_blocking(&self) -> bool {
        self.script.blocks.is_some()
    }

    /// Lets the task see the signal to drain; the signal gives its reason if it has one.
    pub fn watching(mut self, drained: impl Future<Output = Option<String>> + Send + 'static) -> Self {
        self.drained = Some(Box::pin(drained));
        self
    }

    /// Runs the task; `spawn` puts another one into the same group. It is not called where
    /// [`Capability::SpawnFromTasks`](super::Capability::SpawnFromTasks) is withheld.
    ///
    /// # Errors
    /// If that is how the task ends.
    ///
    /// # Cancel safety
    /// Dropping it ends the task, and is noted.
    ///
    /// # Panics
    /// If that is how the task ends; a rule may also make the destructor panic.
    pub async fn run(self, mut spawn: impl FnMut(Self)) -> Result<(), Refused> {
        let Self { mut script, mut life, drained } = self;
        life.begins();
        let end = match (script.drains, drained, script.inner.take()) {
            (Some((takes, end)), Some(drained), _) => match life.sleep_or(script.takes, drained).await {
                None => script.end,
                Some(reason) => {
                    life.drains(reason);
                    life.sleep(takes).await;
                    end
                }
            },
            (_, _, Some((group, tasks))) => {
                group.call(Body::new(Scene::of(tasks), life.record())).await;
                script.end
            }
            _ => {
                life.sleep(script.takes).await;
                script.end
            }
        };
        if script.is_endless {
            script.spawns.push(script.clone());
        }
        for next in script.spawns {
            spawn(Self::new(next, life.record()));
        }
        life.ends(end)
    }

    /// Runs a task that blocks its thread; `is_stopped` is asked whether it is to end, and says no where
    /// [`Capability::BlockingSignal`](super::Capability::BlockingSignal) is withheld.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub fn block(self, is_stopped: impl Fn() -> bool) -> Result<(), Refused> {
        let Self { script, mut life, .. } = self;
        life.begins();
        let end = Instant::now() + script.takes;
        while Instant::now() < end {
            if script.blocks == Some(true) && is_stopped() {
                life.drains(None);
                break;
            }
            thread::park_timeout(ms(1));
        }
        life.ends(script.end)
    }

    /// Runs a task that spawns none.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Cancel safety
    /// As [`run`](Self::run).
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub async fn alone(self) -> Result<(), Refused> {
        self.run(drop).await
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child").field("number", &self.script.number).finish_non_exhaustive()
    }
}
