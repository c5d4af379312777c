//! The parts of a program: tasks, clean-ups, and the phases of their order.

use std::{borrow::Cow, panic::Location, time::Duration};

use evenkeel_task::{BoxError, IntoResult, Stop};

use super::Shutdown;
use crate::{
    Kind,
    phase::Phase,
    state::Registration,
    work::{self, Start},
};

impl Shutdown {
    /// Adds a task. [`run`](Self::run) calls `task` and spawns its future.
    ///
    /// The output is `()` or a `Result` with any error, see [`IntoResult`]; for a body with `?` and `Ok(())` there is
    /// [`try_task`](Self::try_task), which fixes the error. The [`Stop`] belongs to this task: it drains when the
    /// phase of the task is stopped, is aborted when its time is over or when the run ends, and may be passed on
    /// to subtasks. A task that [drains](Stop::drain) its own `Stop` ends the program.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use evenkeel_shutdown::{Reason, Shutdown, Stop};
    /// use std::io;
    ///
    /// async fn import(_stop: Stop) -> io::Result<()> {
    ///     Err(io::ErrorKind::NotFound.into())
    /// }
    ///
    /// let (shutdown, _) = Shutdown::manual();
    /// let report = shutdown
    ///     .task("server", async |stop| stop.draining().await)
    ///     .task("import", import)
    ///     .run()
    ///     .await;
    /// assert_eq!(report.reason, Reason::Failed("import".into()));
    /// assert_eq!(report.exit_code(), 1);
    /// # }
    /// ```
    #[track_caller]
    pub fn task<F, Fut>(self, name: impl Into<Cow<'static, str>>, task: F) -> Self
    where
        F: FnOnce(Stop) -> Fut + Send + 'static,
        Fut: Future<Output: IntoResult> + Send + 'static,
    {
        self.add(Kind::Task, name.into(), Location::caller(), task, work::task)
    }

    /// Adds a task, like [`task`](Self::task), whose error is a [`BoxError`]: `?` takes any error, and `Ok(())` needs no
    /// annotation.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use evenkeel_shutdown::{Reason, Shutdown};
    ///
    /// let (shutdown, _) = Shutdown::manual();
    /// let report = shutdown
    ///     .try_task("import", async |_stop| {
    ///         let port: u16 = "http".parse()?;
    ///         println!("importing from {port}");
    ///         Ok(())
    ///     })
    ///     .run()
    ///     .await;
    /// assert_eq!(report.reason, Reason::Failed("import".into()));
    /// # }
    /// ```
    #[track_caller]
    pub fn try_task<F, Fut, T>(self, name: impl Into<Cow<'static, str>>, task: F) -> Self
    where
        F: FnOnce(Stop) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, BoxError>> + Send + 'static,
    {
        self.task(name, task)
    }

    /// Makes the last task vital: its end stops the program, also an end without an error.
    ///
    /// # Panics
    ///
    /// If the last addition was not a task.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use evenkeel_shutdown::{Reason, Shutdown};
    /// let (shutdown, _) = Shutdown::manual();
    /// let report = shutdown
    ///     .task("http", async |_stop| println!("the socket was closed"))
    ///     .vital()
    ///     .task("cache", async |stop| stop.draining().await)
    ///     .run()
    ///     .await;
    /// assert_eq!(report.reason, Reason::VitalTaskEnded("http".into()));
    /// # }
    /// ```
    #[track_caller]
    pub fn vital(self) -> Self {
        let last = self.with(|state| {
            let last = state.tasks.last_mut().filter(|last| last.registration.kind == Kind::Task);
            last.map(|last| last.vital = true)
        });
        assert!(last.is_some(), "`vital` follows the task that it is about");
        self
    }

    /// Adds a clean-up, which runs when the tasks of its phase have ended and their guards are dropped. Without
    /// [phases](Self::phase) that means all tasks.
    ///
    /// It runs for every reason to stop, concurrently with the other clean-ups of its phase, but not after the second
    /// signal. A tenth of the grace period is kept for it, even if a task hangs; see [`reserve`](Self::reserve).
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use evenkeel_shutdown::Shutdown;
    /// use std::future::pending;
    /// use std::time::Duration;
    ///
    /// let (shutdown, stop) = Shutdown::manual();
    /// let shutdown = shutdown
    ///     .task("deaf", async |_stop| pending::<()>().await)
    ///     .on_stop("pool", async || println!("closed"));
    /// stop.drain("deploy");
    /// let report = shutdown.run().await;
    /// assert_eq!(report.tasks[0].after, Duration::from_secs(9));
    /// assert_eq!(report.hung().count(), 1);
    /// # }
    /// ```
    #[track_caller]
    pub fn on_stop<F, Fut>(self, name: impl Into<Cow<'static, str>>, clean_up: F) -> Self
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output: IntoResult> + Send + 'static,
    {
        self.add(Kind::CleanUp, name.into(), Location::caller(), clean_up, work::clean_up)
    }

    /// Adds a clean-up, like [`on_stop`](Self::on_stop), whose error is a [`BoxError`]: `?` takes any error, and `Ok(())`
    /// needs no annotation.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use evenkeel_shutdown::Shutdown;
    /// let (shutdown, _) = Shutdown::manual();
    /// let report = shutdown
    ///     .task("job", async |_stop| {})
    ///     .try_on_stop("socket", async || {
    ///         std::fs::remove_file("/run/not-there/job.sock")?;
    ///         Ok(())
    ///     })
    ///     .run()
    ///     .await;
    /// assert_eq!(report.exit_code(), 1);
    /// # }
    /// ```
    #[track_caller]
    pub fn try_on_stop<F, Fut, T>(self, name: impl Into<Cow<'static, str>>, clean_up: F) -> Self
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, BoxError>> + Send + 'static,
    {
        self.on_stop(name, clean_up)
    }

    /// Begins a phase: tasks that are added after this stop when everything that was added before has stopped.
    ///
    /// The order of the calls is the order of the stop. All tasks start at once.
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
    /// let (shutdown, stop) = Shutdown::manual();
    /// let shutdown = shutdown
    ///     .phase("accept")
    ///     .task("http", async |stop| {
    ///         stop.draining().await;
    ///         sleep(Duration::from_secs(2)).await;
    ///     })
    ///     .phase("work")
    ///     .task("jobs", async |stop| stop.draining().await)
    ///     .phase("close")
    ///     .on_stop("pool", async || println!("closed"));
    /// stop.drain("deploy");
    /// let report = shutdown.run().await;
    /// assert_eq!(report.tasks[1].after, Duration::from_secs(2)); // asked when http had ended
    /// assert_eq!(report.tasks[1].phase.as_deref(), Some("work"));
    /// # }
    /// ```
    pub fn phase(self, name: impl Into<Cow<'static, str>>) -> Self {
        let name = Some(name.into());
        self.with(|state| match &mut state.phases[..] {
            // Nothing was added before the first phase, so that one gets the name.
            [first] if first.name.is_none() && first.tasks + first.clean_ups == 0 && !first.has_handle => {
                first.name = name;
            }
            _ => state.phases.push(Phase { name, ..Phase::default() }),
        });
        self
    }

    /// Sets the time that is kept for the tasks of the last phase, and again for its clean-ups, however long the
    /// phases before it take. It is a tenth of the grace period unless set.
    ///
    /// A phase that overruns is aborted when the rest of the grace period is reserved for later phases. Time that
    /// a phase does not need is left to them.
    ///
    /// # Panics
    ///
    /// If it is zero. [`run`](Self::run) panics if all reserves do not fit into the grace period.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use evenkeel_shutdown::Shutdown;
    /// use std::future::pending;
    /// use std::time::Duration;
    ///
    /// let (shutdown, stop) = Shutdown::manual();
    /// let shutdown = shutdown
    ///     .grace(Duration::from_secs(20))
    ///     .task("deaf", async |_stop| pending::<()>().await)
    ///     .phase("close")
    ///     .reserve(Duration::from_secs(5))
    ///     .on_stop("pool", async || println!("closed"));
    /// stop.drain("deploy");
    /// assert_eq!(shutdown.run().await.tasks[0].after, Duration::from_secs(15));
    /// # }
    /// ```
    #[track_caller]
    pub fn reserve(self, time: Duration) -> Self {
        assert!(!time.is_zero(), "the reserve of a phase must not be 0");
        self.with(|state| {
            if let Some(phase) = state.phases.last_mut() {
                phase.reserve = Some(time);
            }
        });
        self
    }

    fn add<F>(
        self,
        kind: Kind,
        name: Cow<'static, str>,
        place: &'static Location<'static>,
        work: F,
        start: fn(F) -> Start,
    ) -> Self {
        let phase = self.with(|state| state.phases.len() - 1);
        let added = self.run.0.add(Registration { kind, name, place, phase }, work, start);
        assert!(added.is_ok(), "nothing is over before it has begun");
        self
    }
}
