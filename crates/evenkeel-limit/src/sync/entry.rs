//! How a request enters a limiter, and how far its future has come.

use std::task::{Context, Poll, Waker, ready};

use tokio::task::coop::poll_proceed;

use super::wait_queue::Key;

/// Whether a request may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It is denied if it cannot be granted now.
    Try,
    /// It waits in the queue.
    Wait,
}

/// How far the future of a request has come.
///
/// It changes under the lock, together with the queue: foreign code that runs later may panic, and the future would not
/// know its key, or use a key that is free.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Not polled yet.
    New,
    Queued(Key),
    Done,
}

impl Stage {
    /// Polls a request: `enter` takes what there is or joins the queue, `decision` looks at a waiter.
    #[inline]
    pub(crate) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        enter: impl FnOnce(&mut Self, &Waker) -> Poll<T>,
        decision: impl FnOnce(&mut Self, Key, &Waker) -> Poll<T>,
    ) -> Poll<T> {
        match *self {
            Self::New => {
                // A loop over permits that are available must let other tasks run.
                let proceed = ready!(poll_proceed(cx));
                let poll = enter(self, cx.waker());
                if poll.is_ready() {
                    proceed.made_progress();
                    *self = Self::Done;
                }
                poll
            }
            Self::Queued(key) => decision(self, key, cx.waker()),
            Self::Done => panic!("polled after it was ready"),
        }
    }
}
