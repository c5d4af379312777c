//! How a request enters a limiter, and how far its future has come.

use std::task::{Context, Poll, Waker, ready};

use tokio::task::coop::{RestoreOnPending, poll_proceed};

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
    /// Polls a request: `take` takes what is there on the fast path, `enter` does the same or joins the queue, `decision`
    /// looks at a waiter.
    ///
    /// Only the steps of a request that `take` grants are inlined where the future is polled.
    #[inline(always)]
    pub(crate) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce() -> Option<T>,
        enter: impl FnOnce(&mut Self, &Waker) -> Poll<T>,
        decision: impl FnOnce(&mut Self, Key, &Waker) -> Poll<T>,
    ) -> Poll<T> {
        if let Self::New = *self {
            // A loop over permits that are available must let other tasks run.
            let proceed = ready!(poll_proceed(cx));
            if let Some(taken) = take() {
                proceed.made_progress();
                *self = Self::Done;
                return Poll::Ready(taken);
            }
            return self.enter(proceed, cx.waker(), enter);
        }
        self.poll_again(cx.waker(), decision)
    }

    #[inline(never)]
    fn enter<T>(
        &mut self,
        proceed: RestoreOnPending,
        waker: &Waker,
        enter: impl FnOnce(&mut Self, &Waker) -> Poll<T>,
    ) -> Poll<T> {
        let poll = enter(self, waker);
        if poll.is_ready() {
            proceed.made_progress();
            *self = Self::Done;
        }
        poll
    }

    #[inline(never)]
    fn poll_again<T>(
        &mut self,
        waker: &Waker,
        decision: impl FnOnce(&mut Self, Key, &Waker) -> Poll<T>,
    ) -> Poll<T> {
        match *self {
            Self::Queued(key) => decision(self, key, waker),
            Self::New | Self::Done => panic!("polled after it was ready"),
        }
    }
}
