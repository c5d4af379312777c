//! Tasks that are started again when they fail.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::registry::Key;
use super::shared::Members;
use crate::{BoxError, IntoResult, catch_panic};

/// When a task that failed is started again, and when it is given up.
///
/// After each failure in a row it waits for the next of its delays; when there are no more of them, the
/// failure is the group's. So it is when there were too many restarts in a short time: 5 in 60 s, unless
/// [`intensity`](Self::intensity) says otherwise. A run that lasted for that time is a success: the
/// delays begin anew after it.
///
/// # Why not just use a retry policy?
///
/// It is for an operation that is to succeed once. A service runs for days and may fail again tomorrow: what
/// counts is how often it fails in a minute.
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
    most: usize,
    within: Duration,
}

impl<D: IntoIterator<Item = Duration> + Clone> Restart<D> {
    /// Waits for these delays, one after each failure in a row.
    pub const fn new(delays: D) -> Self {
        Self { delays, most: 5, within: Duration::from_secs(60) }
    }

    /// At most so many restarts within any such time.
    ///
    /// # Panics
    ///
    /// If one of them is zero.
    #[track_caller]
    pub fn intensity(self, restarts: usize, within: Duration) -> Self {
        assert!(restarts > 0, "the number of restarts must not be 0");
        assert!(!within.is_zero(), "the time of the restarts must not be 0");
        Self { delays: self.delays, most: restarts, within }
    }

    /// Runs the work until it ends well or is given up.
    pub(super) async fn keep<F, Fut>(self, work: F, members: Arc<Members>, key: Key) -> Result<(), BoxError>
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
            if started.elapsed() >= self.within {
                delays = self.delays.clone().into_iter();
            }
            let Some(delay) = delays.next() else { return Err(error) };
            // Those that are long ago by the time of the next one.
            let old = |at: &Instant| at.elapsed().saturating_add(delay) >= self.within;
            while recent.front().is_some_and(old) {
                recent.pop_front();
            }
            if recent.len() == self.most {
                return Err(error);
            }
            // A group that stops starts nothing again.
            if timeout(delay, members.stop.draining()).await.is_ok() {
                return Err(error);
            }
            recent.push_back(Instant::now());
            members.restarted(key);
        }
    }
}
