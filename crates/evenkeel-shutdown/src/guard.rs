//! Work in flight that is not a task of the run.

use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use crate::run::Run;
use crate::state::Given;

/// Keeps the stop of its phase waiting until it is dropped, see [`Handle::guard`](crate::Handle::guard).
///
/// It does not keep the program up, and it does not outlast the grace period: a guard that is still held then
/// is in the [report](crate::Report::hung), with its name, place and age.
///
/// # Why not just use `TaskTracker`?
///
/// Its tokens count, too, and know neither a name nor a place, so that a drain that hangs says nothing; and
/// nobody closes it, waits and gives up within the phases of the program.
///
/// # Examples
///
/// A connection that is upgraded leaves its server's care; the guard goes along with it:
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

/// A guard that is held.
pub(crate) struct Held {
    pub(crate) given: Given,
    pub(crate) since: Instant,
}

impl Guard {
    pub(crate) fn new(run: &Arc<Run>, given: Given) -> Self {
        Self { key: run.hold(Held { given, since: Instant::now() }), run: Arc::clone(run) }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.run.release(self.key);
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}
