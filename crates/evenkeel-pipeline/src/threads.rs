//! Code of others that blocks its thread, and the tasks that tokio keeps for that thread.
//!
//! # How it works
//!
//! On a runtime with several threads, other threads take what waits for one that is blocked, but for two tasks: the one that was
//! woken last by a task of this thread, which is to run next, and each one that has called tokio's `yield_now`. So a task that
//! has woken another one returns from its poll before it goes on to code of others, and is taken by any thread then.

use std::{future::poll_fn, mem, task::Poll};

use tokio::{runtime::Handle, task::yield_now};

/// The most turns in which a task lets the others run: in each of them a worker ends eight short items at most.
const MOST_TURNS: u32 = 32;

/// Returns whether other threads may take tasks from one that is blocked.
pub(crate) fn has_threads() -> bool {
    Handle::try_current().is_ok_and(|runtime| runtime.metrics().num_workers() > 1)
}

/// Ends the poll, for the sake of a task that it has woken; any thread goes on with it.
pub(crate) async fn leave_thread() {
    let mut has_left = false;
    poll_fn(|cx| {
        if mem::replace(&mut has_left, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Lets the others run that are ready; on several threads as long as the number of what they leave for this task changes, since
/// a turn costs less than to come back for a few.
pub(crate) async fn let_others_run(has_threads: bool, left: impl Fn() -> usize) {
    if !has_threads {
        return yield_now().await;
    }
    let mut before = left();
    for _ in 0..MOST_TURNS {
        leave_thread().await;
        let now = left();
        if now == before {
            return;
        }
        before = now;
    }
}
