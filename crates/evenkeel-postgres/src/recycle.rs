//! Recycling: makes a connection fit for its next user, in the background.
//!
//! # How it works
//!
//! A clean connection goes straight back to the pool, and a lost one is closed. The others are recycled on a task, which
//! holds the lease, so that the connection counts as in use meanwhile:
//!
//! - A tainted session, or an open transaction, is reset.
//! - On an abandoned connection the statement is cancelled, over another link, until the server has finished it. One
//!   request is not enough: it may overtake the statement, and then has no effect. The connection is closed afterwards,
//!   because a late request could hit the next user.
//! - A commit is not cancelled, since it has to end in one way or the other.
//!
//! A failure, the time limit or the end of the task leaves a connection that is not clean, and the pool discards it.
//!
//! When the [`Recycler`] is dropped, with the last handle of the database, resets end at once, and connections are closed.
//! Cancelling goes on to its end, within its time: otherwise the statement would run on, and PgBouncer, which drops a
//! request whose link is closed before it has passed it on, may end itself.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use evenkeel_pool::Lease;
use tokio::{runtime::Handle, sync::watch, time::timeout};

use crate::{
    cancel::CancelRequest,
    connection::{Condition, TxState},
    manager::ConnectionManager,
};

/// The pauses between requests to cancel: the first one, and the longest.
const MIN_PAUSE: Duration = Duration::from_millis(20);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// Recycles connections on tasks of its own, which are bounded in time.
pub(crate) struct Recycler {
    cancel: CancelRequest,
    pub(crate) timeout: Duration,
    // Nothing is sent. Each task has a receiver as long as it lives.
    tasks: watch::Sender<()>,
}

impl Recycler {
    pub(crate) fn new(cancel: CancelRequest, timeout: Duration) -> Self {
        Self { cancel, timeout, tasks: watch::Sender::default() }
    }

    pub(crate) fn recycle(&self, lease: Lease<ConnectionManager>, runtime: &Handle) {
        if lease.is_clean() || lease.condition() == Condition::Lost {
            return;
        }
        // The task that had the session may wait for the next one.
        #[cfg(feature = "inspect")]
        Lease::give_away(&lease);
        runtime.spawn(recycle(lease, Arc::clone(&self.cancel), self.timeout, self.tasks.subscribe()));
    }

    /// Waits until all tasks have ended.
    pub(crate) async fn finished(&self) {
        self.tasks.closed().await;
    }
}

async fn recycle(
    mut lease: Lease<ConnectionManager>,
    cancel: CancelRequest,
    limit: Duration,
    mut recycler: watch::Receiver<()>,
) {
    if lease.condition() < Condition::Abandoned {
        let _waiting = lease.edges.recycling("the reset of a session", limit);
        return unless_dropped(&mut recycler, timeout(limit, lease.reset())).await;
    }
    let waiting = lease.edges.recycling("the end of a statement that was dropped", limit);
    let (token, peer, tx_state) = (lease.cancel_token(), lease.peer(), lease.tx_state);
    let mut drained = pin!(async move {
        let _waiting = waiting;
        let _ = timeout(limit, lease.drain()).await;
        drop(lease);
    });
    if tx_state == TxState::Committing {
        return unless_dropped(&mut recycler, drained).await;
    }
    let requests = async {
        let (mut is_drained, mut pause) = (false, MIN_PAUSE);
        while !is_drained {
            // A request runs to its own end, also when the statement has ended: a pooler may still be passing it on.
            let mut request = cancel(token.clone(), peer.clone());
            let _ = poll_fn(|cx| {
                is_drained = is_drained || drained.as_mut().poll(cx).is_ready();
                request.as_mut().poll(cx)
            })
            .await;
            is_drained = is_drained || timeout(pause, drained.as_mut()).await.is_ok();
            pause = (2 * pause).min(MAX_PAUSE);
        }
    };
    // The connection is closed at `limit`; the rest of the time is that of the last request.
    let _ = timeout(limit.saturating_mul(2), requests).await;
}

/// Runs a future to its end, or until the recycler is dropped.
async fn unless_dropped(recycler: &mut watch::Receiver<()>, future: impl Future) {
    let (mut dropped, mut future) = (pin!(recycler.changed()), pin!(future));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(_) => Poll::Ready(()),
        Poll::Pending => dropped.as_mut().poll(cx).map(drop),
    })
    .await;
}
