//! The handle: access to a run while it goes on.

use std::{borrow::Cow, fmt, future::pending, panic::Location, sync::Arc, time::Duration};

use evenkeel_task::{IntoResult, Rejected, Stop};
use tokio::{sync::watch, time::Instant};

#[cfg(doc)]
use crate::Outcome;
use crate::{
    Kind, TaskReport,
    guard::Guard,
    registry,
    run::{Run, WaitEnd},
    state::{Registration, State},
    work,
};

/// Access to a run while it goes on: readiness, guards for work in flight, and adding or stopping tasks.
///
/// It is cheap to clone and belongs to one phase: the last one at the call of [`Shutdown::handle`]. A program without
/// phases has one.
///
/// [`Shutdown::handle`]: crate::Shutdown::handle
///
/// # Examples
///
/// A start-up that may be interrupted, and then closes only the parts that have been opened:
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_shutdown::Shutdown;
/// use std::time::Duration;
/// use tokio::time::sleep;
///
/// let (shutdown, stop) = Shutdown::manual();
/// let handle = shutdown.handle();
/// let shutdown = shutdown.task("start", async move |stop| {
///     for name in ["database", "queue"] {
///         tokio::select! {
///             () = sleep(Duration::from_secs(2)) => {} // connects
///             () = stop.draining() => return,
///         }
///         let _ = handle.on_stop(name, async move || println!("{name} is closed"));
///     }
///     let _ = handle.spawn("http", async |stop| stop.draining().await);
/// });
/// let (report, ()) = tokio::join!(shutdown.run(), async {
///     sleep(Duration::from_secs(3)).await;
///     stop.drain("changed my mind");
/// });
/// assert!(report.tasks.iter().map(|task| &task.name).eq(["start", "database"]));
/// # }
/// ```
#[derive(Clone)]
pub struct Handle {
    pub(crate) run: Arc<Run>,
    pub(crate) phase: usize,
}

impl Handle {
    fn registration(
        &self,
        kind: Kind,
        name: impl Into<Cow<'static, str>>,
        place: &'static Location<'static>,
    ) -> Registration {
        Registration { kind, name: name.into(), place, phase: self.phase }
    }

    /// Returns the stop signal of the program: the first signal drains it, the second aborts it.
    ///
    /// The [`Stop`] of a task is another one: it drains later, after the pre-stop delay and the phases before.
    #[must_use]
    pub fn stop(&self) -> &Stop {
        &self.run.stop
    }

    /// Has the effect that this signal has on the run when it comes to the process: drain, abort, or end the process.
    ///
    /// It is for requests that do not arrive as signals, such as those of the service manager of Windows, and for
    /// tests. A [manual](crate::Shutdown::manual) run has no process to end, so a third signal has no effect
    /// there. The [window](crate::Shutdown::signal_window) applies as well. The numbers need not be among the
    /// [signals](crate::Shutdown::signals) of the run. After the run it has no effect. With `dump_on_sigusr1`, SIGUSR1 makes a
    /// dump here, too.
    ///
    /// # Examples
    ///
    /// Ctrl-C twice, in a test:
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use evenkeel_shutdown::{Reason, Shutdown};
    /// use std::future::pending;
    /// use std::time::Duration;
    /// use tokio::time::sleep;
    ///
    /// let (shutdown, _) = Shutdown::manual();
    /// let handle = shutdown.handle();
    /// let shutdown = shutdown.task("deaf", async |_stop| pending::<()>().await);
    /// let (report, ()) = tokio::join!(shutdown.run(), async {
    ///     handle.signal(2);
    ///     sleep(Duration::from_millis(300)).await;
    ///     handle.signal(2);
    /// });
    /// assert_eq!(report.reason, Reason::Signal(2));
    /// assert_eq!(report.hung().next().unwrap().after, Duration::from_millis(300));
    /// # }
    /// ```
    pub fn signal(&self, number: i32) {
        let (ends_process, is_over) = {
            let state = self.run.state();
            (state.ends_process, state.is_over)
        };
        if is_over {
            return;
        }
        if ends_process {
            return registry::on_program_signal(&self.run, number);
        }
        let (effect, _) = self.run.record_signal(number, Instant::now());
        self.run.apply_signal(number, effect);
    }

    /// Tells whether the program should get new work: true from the start of the run until it is asked to stop.
    ///
    /// It becomes false before the [pre-stop delay](crate::Shutdown::pre_stop), in which the program still serves
    /// requests. Answer the readiness probe with it.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use evenkeel_shutdown::Shutdown;
    /// let (shutdown, stop) = Shutdown::manual();
    /// let mut ready = shutdown.handle().readiness();
    /// let shutdown = shutdown.task("http", async |stop| stop.draining().await);
    /// assert!(!*ready.borrow());
    /// tokio::join!(shutdown.run(), async {
    ///     ready.wait_for(|ready| *ready).await.unwrap();
    ///     stop.drain("deploy");
    ///     ready.wait_for(|ready| !*ready).await.unwrap();
    /// });
    /// # }
    /// ```
    #[must_use]
    pub fn readiness(&self) -> watch::Receiver<bool> {
        self.run.state().readiness()
    }

    /// Takes a guard: the drain of the phase lasts until the guard is dropped, or its time is over. A guard that is
    /// taken after the drain is not waited for.
    ///
    /// It is for work that no task of the run waits for: an upgraded connection, a request that was handed on.
    ///
    /// # Examples
    ///
    /// See [`Guard`].
    #[track_caller]
    pub fn guard(&self, name: impl Into<Cow<'static, str>>) -> Guard {
        Guard::new(&self.run, self.registration(Kind::Guard, name, Location::caller()))
    }

