//! The task that an implementation of groups or of programs runs.

mod remote;

use std::{
    fmt,
    future::{pending, ready},
    mem, thread,
    time::Duration,
};

use tokio::time::Instant;

pub(crate) use self::remote::{Order, Orders, Remote, Step};
use super::{
    record::{End, Event, Record},
    reported_failure::ReportedFailure,
    script::Script,
    step_recorder::StepRecorder,
};
use crate::duration::ms;

/// A task that an implementation is to run: it follows the script of a rule, and records each of its steps.
///
/// The clean-ups and the guarded work of a program are tasks, too.
///
/// # Examples
/// As in [`task::SUITE`](crate::task::SUITE) and in [`shutdown::SUITE`](crate::shutdown::SUITE).
#[must_use = "it does nothing unless it is run"]
pub struct Task {
    script: Script,
    steps: Steps,
}

enum Steps {
    Here(StepRecorder),
    /// The script has the facts of the task alone.
    Remote(Remote),
}

impl Task {
    pub(crate) fn new(script: Script, record: &Record) -> Self {
        record.note(Event::Spawned(script.number));
        let steps = StepRecorder::new(script.number, script.panics_on_drop, record);
        Self { script, steps: Steps::Here(steps) }
    }

    /// A task whose script is in another process: of this one, only the facts count.
    pub(crate) fn remote(facts: Script, remote: Remote) -> Self {
        Self { script: facts, steps: Steps::Remote(remote) }
    }

    pub(crate) fn script(&self) -> &Script {
        &self.script
    }

    /// It has begun in another process: [`play`](Self::play) follows.
    pub(crate) fn begins_elsewhere(&mut self) {
        if let Steps::Here(steps) = &mut self.steps {
            steps.elsewhere();
            steps.begins();
        }
    }

    /// The task's name.
    #[must_use]
    pub fn name(&self) -> String {
        format!("task {}", self.script.number)
    }

    /// Returns the maximum time for which it is shielded from a stop, if it is. It never is where
    /// [`Capability::Shield`](crate::task::Capability::Shield) is withheld.
    #[must_use]
    pub fn shield(&self) -> Option<Duration> {
        self.script.shield
    }

    /// Whether it is to [block](Self::block) a thread. It never is where
    /// [`Capability::Blocking`](crate::task::Capability::Blocking) is withheld.
    #[must_use]
    pub fn is_blocking(&self) -> bool {
        self.script.blocks.is_some()
    }

    /// The phase in which it is to stop, from 0. It is 0 where
    /// [`Capability::Phases`](crate::shutdown::Capability::Phases) is withheld.
    #[must_use]
    pub fn phase(&self) -> usize {
        self.script.phase
    }

    /// Whether its end is to stop the program. It never is where
    /// [`Capability::Vital`](crate::shutdown::Capability::Vital) is withheld.
    #[must_use]
    pub fn is_vital(&self) -> bool {
        self.script.is_vital
    }

    /// Runs the task. `drained` is the signal to drain, with its reason where there is one. `spawn` puts another task
    /// into the same group or program; it is not called where
    /// [`SpawnFromTasks`](crate::task::Capability::SpawnFromTasks) or [`Start`](crate::shutdown::Capability::Start) is
    /// withheld.
    ///
    /// # Errors
    /// If that is how the task ends.
    ///
    /// # Cancel safety
    /// Dropping it ends the task, and is noted.
    ///
    /// # Panics
    /// If that is how the task ends; a rule may also make the destructor panic.
    pub async fn run(
        self,
        drained: impl Future<Output = Option<String>>,
        spawn: impl FnMut(Self),
    ) -> Result<(), ReportedFailure> {
        self.play(drained, spawn, |_| ready(())).await
    }

    /// As [`run`](Self::run); before its end, it awaits `ends`.
    pub(crate) async fn play<F: Future<Output = ()>>(
        self,
        drained: impl Future<Output = Option<String>>,
        mut spawn: impl FnMut(Self),
        ends: impl FnOnce(End) -> F,
    ) -> Result<(), ReportedFailure> {
        let Self { mut script, steps } = self;
        let mut steps = match steps {
            Steps::Here(steps) => steps,
            Steps::Remote(remote) => return remote.run(drained, spawn).await,
        };
        let record = steps.record().clone();
        let mut spawn_all =
            |scripts: Vec<_>| scripts.into_iter().for_each(|next| spawn(Self::new(next, &record)));
        let mut end = script.end;
        steps.begins();
        if let Some((takes, answer)) = script.drains {
            steps.sleep(script.looks_after.min(script.takes)).await;
            let rest = script.takes.saturating_sub(script.looks_after);
            if let Some(reason) = steps.sleep_or(rest, drained).await {
                steps.drains(reason);
                spawn_all(mem::take(&mut script.spawns));
                steps.sleep(takes).await;
                end = answer;
            }
        } else if let Some(inner) = script.inner.take() {
            inner.call(record.clone()).await;
        } else {
            steps.sleep(script.takes).await;
        }
        if script.is_endless {
            script.spawns.push(script.clone());
        }
        spawn_all(script.spawns);
        ends(end).await;
        steps.ends(end)
    }

    /// Runs a task that spawns none and that nobody asks to drain.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Cancel safety
    /// As [`run`](Self::run).
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub async fn alone(self) -> Result<(), ReportedFailure> {
        self.run(pending(), drop).await
    }

    /// Runs a task that blocks its thread; `is_stopped` is asked whether it is to end, and says no where
    /// [`Capability::BlockingSignal`](crate::task::Capability::BlockingSignal) is withheld.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub fn block(self, is_stopped: impl Fn() -> bool) -> Result<(), ReportedFailure> {
        let Self { script, steps } = self;
        // A rule about threads is not put to another process.
        let Steps::Here(mut steps) = steps else { return Ok(()) };
        steps.begins();
        let end = Instant::now() + script.takes;
        while Instant::now() < end {
            if script.blocks == Some(true) && is_stopped() {
                steps.drains(None);
                break;
            }
            thread::park_timeout(ms(1));
        }
        steps.ends(script.end)
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("number", &self.script.number).finish_non_exhaustive()
    }
}
