//! What a program holds of its run while it goes on.

use std::{borrow::Cow, fmt, future::pending, panic::Location, sync::Arc, time::Duration};

use evenkeel_task::{Closed, IntoResult, Stop};
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

/// A run from inside: readiness, guards for work in flight, and what is brought in or stopped while it goes on.
///
/// It is a cheap handle of one phase: the one that was begun last when [`Shutdown::handle`] was called. Who
/// does not use phases has one.
///
/// [`Shutdown::handle`]: crate::Shutdown::handle
///
/// # Examples
///
/// A start-up that may be interrupted: what has been opened is closed, what has not is not.
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

    /// The stop signal of the program: a drain is what the first signal does, an abort what the second does.
    ///
    /// The one that a task gets is the task's own: it comes when the turn is the task's, after the pre-stop
    /// delay and the phases before.
    #[must_use]
    pub fn stop(&self) -> &Stop {
        &self.run.stop
    }

    /// Does to this run what this signal does when it comes to the process: drain, abort, and end the process.
    ///
    /// It is for what comes by other ways than the system's, such as a service manager of Windows, and for tests: a
    /// [manual](crate::Shutdown::manual) run has no process to end, and the third does nothing there. The
    /// [window](crate::Shutdown::signal_window) holds for it as well. The numbers need not be among the
    /// [signals](crate::Shutdown::signals) of the run. After the run it does nothing.
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

    /// Whether the program should get new work: true from the begin of the run until it is asked to stop.
    ///
    /// It becomes false before the [pre-stop delay](crate::Shutdown::pre_stop), in which the program still
    /// takes what comes. Answer the readiness probe with it.
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

    /// Takes a guard: the phase does not end its drain before it is dropped, or the time is over. Nobody waits
    /// for one that is taken after that.
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

    /// How many guards are held, in all phases.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.run.state().phases.iter().map(|phase| phase.guards).sum()
    }

    /// Who is there, in all phases: tasks and clean-ups that [run](Outcome::Running), guards that are
    /// [held](Outcome::Held), each with its age.
    ///
    /// It takes time in proportion to their number, and the lock of the run.
    ///
    /// # Examples
    ///
    /// Whom do we wait for?
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

    /// Adds a task to the run, like [`Shutdown::task`](crate::Shutdown::task).
    ///
    /// During the drain of its phase it begins with a [`Stop`] that is draining, and no time of its own. It is
    /// for the parts of a program, each of which is in the report; for what comes by the thousand a task
    /// has a [`group`](evenkeel_task::group()), or takes guards.
    ///
    /// # Errors
    ///
    /// [`Closed`] gives `task` back when the drain of its phase is over.
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
    pub fn spawn<F, Fut>(&self, name: impl Into<Cow<'static, str>>, task: F) -> Result<(), Closed<F>>
    where
        F: FnOnce(Stop) -> Fut + Send + 'static,
        Fut: Future<Output: IntoResult> + Send + 'static,
    {
        self.run.add(self.registration(Kind::Task, name, Location::caller()), task, work::task)
    }

    /// Adds a clean-up to the run, like [`Shutdown::on_stop`](crate::Shutdown::on_stop).
    ///
    /// When the clean-ups of its phase are running it begins at once, and has what is left of their time. If
    /// there were none when the run began, what is [reserved](crate::Shutdown::reserve) for it is taken from
    /// the phases before and the tasks of this one.
    ///
    /// # Errors
    ///
    /// [`Closed`] gives `clean_up` back when its phase is over: then it is for the caller to run.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, when the clean-ups of its phase are running.
    ///
    /// # Examples
    ///
    /// See [`Handle`].
    #[track_caller]
    pub fn on_stop<F, Fut>(&self, name: impl Into<Cow<'static, str>>, clean_up: F) -> Result<(), Closed<F>>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output: IntoResult> + Send + 'static,
    {
        self.run.add(self.registration(Kind::CleanUp, name, Location::caller()), clean_up, work::clean_up)
    }

    /// Stops the tasks of this name alone, and ends when they have ended: asks them to drain, and aborts them
    /// after the grace. False if it had to abort one.
    ///
    /// The program goes on, also when such a task is vital, unless it fails.
    ///
    /// # Cancel safety
    ///
    /// When it is dropped the tasks have been asked to drain, and nobody aborts them before the program stops.
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
