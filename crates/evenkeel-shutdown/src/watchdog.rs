//! Ends the process when it does not end by itself.
//!
//! # How it works
//!
//! A watchdog is a task on the [watchdog thread](crate::watchdog_thread), one for each run. It waits for the earlier
//! of two instants, and then prints the final report and ends the process:
//!
//! 1. the abort of the run, or the end of its grace period, and 2 seconds after that; not if the run has ended by
//!    itself meanwhile;
//! 2. if the run has ended by itself: the end of its runtime, and the grace period (at least a second) after that.
//!
//! The end of the runtime shows by the drop of a channel's sender, which a task in the runtime holds that never ends:
//! a runtime drops its tasks before it waits for blocking calls. If all its worker threads are blocked, the drop
//! does not come, and only a signal ends the process.
//!
//! A watchdog outlives its run, so that `main` has a deadline after it; the registry disarms it.

use std::{
    future::{pending, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::{
    sync::oneshot::{Receiver, Sender},
    task::{AbortHandle, spawn_blocking},
    time::{sleep, timeout},
};

use crate::{
    Reason,
    exit::exit,
    report,
    run::Run,
    watchdog_thread::{RunRef, on_blocking_thread, runtime},
};

/// From the abort of the tasks to the end of the process.
const ABORT_MARGIN: Duration = Duration::from_secs(2);

/// From the end of the runtime to the end of the process, however short the grace period is.
const MIN_AFTER_RUNTIME: Duration = Duration::from_secs(1);

/// Limits the write of the final report.
const REPORT_TIMEOUT: Duration = Duration::from_millis(200);

/// Starts the watchdog of a run. The end of the channel tells it that the runtime of the run is gone.
pub(crate) fn start(
    run: &Arc<Run>,
    gone: Receiver<()>,
    is_another_running: fn(&Arc<Run>) -> bool,
) -> AbortHandle {
    let run = RunRef::new(Arc::clone(run));
    let watchdog = async move {
        exit_due(&run, gone, is_another_running).await;
        let text = run.run().state().final_report();
        #[cfg(feature = "inspect")]
        let dump = run.run().inspection.dump();
        let print = move || {
            report::print(text);
            // Behind the report: a look calls foreign code, which may block.
            #[cfg(feature = "inspect")]
            report::print_dump(&dump.unwrap_or_else(|| Arc::new(evenkeel_inspect::dump())));
        };
        // On a thread of its own, and for a limited time: a hanging task may hold the lock of stderr, or its reader
        // may have stopped reading.
        let printed = tokio::spawn(async { spawn_blocking(print).await });
        drop(timeout(REPORT_TIMEOUT, printed).await);
        exit(match run.run().reason() {
            Some(Reason::Signal(number)) => 128 + number,
            _ => 1,
        });
    };
    runtime().spawn(watchdog).abort_handle()
}

/// Spawns a task in the runtime of the run that holds the sender until that runtime ends.
pub(crate) fn sentinel(runtime: Sender<()>) -> AbortHandle {
    let sentinel = async move {
        let _runtime = runtime;
        pending::<()>().await;
    };
    tokio::spawn(sentinel).abort_handle()
}

/// Waits until the process has to end.
async fn exit_due(run: &RunRef, gone: Receiver<()>, is_another_running: fn(&Arc<Run>) -> bool) {
    let run = run.run();
    let mut after_abort = pin!(async {
        run.abort_due().await;
        if !run.has_ended_by_itself() {
            on_blocking_thread(Arc::clone(run), |run| run.abort("the grace period is over"));
            loop {
                // A run that has not begun does not end the process while another one runs: that has a watchdog, too.
                let waits = !run.state().has_begun && is_another_running(run);
                sleep(ABORT_MARGIN).await;
                if !waits {
                    break;
                }
            }
        }
        // It may have ended by itself during the margin, if the abort hit a clean-up; `after_runtime` counts then.
        if run.has_ended_by_itself() {
            pending::<()>().await;
        }
    });
    let mut after_runtime = pin!(async {
        let _ = gone.await;
        // A short grace period is meant for the tasks, and main has yet to return.
        sleep(run.deadlines().grace.max(MIN_AFTER_RUNTIME)).await;
        if !run.has_ended_by_itself() {
            pending::<()>().await;
        }
    });
    poll_fn(|cx| match after_abort.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => after_runtime.as_mut().poll(cx),
    })
    .await;
}
