//! What is done with connections that come back in no state for the next user.

use std::future::poll_fn;
use std::mem;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use evenkeel_pool::Lease;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::cancel::Cancel;
use crate::connection::{Condition, Stage, lock};
use crate::manager::Connector;

/// How long the server has to heed a request before the next one is sent: first, and in the end.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// Cleans connections on tasks of its own, which are aborted when it is dropped. What is not clean at the end of its
/// time, or of its task, is discarded by the pool, which counts it until then.
pub(crate) struct Cleaner {
    cancel: Cancel,
    pub(crate) limit: Duration,
    tasks: Mutex<Vec<AbortHandle>>,
}

impl Cleaner {
    pub(crate) fn new(cancel: Cancel, limit: Duration) -> Self {
        Self { cancel, limit, tasks: Mutex::default() }
    }

    /// Takes a connection back.
    pub(crate) fn take(&self, lease: Lease<Connector>, runtime: &Handle) {
        // The pool takes the clean, and drops the lost.
        if lease.is_clean() || lease.condition() == Condition::Lost {
            return;
        }
        let (limit, cancel) = (self.limit, Arc::clone(&self.cancel));
        // Not under the lock: a runtime that is gone drops it here and now.
        let task = runtime.spawn(clean(lease, cancel, limit));
        let mut tasks = lock(&self.tasks);
        let ended: Vec<_> = tasks.extract_if(.., |task| task.is_finished()).collect();
        tasks.push(task.abort_handle());
        drop(tasks);
        drop(ended);
    }
}

impl Drop for Cleaner {
    fn drop(&mut self) {
        let tasks = mem::take(self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner));
        tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Failures end in a connection that is not clean, which is all that can be done about them.
async fn clean(mut lease: Lease<Connector>, cancel: Cancel, limit: Duration) {
    if lease.condition() < Condition::Abandoned {
        let _ = timeout(limit, lease.reset()).await;
        return;
    }
    let (token, peer, stage) = (lease.cancel_token(), lease.origin.peer(), lease.stage);
    // A request to cancel may still be on its way at the end, and must not hit the next user: the connection ends here.
    let mut drained = pin!(async move {
        let _ = timeout(limit, lease.drain()).await;
        drop(lease);
    });
    // A commit is left to come to its end.
    if stage == Stage::Committing {
        return drained.await;
    }
    let requests = async {
        let (mut over, mut pause) = (false, FIRST_PAUSE);
        while !over {
            // Each request runs to its own end, also when there is nothing left to cancel: a pooler may still be passing
            // it on.
            let mut request = cancel(token.clone(), peer.clone());
            poll_fn(|cx| {
                over = over || drained.as_mut().poll(cx).is_ready();
                request.as_mut().poll(cx)
            })
            .await;
            // A request that overtakes the statement, on its other way, has no effect: one is not enough.
            over = over || timeout(pause, drained.as_mut()).await.is_ok();
            pause = (2 * pause).min(LAST_PAUSE);
        }
    };
    // The connection has its end at the limit.
    let _ = timeout(2 * limit, requests).await;
}