    /// Returns the number of guards that are held, in all phases.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.run.state().phases.iter().map(|phase| phase.guards).sum()
    }

    /// Lists everything that is alive, in all phases: tasks and clean-ups that [run](Outcome::Running), and guards
    /// that are [held](Outcome::Held), each with its age.
    ///
    /// It takes time in proportion to their number, and holds the lock of the run for that time.
    ///
    /// # Examples
    ///
    /// Printing the tasks that delay a stop:
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use evenkeel_shutdown::Shutdown;
    /// use std::time::Duration;
    /// use tokio::time::sleep;
    ///
    /// let (shutdown, stop) = Shutdown::manual();
    /// let handle = shutdown.handle();
    /// let shutdown = shutdown
    ///     .task("quick", async |stop| stop.draining().await)
    ///     .task("slow", async |_stop| sleep(Duration::from_secs(8)).await);
    /// let watch = async {
    ///     stop.drain("deploy");
    ///     sleep(Duration::from_secs(5)).await;
    ///     for task in handle.live() {
    ///         println!("{task}"); // task 'slow' (src/main.rs:12:10) is still running after 5s
    ///     }
    /// #   assert_eq!(handle.live().len(), 1);
    /// };
    /// tokio::join!(shutdown.run(), watch);
    /// # }
    /// ```
    #[must_use]
    pub fn live(&self) -> Vec<TaskReport> {
        self.run.state().live()
    }

    /// Adds a task to the run, like [`Shutdown::task`](crate::Shutdown::task). A closure with a `?` names its error:
    /// `async |stop| -> Result<(), BoxError> { … }`.
    ///
    /// During the drain of its phase the task starts with a [`Stop`] that is draining, and gets no extra time. Use it
    /// for the parts of a program, as each one is in the report. For work in large numbers use a
    /// [`group`](evenkeel_task::group()) in a task, or guards.
    ///
    /// # Errors
    ///
    /// [`Rejected`] returns `task` when the drain of its phase is over.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, when the run has begun.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use evenkeel_shutdown::Shutdown;
    /// let (shutdown, _) = Shutdown::manual();
    /// let handle = shutdown.handle();
    /// let shutdown = shutdown.task("leader", async move |_stop| {
    ///     handle.spawn("follower", async |_stop| {}).unwrap();
    /// });
    /// assert_eq!(shutdown.run().await.tasks.len(), 2);
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn<F, Fut>(&self, name: impl Into<Cow<'static, str>>, task: F) -> Result<(), Rejected<F>>
    where
        F: FnOnce(Stop) -> Fut + Send + 'static,
        Fut: Future<Output: IntoResult> + Send + 'static,
    {
        self.run.add(self.registration(Kind::Task, name, Location::caller()), task, work::task)
    }

    /// Adds a clean-up to the run, like [`Shutdown::on_stop`](crate::Shutdown::on_stop). A closure with a `?` names its error.
    ///
    /// While the clean-ups of its phase are running it starts at once, and has the rest of their time. If the
    /// phase had no clean-ups when the run began, its [reserve](crate::Shutdown::reserve) is taken from the phases
    /// before and the tasks of this one.
    ///
    /// # Errors
    ///
    /// [`Rejected`] returns `clean_up` when its phase is over: then the caller has to run it.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, when the clean-ups of its phase are running.
    ///
    /// # Examples
    ///
    /// See [`Handle`].
    #[track_caller]
    pub fn on_stop<F, Fut>(&self, name: impl Into<Cow<'static, str>>, clean_up: F) -> Result<(), Rejected<F>>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output: IntoResult> + Send + 'static,
    {
        self.run.add(self.registration(Kind::CleanUp, name, Location::caller()), clean_up, work::clean_up)
    }

    /// Stops only the tasks of this name, and waits until they have ended: asks them to drain, and aborts them
    /// after the grace. Returns false if it had to abort one.
    ///
    /// The program goes on, also when such a task is vital, unless it fails.
    ///
    /// # Cancel safety
    ///
    /// When it is dropped, the tasks have been asked to drain, and are not aborted before the program stops.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use evenkeel_shutdown::Shutdown;
    /// use std::time::Duration;
    /// use tokio::time::sleep;
    ///
    /// let (shutdown, _) = Shutdown::manual();
    /// let handle = shutdown.handle();
    /// let shutdown = shutdown
    ///     .task("import", async |stop| stop.draining().await)
    ///     .task("admin", async move |_stop| {
    ///         sleep(Duration::from_secs(60)).await;
    ///         assert!(handle.stop_task("import", Duration::from_secs(5)).await);
    ///         sleep(Duration::from_secs(60)).await;
    ///     });
    /// let report = shutdown.run().await;
    /// assert!(report.tasks.iter().map(|task| task.after.as_secs()).eq([60, 120]));
    /// # }
    /// ```
    pub async fn stop_task(&self, name: &str, grace: Duration) -> bool {
        let since = Instant::now();
        let tasks = self.run.drain_tasks(|task| task.registration.name == name);
        let ended = |state: &mut State| {
            tasks.iter().all(|index| state.tasks.get(*index).is_none_or(|task| task.ended.is_some()))
        };
        let left = |_: &State| Some(grace.saturating_sub(since.elapsed()));
        if self.run.wait(pending(), left, ended).await == WaitEnd::Done {
            return true;
        }
        // By index: tasks of this name that were added since are not concerned.
        self.run.abort_tasks(|index, _| tasks.contains(&index));
        self.run.wait(pending(), |_| None, ended).await;
        false
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("stop", self.stop()).finish_non_exhaustive()
    }
}
