//! The task that an implementation of groups runs.

use std::{fmt, pin::Pin, thread, time::Duration};

use tokio::time::Instant;

use super::{
    Body,
    script::{Scene, Script},
};
use crate::{
    duration::ms,
    probe_task::{Event, ProbeTask, Record, Refused},
};

type Drained = Pin<Box<dyn Future<Output = Option<String>> + Send>>;

/// A task that an implementation is to run: it follows the script of a rule, and records each of its steps.
///
/// # Examples
/// As in [`Adapter`](super::Adapter).
#[must_use = "it does nothing unless it is run"]
pub struct Child {
    script: Script,
    probe: ProbeTask,
    drained: Option<Drained>,
}

impl Child {
    pub(super) fn new(script: Script, record: &Record) -> Self {
        record.note(Event::Spawned(script.number));
        let probe = ProbeTask::new(script.number, script.panics_on_drop, record);
        Self { script, probe, drained: None }
    }

    /// The task's name.
    #[must_use]
    pub fn name(&self) -> String {
        format!("task {}", self.script.number)
    }

    /// Returns the maximum time for which it is shielded from a stop, if it is. It never is where
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
        let Self { mut script, mut probe, drained } = self;
        probe.begins();
        let end = match (script.drains, drained, script.inner.take()) {
            (Some((takes, end)), Some(drained), _) => match probe.sleep_or(script.takes, drained).await {
                None => script.end,
                Some(reason) => {
                    probe.drains(reason);
                    probe.sleep(takes).await;
                    end
                }
            },
            (_, _, Some((group, tasks))) => {
                group.call(Body::new(Scene::of(tasks), probe.record())).await;
                script.end
            }
            _ => {
                probe.sleep(script.takes).await;
                script.end
            }
        };
        if script.is_endless {
            script.spawns.push(script.clone());
        }
        for next in script.spawns {
            spawn(Self::new(next, probe.record()));
        }
        probe.ends(end)
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
        let Self { script, mut probe, .. } = self;
        probe.begins();
        let end = Instant::now() + script.takes;
        while Instant::now() < end {
            if script.blocks == Some(true) && is_stopped() {
                probe.drains(None);
                break;
            }
            thread::park_timeout(ms(1));
        }
        probe.ends(script.end)
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
