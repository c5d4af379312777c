//! Tasks that belong to a handle.

use std::{
    fmt,
    panic::Location,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use evenkeel_base::boxed_in_debug;
use tokio::{
    runtime::Handle,
    task::{JoinError, JoinHandle},
    time::timeout,
};
#[cfg(feature = "inspect")]
use {std::sync::Arc, tokio::time::Instant};

#[cfg(feature = "inspect")]
use crate::awaited::Awaited;
use crate::{Panic, Stop, catch_panic, group::child::spawn_detached, telemetry::in_current_span};

/// Spawns a task that belongs to a handle and gets a [`Stop`].
///
/// It is for a part of your type that works in the background, where there is no group around: a
/// refresher, a writer. The stop signal is the handle's own.
///
/// # Panics
///
/// Outside of a tokio runtime.
///
/// # Why not just use `tokio_util::task::AbortOnDropHandle`?
///
/// Use it where a task may be dropped at any await point. This one can be [stopped](Background::stop) in two
/// steps and waited for; and when the handle is dropped in a group, the group waits until the task has
/// ended and gets its panic.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_task::{Background, background};
/// use std::time::Duration;
/// use tokio::time::sleep;
///
/// struct Cache {
///     refresher: Background<u32>,
/// }
///
/// let refresher = background(async |stop| {
///     let mut rounds = 0;
///     while !stop.is_draining() {
///         sleep(Duration::from_secs(1)).await;
///         rounds += 1;
///     }
///     rounds
/// });
/// let cache = Cache { refresher };
/// sleep(Duration::from_millis(2500)).await;
/// let rounds = cache.refresher.stop(Duration::from_secs(5)).await;
/// assert_eq!(rounds.unwrap().unwrap(), 3);
/// # }
/// ```
#[track_caller]
pub fn background<F, Fut>(work: F) -> Background<Fut::Output>
where
    F: FnOnce(Stop) -> Fut,
    Fut: Future<Output: Send + 'static> + Send + 'static,
{
    background_named(None, work)
}

/// Does the same, with a name for the dumps of evenkeel-inspect: for the tasks of a library, whose places say nothing to a user.
#[doc(hidden)]
#[cfg_attr(not(feature = "inspect"), expect(unused_variables, reason = "there are no dumps"))]
#[track_caller]
pub fn background_named<F, Fut>(name: Option<&'static str>, work: F) -> Background<Fut::Output>
where
    F: FnOnce(Stop) -> Fut,
    Fut: Future<Output: Send + 'static> + Send + 'static,
{
    let stop = Stop::new();
    let work = boxed_in_debug(work(stop.clone()));
    let task = tokio::spawn(in_current_span(catch_panic(work)));
    let place = Location::caller();
    Background {
        #[cfg(feature = "inspect")]
        awaited: Awaited::new("background task", name, place, Some(task.abort_handle())),
        task: Some(task),
        stop,
        place,
    }
}

/// A task that belongs to this handle, see [`background`]; as a future it returns the task's output.
///
/// # Cancel safety
///
/// As long as the handle lives, dropping a future that awaits `&mut handle` changes nothing. Dropping the handle
/// aborts the task at its next await point.
///
/// # Panics
///
/// When polled after it returned the output.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_task::background;
///
/// assert_eq!(background(async |_stop| 7).await.unwrap(), 7);
/// # }
/// ```
#[must_use = "dropping it aborts the task"]
pub struct Background<T: Send + 'static> {
    task: Option<JoinHandle<Result<T, Panic>>>,
    stop: Stop,
    place: &'static Location<'static>,
    #[cfg(feature = "inspect")]
    awaited: Arc<Awaited>,
}

impl<T: Send + 'static> Background<T> {
    /// Asks the task to drain, and aborts it after the grace; returns its output, or `None` if it was aborted or the
    /// output was taken before.
    ///
    /// The task has ended and its destructors have run when it returns.
    ///
    /// # Errors
    ///
    /// The panic of the task, or one that says that its runtime was shut down before it ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the handle, which aborts the task.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use evenkeel_task::background;
    /// use std::time::Duration;
    ///
    /// let deaf = background(async |_stop| std::future::pending::<()>().await);
    /// assert!(deaf.stop(Duration::from_secs(1)).await.is_none());
    /// # }
    /// ```
    pub async fn stop(mut self, grace: Duration) -> Option<Result<T, Panic>> {
        self.stop.drain("the handle of the task was told to stop");
        let task = self.task.as_mut()?;
        #[cfg(feature = "inspect")]
        self.awaited.begin_until(Instant::now().checked_add(grace), Some("its end, asked to drain"));
        let output = match timeout(grace, &mut *task).await {
            Ok(output) => Some(flatten(output)),
            Err(_) => {
                self.stop.abort("the grace is over");
                #[cfg(feature = "inspect")]
                self.awaited.begin();
                let ended = task.is_finished();
                task.abort();
                match task.await {
                    Err(error) if error.is_cancelled() && !ended => None,
                    output => Some(flatten(output)),
                }
            }
        };
        self.task = None;
        output
    }

    /// Returns whether the task has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

/// Returns the panic of the task as an error, and also the shutdown of its runtime before it ended.
impl<T: Send + 'static> Future for Background<T> {
    type Output = Result<T, Panic>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let task = self.task.as_mut().expect("polled after it gave its result");
        let poll = Pin::new(task).poll(cx);
        #[cfg(feature = "inspect")]
        if poll.is_pending() {
            self.awaited.begin();
        }
        let output = ready!(poll);
        self.task = None;
        Poll::Ready(flatten(output))
    }
}

impl<T: Send + 'static> Drop for Background<T> {
    fn drop(&mut self) {
        let Some(task) = self.task.take() else { return };
        self.stop.abort("the handle of the task was dropped");
        let ended = task.is_finished();
        task.abort();
        if let Ok(runtime) = Handle::try_current() {
            // Also for a task that has ended: it may have panicked.
            spawn_detached("background", self.place, &runtime, async move {
                match task.await {
                    Err(error) if error.is_cancelled() && !ended => Ok(()),
                    output => flatten(output).map(drop),
                }
            });
        }
    }
}

/// Returns the output of a task that was not aborted. A `JoinError` is the panic of a destructor, or says that the runtime
/// dropped the task.
fn flatten<T>(output: Result<Result<T, Panic>, JoinError>) -> Result<T, Panic> {
    output.unwrap_or_else(|error| Err(Panic::try_from(error).unwrap_or_else(|_| Panic::runtime_shutdown())))
}

impl<T: Send + 'static> fmt::Debug for Background<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let finished = self.is_finished();
        f.debug_struct("Background")
            .field("finished", &finished)
            .field("stop", &self.stop)
            .finish_non_exhaustive()
    }
}
