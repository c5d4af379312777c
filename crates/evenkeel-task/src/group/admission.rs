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
use crate::{BoxError, IntoResult};

/// Asked before each poll of a task.
pub(super) trait Admission {
    /// The state of a task that has not been admitted.
    const INITIAL_STATE: State;

    /// Whether the task is spawned on the current runtime. Then there may be none, and the task is never spawned.
    const ON_CURRENT_RUNTIME: bool = true;

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

    /// Called at the first poll of the task that is pending.
    fn on_pending(&self, _: &Context<'_>) {}

    /// Called when the task has failed or was cancelled and its future has been dropped, before the end is recorded.
    fn on_failure(&self, _: &TaskEnd) {}

    /// Called when the end has been recorded. It may not panic.
    fn on_recorded(&self) {}
}

/// Takes the output of a task.
pub(super) trait TakeOutput<O: IntoResult>: Admission {
    /// Drops the value, unless there is a handle for it, and returns the error.
    fn take_output(&self, output: O) -> Result<(), BoxError> {
        output.into_result()
    }
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

impl<O: IntoResult> TakeOutput<O> for Unlimited {}

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

impl<O: IntoResult> TakeOutput<O> for Detached {}

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

impl<O: IntoResult> TakeOutput<O> for Limited {}

/// The parts of a task beside its future: none, a name, a handle. Each is a type, and adds nothing to other tasks.
pub(super) trait TaskKind<O: IntoResult> {
    type Admission<A: TakeOutput<O> + Send + 'static>: TakeOutput<O> + Send + 'static;

    fn admission<A: TakeOutput<O> + Send + 'static>(self, admission: A) -> Self::Admission<A>;
}

/// A task without a name and a handle.
#[derive(Debug)]
pub(super) struct Unnamed;

impl<O: IntoResult> TaskKind<O> for Unnamed {
    type Admission<A: TakeOutput<O> + Send + 'static> = A;

    fn admission<A: TakeOutput<O> + Send + 'static>(self, admission: A) -> A {
        admission
    }
}

/// A task with a name.
impl<O: IntoResult> TaskKind<O> for TaskName {
    type Admission<A: TakeOutput<O> + Send + 'static> = Named<A>;

    fn admission<A: TakeOutput<O> + Send + 'static>(self, admission: A) -> Named<A> {
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

    fn must_end(&self, group: &Shared) -> bool {
        self.admission.must_end(group)
    }

    fn poll_admit(&mut self, group: &Shared, key: TaskKey, cx: &mut Context<'_>) -> Poll<()> {
        self.admission.poll_admit(group, key, cx)
    }

    fn take_name(&mut self) -> Option<TaskName> {
        self.name.take()
    }

    fn on_pending(&self, cx: &Context<'_>) {
        self.admission.on_pending(cx);
    }

    fn on_failure(&self, end: &TaskEnd) {
        self.admission.on_failure(end);
    }

    fn on_recorded(&self) {
        self.admission.on_recorded();
    }
}

impl<O: IntoResult, A: TakeOutput<O>> TakeOutput<O> for Named<A> {
    fn take_output(&self, output: O) -> Result<(), BoxError> {
        self.admission.take_output(output)
    }
}
