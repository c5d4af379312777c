//! One who is in a group.

use std::borrow::Cow;
use std::panic::Location;
use std::task::Waker;

use tokio::time::Instant;

use super::task_info::{State, TaskInfo};
use crate::telemetry::End;
use crate::{Cause, Failure};

/// What errors call a task by.
#[derive(Debug)]
pub(super) struct Label {
    // Most have none: it takes a word in each task.
    pub(super) name: Option<Box<Cow<'static, str>>>,
    pub(super) place: &'static Location<'static>,
}

impl Label {
    pub(super) fn new(name: &'static str, place: &'static Location<'static>) -> Self {
        Self { name: Some(Box::new(name.into())), place }
    }

    pub(super) fn take(&mut self) -> Self {
        Self { name: self.name.take(), place: self.place }
    }
}

/// A task of a group, or something that is left over.
#[derive(Debug)]
pub(super) struct Member {
    label: Label,
    started: Instant,
    // Not there until it was pending, nor after it has been told to abort.
    waker: Option<Waker>,
    restarts: u32,
    state: State,
}

impl Member {
    pub(super) fn new(label: Label) -> Self {
        Self { label, started: Instant::now(), waker: None, restarts: 0, state: State::Running }
    }

    pub(super) fn in_state(self, state: State) -> Self {
        Self { state, ..self }
    }

    /// Something that is left over: it is waited for, and neither counted nor aborted.
    pub(super) fn is_guest(&self) -> bool {
        self.state == State::Leaving
    }

    pub(super) fn begin(&mut self, now: Instant) {
        self.started = now;
        self.state = State::Running;
    }

    pub(super) fn restarted(&mut self) {
        self.restarts = self.restarts.saturating_add(1);
    }

    pub(super) fn park(&mut self, waker: Waker) -> Option<Waker> {
        self.waker.replace(waker)
    }

    /// Takes down that it has to end, and gives what wakes it for that.
    pub(super) fn abort(&mut self) -> Option<Waker> {
        self.state = State::Aborting;
        self.waker.take()
    }

    pub(super) fn failed(self, cause: Cause) -> Failure {
        let Self { label: Label { name, place }, started, restarts, .. } = self;
        Failure { name: name.map(|name| *name), place, after: started.elapsed(), restarts, cause }
    }

    pub(super) fn ended(&self, ended: &Ended) -> End {
        let outcome = match ended {
            Ended::Finished => "finished",
            Ended::Cancelled => "cancelled",
            Ended::Failed(Cause::Panic(_)) => "panicked",
            Ended::Failed(Cause::Deadline) => "overdue",
            Ended::Failed(Cause::RuntimeShutdown) => "runtime_shutdown",
            Ended::Failed(_) => "failed",
        };
        End::new(self.label.name.as_deref(), self.label.place, || self.started.elapsed(), outcome)
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    pub(super) fn info(&self) -> TaskInfo {
        let Self { label: Label { name, place }, started, restarts, state, .. } = self;
        let name = name.as_deref().cloned();
        TaskInfo { name, place, age: started.elapsed(), restarts: *restarts, state: *state }
    }
}

/// How a task ended.
#[derive(Debug)]
pub(super) enum Ended {
    Finished,
    Cancelled,
    Failed(Cause),
}
