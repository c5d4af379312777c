//! The state of one run, shared by its tasks and the listener for signals.

use std::borrow::Cow;
use std::fmt::Write;
use std::panic::Location;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use evenkeel_task::Stop;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::job::Job;
use crate::{Outcome, Reason, Report, TaskReport};

pub(crate) struct Run {
    stop: Stop,
    grace: Duration,
    reason: OnceLock<Reason>,
    tasks: Mutex<Tasks>,
    all_ended: Notify,
}

struct Tasks {
    entries: Vec<Entry>,
    live: usize,
}

struct Entry {
    name: Cow<'static, str>,
    place: &'static Location<'static>,
    started: Instant,
    ended: Option<(Outcome, Duration)>,
}

impl Run {
    pub(crate) fn new(stop: Stop, grace: Duration, jobs: &[Job]) -> Self {
        let started = Instant::now();
        let entry = |job: &Job| Entry { name: job.name.clone(), place: job.place, started, ended: None };
        let tasks = Tasks { entries: jobs.iter().map(entry).collect(), live: jobs.len() };
        Self { stop, grace, reason: OnceLock::new(), tasks: Mutex::new(tasks), all_ended: Notify::new() }
    }

    pub(crate) fn stop(&self) -> &Stop {
        &self.stop
    }

    // No code of the user runs under the lock.
    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the tasks to stop; the first reason stays.
    pub(crate) fn drain(&self, reason: Reason) {
        if !self.stop.is_draining() {
            let words = reason.to_string();
            // Of two at the same time one is first.
            let _ = self.reason.set(reason);
            self.stop.drain(words);
        }
    }

    /// Takes down how a task ended. If it failed the others are asked to stop.
    pub(crate) fn ended(&self, index: usize, outcome: Outcome) {
        let mut tasks = self.tasks();
        let task = &mut tasks.entries[index];
        let failed = matches!(outcome, Outcome::Failed(_) | Outcome::Panicked(_)).then(|| task.name.clone());
        task.ended = Some((outcome, task.started.elapsed()));
        tasks.live -= 1;
        let last = tasks.live == 0;
        drop(tasks);
        if let Some(name) = failed {
            self.drain(Reason::Failed(name));
        }
        if last {
            self.all_ended.notify_one();
        }
    }

    /// Ends with the last task.
    pub(crate) async fn all_ended(&self) {
        if self.tasks().live > 0 {
            self.all_ended.notified().await;
        }
    }

    /// Ends when the tasks have to be aborted, be it that the grace period is over.
    pub(crate) async fn must_abort(&self) {
        self.stop.draining().await;
        if timeout(self.grace, self.stop.aborting()).await.is_err() {
            self.stop.abort("the grace period is over");
        }
    }

    /// The tasks that have not ended, for the last words of the process.
    pub(crate) fn unfinished(&self) -> String {
        let mut words = String::new();
        for task in self.tasks().entries.iter().filter(|task| task.ended.is_none()) {
            let _ = write!(words, "\n  task '{}' ({}) hangs", task.name, task.place);
        }
        words
    }

    /// What became of everything, once all tasks have ended.
    pub(crate) fn report(&self) -> Report {
        let reason = match self.reason.get() {
            Some(reason) => reason.clone(),
            None if self.stop.is_draining() => {
                Reason::Stopped(self.stop.reason().unwrap_or_default().to_owned().into())
            }
            None => Reason::Ended,
        };
        let tasks = self.tasks().entries.drain(..).map(Entry::report).collect();
        Report { reason, tasks }
    }

    pub(crate) fn reason(&self) -> Option<&Reason> {
        self.reason.get()
    }
}

impl Entry {
    fn report(self) -> TaskReport {
        let Self { name, place, started, ended } = self;
        let (outcome, after) = ended.unwrap_or_else(|| (Outcome::Aborted, started.elapsed()));
        TaskReport { name, place, after, outcome }
    }
}
