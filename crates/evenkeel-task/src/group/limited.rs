//! A task that waits for its turn.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::PollSemaphore;

use super::members::Members;
use super::slab::Key;

pin_project! {
    pub(super) struct Limited<F> {
        #[pin]
        future: F,
        // After the future: it goes first.
        turn: Turn,
        key: Key,
        members: Arc<Members>,
    }
}

enum Turn {
    Awaited(PollSemaphore),
    Taken { _permit: Option<OwnedSemaphorePermit> },
    // The group is closed: it will be aborted, or was.
    Lost,
}

impl<F> Limited<F> {
    pub(super) fn new(future: F, turns: PollSemaphore, key: Key, members: Arc<Members>) -> Self {
        Self { future, turn: Turn::Awaited(turns), key, members }
    }
}

impl<F: Future> Future for Limited<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if let Turn::Awaited(turns) = this.turn {
            let permit = ready!(turns.poll_acquire(cx));
            let begins = this.members.begin(*this.key);
            *this.turn = if begins { Turn::Taken { _permit: permit } } else { Turn::Lost };
        }
        if let Turn::Lost = this.turn {
            return Poll::Pending;
        }
        this.future.poll(cx)
    }
}
