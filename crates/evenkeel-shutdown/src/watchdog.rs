//! Ends the process when it does not end by itself.

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::oneshot::{Receiver, Sender};
use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::{sleep, timeout};

use crate::run::Run;
use crate::watchdog_thread::{Lent, aside, end, listener};
use crate::{Reason, registry, report};

/// From the abort of the tasks to the end of the process.
const MARGIN: Duration = Duration::from_secs(2);

/// From the end of the runtime to the end of the process, however short the grace period is.
const AT_LEAST: Duration = Duration::from_secs(1);

/// For the last words of the process.
const PATIENCE: Duration = Duration::from_millis(200);

/// Starts the watchdog of a run. It hears when the runtime of the run is gone by the end of the channel.
pub(crate) fn start(run: &Arc<Run>, gone: Receiver<()>) -> AbortHandle {
    let run = Lent::new(Arc::clone(run));
    let watchdog = async move {
        watch(&run, gone).await;
        let words = run.run().state().last_words();
        // In a thread of its own: what hangs may have locked stderr, and who should read it may read no more.
        let said = tokio::spawn(async { spawn_blocking(move || report::say(words)).await });
        drop(timeout(PATIENCE, said).await);
        end(match run.run().reason() {
            Some(Reason::Signal(number)) => 128 + number,
            _ => 1,
        });
    };
    listener().spawn(watchdog).abort_handle()
}

/// A task in the runtime of the run, which ends with that: from then on the process is to end.
pub(crate) fn sentinel(runtime: Sender<()>) -> AbortHandle {
    let sentinel = async move {
        let _runtime = runtime;
        pending::<()>().await;
    };
    tokio::spawn(sentinel).abort_handle()
}

/// Ends when the process has to end.
async fn watch(run: &Lent, gone: Receiver<()>) {
    let run = run.run();
    let mut asked = pin!(async {
        run.must_abort().await;
        if !run.has_ended_by_itself() {
            aside(Arc::clone(run), |run| run.abort("the grace period is over"));
            loop {
                // One that has not begun holds nothing up while another goes on, which has a watchdog of its own.
                let waits = !run.state().has_begun && registry::another_runs(run);
                sleep(MARGIN).await;
                if !waits {
                    break;
                }
            }
        }
        // It may have ended since, by the abort of a clean-up. The time counts from the end of the runtime then.
        if run.has_ended_by_itself() {
            pending::<()>().await;
        }
    });
    let mut left = pin!(async {
        let _ = gone.await;
        // A short grace period is about the tasks: main has yet to return.
        sleep(run.plan().grace.max(AT_LEAST)).await;
        if !run.has_ended_by_itself() {
            pending::<()>().await;
        }
    });
    poll_fn(|cx| match asked.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => left.as_mut().poll(cx),
    })
    .await;
}
