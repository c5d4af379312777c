//! The part of a task's budget that the operations of a queue take, so that other tasks run.

use std::{
    sync::atomic::{AtomicU8, Ordering::Relaxed},
    task::{Context, Poll},
};

use tokio::task::coop::{self, RestoreOnPending};

/// The number of operations that count as one step of a task, after 128 of which tokio lets other tasks run: the count of a
/// step costs a tenth of an operation.
const OPERATIONS_OF_A_STEP: u8 = 4;

/// Counts the operations of a handle that have ended: one that is dropped before would be a step in the place of another one,
/// and take nothing. Tasks that share the handle may miss one of the others.
pub(super) struct Budget(AtomicU8);

impl Budget {
    /// The first operation is a step, so that a loop that makes a handle for each lets others run as well.
    pub(super) const fn new() -> Self {
        Self(AtomicU8::new(0))
    }

    /// Lets others run if this operation is a step, and one too many.
    #[inline]
    pub(super) fn poll_proceed(&self, cx: &mut Context<'_>) -> Poll<Option<RestoreOnPending>> {
        match self.0.load(Relaxed).is_multiple_of(OPERATIONS_OF_A_STEP) {
            true => coop::poll_proceed(cx).map(Some),
            false => Poll::Ready(None),
        }
    }

    /// Counts an operation that has ended.
    #[inline]
    pub(super) fn made_progress(&self, step: Option<RestoreOnPending>) {
        self.0.store(self.0.load(Relaxed).wrapping_add(1), Relaxed);
        if let Some(step) = step {
            step.made_progress();
        }
    }
}
