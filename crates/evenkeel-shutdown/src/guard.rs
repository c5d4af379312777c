//! Guards for work in flight that is not a task of the run.

use std::{fmt, sync::Arc};

#[cfg(feature = "inspect")]
use evenkeel_inspect::TaskId;
use tokio::time::Instant;

use crate::{
    run::Run,
    state::{HeldGuard, Registration},
};

/// Makes the stop of its phase wait until it is dropped, see [`Handle::guard`](crate::Handle::guard).
///
/// It neither keeps the program running nor extends the grace period: a guard that is still held at its end
/// is in the [report](crate::Report::hung), with its name, place and age.
///
/// # Why not just use `TaskTracker`?
///
/// Its tokens are counted, too, but have neither a name nor a place, so a drain that hangs says nothing. Nor does
/// anything close the tracker, wait for it and give up within the phases of the program.
///
/// # Examples
///
/// A server does not wait for a connection that was upgraded; a guard that the connection holds does it:
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_shutdown::Shutdown;
/// use std::time::Duration;
/// use tokio::time::{Instant, sleep};
///
/// let (shutdown, stop) = Shutdown::manual();
/// let handle = shutdown.handle();
/// let shutdown = shutdown.task("http", async move |stop| {
///     let guard = handle.guard("websocket");
///     let ending = stop.draining();
///     tokio::spawn(async move {
///         ending.await; // says good bye to the client
///         sleep(Duration::from_secs(2)).await;
///         drop(guard);
///     });
///     stop.draining().await;
/// });
/// stop.drain("deploy");
/// let start = Instant::now();
/// let report = shutdown.run().await;
/// assert_eq!(start.elapsed(), Duration::from_secs(2));
/// assert_eq!(report.exit_code(), 0);
/// # }
/// ```
#[must_use = "dropping it says that the work is done"]
pub struct Guard {
    run: Arc<Run>,
    key: usize,
}

impl Guard {
    pub(crate) fn new(run: &Arc<Run>, registration: Registration) -> Self {
        let key = run.add_guard(HeldGuard {
            registration,
            since: Instant::now(),
            #[cfg(feature = "inspect")]
            number: 0,
            #[cfg(feature = "inspect")]
            task: TaskId::current(),
        });
        Self { run: Arc::clone(run), key }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.run.remove_guard(self.key);
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}
