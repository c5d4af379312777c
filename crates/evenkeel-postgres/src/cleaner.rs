//! What is done with connections that come back in no state for the next user.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use evenkeel_pool::Lease;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::{CancelToken, NoTls};

use crate::connection::{Condition, Stage, lock};
use crate::connector::Connector;

/// Asks the server to cancel what a connection is busy with.
pub(crate) type Cancel = Arc<dyn Fn(CancelToken) -> Cancelling + Send + Sync>;

type Cancelling = Pin<Box<dyn Future<Output = Result<(), tokio_postgres::Error>> + Send>>;

/// How long the server has to heed a request before the next one is sent: first, and in the end.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_secs(1);

pub(crate) fn cancel_without_tls() -> Cancel {
    Arc::new(|token| Box::pin(async move { token.cancel_query(NoTls).await }))
}

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
        let task = runtime.spawn(async move { drop(timeout(limit, clean(lease, cancel)).await) });
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
async fn clean(mut lease: Lease<Connector>, cancel: Cancel) {
    if lease.condition() < Condition::Abandoned {
        let _ = lease.reset().await;
        return;
    }
    // A request to cancel may still be on its way then, and must not hit the next user: the connection ends here.
    let mut drained = pin!(lease.drain());
    let mut cancelling = pin!(async {
        // A commit is left to come to its end.
        if lease.stage == Stage::Committing {
            pending().await
        } else {
            keep_cancelling(lease.cancel_token(), &cancel).await
        }
    });
    let _ = poll_fn(|cx| {
        let _: Poll<Infallible> = cancelling.as_mut().poll(cx);
        drained.as_mut().poll(cx)
    })
    .await;
}

/// A request that overtakes the statement, on its other way, has no effect: one is not enough.
async fn keep_cancelling(token: CancelToken, cancel: &Cancel) -> Infallible {
    let mut pause = FIRST_PAUSE;
    loop {
        let _ = cancel(token.clone()).await;
        sleep(pause).await;
        pause = (2 * pause).min(LAST_PAUSE);
    }
}
