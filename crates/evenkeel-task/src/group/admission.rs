//! What a task has to pass before each of its polls.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::PollSemaphore;

use super::registry::Key;
use super::shared::Members;
use super::task_info::State;

pub(super) trait Gate {
    /// What a task is doing before it has passed.
    const STATE: State;

    /// Whether it is spawned on the current runtime: there may be none.
    const ON_CURRENT: bool = true;

    /// Whether the task has to end here.
    fn is_shut(&self, group: &Members) -> bool;

    /// Ready when the task may run.
    fn poll_turn(&mut self, group: &Members, key: Key, cx: &mut Context<'_>) -> Poll<()>;
}

/// Of a task that runs until its group stops.
#[derive(Debug)]
pub(super) struct AtOnce;

impl Gate for AtOnce {
    const STATE: State = State::Running;

    fn is_shut(&self, group: &Members) -> bool {
        group.is_halted()
    }

    fn poll_turn(&mut self, _: &Members, _: Key, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

/// Of what is left over, and ends by itself.
#[derive(Debug)]
pub(super) struct Guest;

impl Gate for Guest {
    const STATE: State = State::Leaving;
    const ON_CURRENT: bool = false;

    fn is_shut(&self, _: &Members) -> bool {
        false
    }

    fn poll_turn(&mut self, _: &Members, _: Key, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

/// Of a task that waits for its turn.
#[derive(Debug)]
pub(super) enum Turn {
    Awaited(PollSemaphore),
    Taken { _permit: Option<OwnedSemaphorePermit> },
}

impl Turn {
    pub(super) fn new(turns: &Arc<Semaphore>) -> Self {
        Self::Awaited(PollSemaphore::new(Arc::clone(turns)))
    }
}

impl Gate for Turn {
    const STATE: State = State::Waiting;

    fn is_shut(&self, group: &Members) -> bool {
        match self {
            // What has not begun does not begin any more.
            Self::Awaited(_) => !group.is_open(),
            Self::Taken { .. } => group.is_halted(),
        }
    }

    fn poll_turn(&mut self, group: &Members, key: Key, cx: &mut Context<'_>) -> Poll<()> {
        if let Self::Awaited(turns) = self {
            let permit = ready!(turns.poll_acquire(cx));
            if !group.begin(key) {
                return Poll::Pending;
            }
            *self = Self::Taken { _permit: permit };
        }
        Poll::Ready(())
    }
}
