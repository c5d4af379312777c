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

use std::{
    future::poll_fn,
    mem,
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_base::lock;
use evenkeel_pool::Lease;
use tokio::{runtime::Handle, task::AbortHandle, time::timeout};

use crate::{
    cancel::CancelRequest,
    connection::{Condition, TxState},
    manager::ConnectionManager,
};

/// The pauses between requests to cancel: the first one, and the longest.
const MIN_PAUSE: Duration = Duration::from_millis(20);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// Recycles connections on tasks of its own, which are aborted when it is dropped.
pub(crate) struct Recycler {
    cancel: CancelRequest,
    pub(crate) timeout: Duration,
    tasks: Mutex<Vec<AbortHandle>>,
}

impl Recycler {
    pub(crate) fn new(cancel: CancelRequest, timeout: Duration) -> Self {
        Self { cancel, timeout, tasks: Mutex::default() }
    }

    pub(crate) fn recycle(&self, lease: Lease<ConnectionManager>, runtime: &Handle) {
        if lease.is_clean() || lease.condition() == Condition::Lost {
            return;
        }
        // Not under the lock: the runtime drops the task at once if it has ended.
        let task = runtime.spawn(recycle(lease, Arc::clone(&self.cancel), self.timeout));
        let mut tasks = lock(&self.tasks);
        let ended: Vec<_> = tasks.extract_if(.., |task| task.is_finished()).collect();
        tasks.push(task.abort_handle());
        drop(tasks);
        drop(ended);
    }
}

impl Drop for Recycler {
    fn drop(&mut self) {
        let tasks = mem::take(&mut *lock(&self.tasks));
        tasks.iter().for_each(AbortHandle::abort);
    }
}

async fn recycle(mut lease: Lease<ConnectionManager>, cancel: CancelRequest, limit: Duration) {
    if lease.condition() < Condition::Abandoned {
        let _ = timeout(limit, lease.reset()).await;
        return;
    }
    let (token, peer, tx_state) = (lease.cancel_token(), lease.peer(), lease.tx_state);
    let mut drained = pin!(async move {
        let _ = timeout(limit, lease.drain()).await;
        drop(lease);
    });
    if tx_state == TxState::Committing {
        return drained.await;
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
