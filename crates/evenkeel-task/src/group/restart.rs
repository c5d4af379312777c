//! Tasks that are started again when they fail.

#[cfg(feature = "inspect")]
use std::panic::Location;
use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};

use super::{registry::TaskKey, shared::Shared};
#[cfg(feature = "inspect")]
use crate::awaited::Awaited;
use crate::{BoxError, IntoResult, catch_panic};

/// A rule for tasks that fail: when they are started again, and when they are given up.
///
/// After each failure in a row the task waits for the next of the delays. It is given up, and its failure is the
/// group's, when there are no more delays, or when there were too many restarts in a short time: 5 in 60 s, unless
/// [`intensity`](Self::intensity) says otherwise. A run that lasted for that time is a success: the first delay is the
/// next one after it.
///
/// # Why not just use a retry policy?
///
/// A policy is for an operation that is to succeed once. A service runs for days and may fail again tomorrow: it is
/// judged by how often it fails in a minute.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_task::{Restart, group};
/// use std::time::Duration;
///
/// async fn poll() -> Result<(), std::io::Error> {
///     Err(std::io::ErrorKind::ConnectionReset.into())
/// }
///
/// let error = group(async |g| {
///     let delays = [100, 200, 400].map(Duration::from_millis);
///     g.task("poller").supervise(Restart::new(delays), poll);
///     Ok(())
/// })
/// .await
/// .unwrap_err();
/// assert_eq!((error.first().restarts, error.first().after), (3, Duration::from_millis(700)));
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "it does nothing until a task is supervised by it"]
pub struct Restart<D> {
    delays: D,
    max_restarts: usize,
    period: Duration,
}

impl<D: IntoIterator<Item = Duration> + Clone> Restart<D> {
    /// Returns a rule with these delays, one after each failure in a row.
    pub const fn new(delays: D) -> Self {
        Self { delays, max_restarts: 5, period: Duration::from_secs(60) }
    }

    /// Sets the maximum number of restarts within any period of this length.
    ///
    /// # Panics
    ///
    /// If one of them is zero.
    #[track_caller]
    pub fn intensity(self, restarts: usize, within: Duration) -> Self {
        assert!(restarts > 0, "the number of restarts must not be 0");
        assert!(!within.is_zero(), "the time of the restarts must not be 0");
        Self { delays: self.delays, max_restarts: restarts, period: within }
    }

    /// Runs the work until it ends well or is given up.
    pub(super) async fn supervise<F, Fut>(
        self,
        work: F,
        group: Arc<Shared>,
        key: TaskKey,
        #[cfg(feature = "inspect")] place: &'static Location<'static>,
    ) -> Result<(), BoxError>
    where
        F: FnOnce() -> Fut + Clone,
        Fut: Future<Output: IntoResult>,
    {
        let mut delays = self.delays.clone().into_iter();
        let mut recent = VecDeque::new();
        loop {
            let started = Instant::now();
            let work = work.clone();
            let error = match catch_panic(async { work().await.into_result() }).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error,
                Err(panic) => panic.into(),
            };
            if started.elapsed() >= self.period {
                delays = self.delays.clone().into_iter();
            }
            let Some(delay) = delays.next() else { return Err(error) };
            // Restarts that will be out of the period at the next one.
            let is_old = |at: &Instant| at.elapsed().saturating_add(delay) >= self.period;
            while recent.front().is_some_and(is_old) {
                recent.pop_front();
            }
            if recent.len() == self.max_restarts {
                return Err(error);
            }
            #[cfg(feature = "inspect")]
            let _wait = {
                let wait = Awaited::new("restart", None, place, None);
                wait.begin_until(Instant::now().checked_add(delay), Some("its next start"));
                wait
            };
            // A group that stops starts nothing again.
            if timeout(delay, group.stop.draining()).await.is_ok() {
                return Err(error);
            }
            recent.push_back(Instant::now());
            group.registry.count_restart(key);
        }
    }
}
