//! The condition under which a task of a group may run.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::PollSemaphore;

use super::{
    registry::TaskKey,
    shared::Shared,
    task_entry::{State, TaskEnd, TaskName},
};

/// Asked before each poll of a task.
pub(super) trait Admission {
    /// The state of a task that has not been admitted.
    const INITIAL_STATE: State;

    /// Whether the task is spawned on the current runtime. Then there may be none, and the task is never spawned.
    const ON_CURRENT_RUNTIME: bool = true;

    /// Whether [`on_end`](Self::on_end) does nothing.
    const IS_SILENT: bool = true;

    /// Returns whether the task has to end before its next poll.
    fn must_end(&self, group: &Shared) -> bool;

    /// Ready when the task may run.
    fn poll_admit(&mut self, _: &Shared, _: TaskKey, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    /// Returns the name of the task, once.
    fn take_name(&mut self) -> Option<TaskName> {
        None
    }

    /// Called when the task has ended and its future has been dropped, before the end is recorded.
    fn on_end(&self, _: &TaskEnd) {}
}

/// A task of a group without a limit: it runs until the group stops.
#[derive(Debug)]
pub(super) struct Unlimited;

impl Admission for Unlimited {
    const INITIAL_STATE: State = State::Running;

    fn must_end(&self, group: &Shared) -> bool {
        group.forbids_progress()
    }
}

/// Detached work: nothing cancels it, it ends by itself.
#[derive(Debug)]
pub(super) struct Detached;

impl Admission for Detached {
    const INITIAL_STATE: State = State::Detached;
    const ON_CURRENT_RUNTIME: bool = false;

    fn must_end(&self, _: &Shared) -> bool {
        false
    }
}

/// A task of a group with a limit: it waits for a slot, in the order in which the tasks were spawned.
#[derive(Debug)]
pub(super) enum Limited {
    Waiting(PollSemaphore),
    Admitted { _slot: Option<OwnedSemaphorePermit> },
}

impl Limited {
    pub(super) fn new(slots: &Arc<Semaphore>) -> Self {
        Self::Waiting(PollSemaphore::new(Arc::clone(slots)))
    }
}

impl Admission for Limited {
    const INITIAL_STATE: State = State::Waiting;

    fn must_end(&self, group: &Shared) -> bool {
        match self {
            // A task that has not begun does not begin during a grace.
            Self::Waiting(_) => !group.is_open(),
            Self::Admitted { .. } => group.forbids_progress(),
        }
    }

    fn poll_admit(&mut self, group: &Shared, key: TaskKey, cx: &mut Context<'_>) -> Poll<()> {
        if let Self::Waiting(slots) = self {
            let slot = ready!(slots.poll_acquire(cx));
            if !group.begin(key) {
                return Poll::Pending;
            }
            *self = Self::Admitted { _slot: slot };
        }
        Poll::Ready(())
    }
}

/// What a task has beside its future: nothing, a name, a handle. Each is a type, and adds nothing to other tasks.
pub(super) trait TaskKind {
    type Admission<A: Admission + Send + 'static>: Admission + Send + 'static;

    fn admission<A: Admission + Send + 'static>(self, admission: A) -> Self::Admission<A>;
}

/// A task without a name and a handle.
#[derive(Debug)]
pub(super) struct Unnamed;

impl TaskKind for Unnamed {
    type Admission<A: Admission + Send + 'static> = A;

    fn admission<A: Admission + Send + 'static>(self, admission: A) -> A {
        admission
    }
}

/// A task with a name.
impl TaskKind for TaskName {
    type Admission<A: Admission + Send + 'static> = Named<A>;

    fn admission<A: Admission + Send + 'static>(self, admission: A) -> Named<A> {
        Named { name: Some(self), admission }
    }
}

/// The admission of a task with a name, which it keeps until it is registered.
#[derive(Debug)]
pub(super) struct Named<A> {
    name: Option<TaskName>,
    admission: A,
}

impl<A: Admission> Admission for Named<A> {
    const INITIAL_STATE: State = A::INITIAL_STATE;
    const IS_SILENT: bool = A::IS_SILENT;

    fn must_end(&self, group: &Shared) -> bool {
        self.admission.must_end(group)
    }

    fn poll_admit(&mut self, group: &Shared, key: TaskKey, cx: &mut Context<'_>) -> Poll<()> {
        self.admission.poll_admit(group, key, cx)
    }

    fn take_name(&mut self) -> Option<TaskName> {
        self.name.take()
    }

    fn on_end(&self, end: &TaskEnd) {
        self.admission.on_end(end);
    }
}
