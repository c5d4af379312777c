//! The program of tasks that stops in order: its settings, and `run`.

use std::{borrow::Cow, fmt, panic::Location, sync::Arc, time::Duration};

use evenkeel_task::{BoxError, Group, IntoResult, Stop};
use tokio::time::sleep;

#[cfg(feature = "inspect")]
use crate::report;
use crate::{
    Kind, Report,
    handle::Handle,
    phase::Phase,
    registry::{self, ProcessLink},
    run::{CloseOnDrop, Run},
    signals,
    state::{Registration, State},
    stop_phases::run_to_stop,
    systemd,
    work::{self, Start},
};

/// Runs the tasks of a program until they end, a signal comes or one fails, and then stops them in order.
///
/// - **The first SIGINT or SIGTERM** asks the tasks to drain: their [`Stop`] gets the soft stop. The second signal,
///   or the end of the [grace period](Self::grace), aborts them. The third ends the process with 128 + its
///   number.
/// - **One request may arrive as several signals**, because a runner passes on a signal that the terminal has sent to
///   the program already. Within 200 ms of a signal that counted, no other one counts: see
///   [`signal_window`](Self::signal_window).
/// - **Signals are handled from [`new`](Self::new) on**, outside of a runtime too. One that comes before
///   [`run`](Self::run) stops the start-up, if that waits for the [stop signal](Handle::stop), and `run` then drains
///   at once.
/// - **A task that fails or panics** asks the others to drain. A task that ends without an error does not,
///   unless it is [vital](Self::vital).
/// - **When all tasks have ended** the [clean-ups](Self::on_stop) run, and [`run`](Self::run) returns the
///   [`Report`]. A signal after that ends the process, with 128 + its number.
/// - **A watchdog thread** ends the process 2 seconds after the tasks were aborted, or would have been: a
///   runtime waits without limit for a blocking call, and no timer inside of it can help. Its final report names
///   everything that is left, and the tasks that keep their thread.
/// - **The watchdog stays armed after the run**. Once the program was asked to stop, `main` has the rest of that
///   time. If the run ended because all tasks had, `main` may take as long as it wants; when its runtime is
///   dropped, the process has to end within the grace period, or a second if that is longer.
///   [`disarm`](Self::disarm) lets a program go on, and so does another run, also one that existed before.
///
/// Under systemd, which sets `NOTIFY_SOCKET` for a service of `Type=notify`, it sends `READY=1` when the tasks
/// have been started and `STOPPING=1` when they are asked to stop.
///
/// On Windows the signals are Ctrl-C (2) and Ctrl-Break (21); this has not been verified there.
///
/// # Why not just use `tokio::signal` with a `CancellationToken`?
///
/// Use them where the program has one task. They have no second signal, no deadline, and no report: a task
/// that ignores the token keeps the process alive, and nothing tells its name.
///
/// # Examples
///
/// ```
/// use evenkeel_shutdown::{Report, Shutdown};
/// use std::time::Duration;
/// use tokio::time::interval;
///
/// #[tokio::main]
/// async fn main() -> Report {
///     Shutdown::new()
///         .grace(Duration::from_secs(20))
///         .task("ticker", async |stop| {
///             let mut ticks = interval(Duration::from_secs(60));
///             while !stop.is_draining() {
///                 tokio::select! {
///                     _ = ticks.tick() => println!("tick"),
///                     () = stop.draining() => println!("good bye"),
///                 }
/// #               stop.drain("an example has to end");
///             }
///         })
///         .run()
///         .await
/// }
/// ```
#[must_use = "nothing runs until `run` is awaited"]
pub struct Shutdown {
    run: CloseOnDrop,
    // The signals and the watchdog; `None` for a manual one.
    link: Option<ProcessLink>,
}

impl Shutdown {
    /// Creates a program without tasks that stops at SIGINT and SIGTERM, with a grace period of 10 seconds.
    ///
    /// From here on the signals are handled, by a thread of its own that needs no runtime. Call it first in
    /// `main`: an earlier signal has the effect that it has without this crate, which for process 1 of a container
    /// is none. It takes the two signals over for the rest of the process; [`with_signals`](Self::with_signals)
    /// takes others. Tests use [`manual`](Self::manual), because the watchdog of this one would end the other
    /// tests of the process, too.
    ///
    /// # Panics
    ///
    /// If the system refuses a thread.
    ///
    /// # Examples
    ///
    /// A start-up that may be interrupted:
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use evenkeel_shutdown::Shutdown;
    ///
    /// let shutdown = Shutdown::new();
    /// let stop = shutdown.handle().stop().clone();
    /// # async fn connect() -> Option<()> { None }
    /// let database = tokio::select! {
    ///     database = connect() => database,
    ///     () = stop.draining() => None,
    /// };
    /// // It drains at once if a signal has come.
    /// let report = shutdown.task("server", async move |stop| {
    ///     let Some(_database) = database else { return };
    ///     stop.draining().await;
    /// });
    /// # drop(report.run().await);
    /// # }
    /// ```
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn new() -> Self {
        Self::with_signals(signals::DEFAULT)
    }

    /// Does the same as [`new`](Self::new) with these signals in place of SIGINT (2) and SIGTERM (15), by number.
    ///
    /// It touches no other signals: a program may listen to SIGINT itself, and leave SIGTERM to this crate.
    /// Without any signal there is only the watchdog.
    ///
    /// # Panics
    ///
    /// If the system refuses a thread.
    ///
    /// # Examples
    ///
    /// ```
    /// # use evenkeel_shutdown::Shutdown;
    /// // SIGHUP too: a terminal that is closed stops the program in good order.
    /// let shutdown = Shutdown::with_signals([1, 2, 15]);
    /// # drop(shutdown);
    /// ```
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn with_signals(numbers: impl IntoIterator<Item = i32>) -> Self {
        let numbers: Vec<_> = numbers.into_iter().collect();
        let run = CloseOnDrop(Arc::new(Run::new()));
        let link = ProcessLink::new(&run.0, &numbers);
        Self { run, link: Some(link) }
    }

    /// Creates a program without signals, threads and wall clock, and the [`Stop`] that takes the place of the
    /// signals.
    ///
    /// It is for tests, under paused time too, and for programs that handle signals themselves. [`Handle::signal`]
    /// has the effect of a signal.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use evenkeel_shutdown::{Reason, Shutdown};
    ///
    /// let (shutdown, stop) = Shutdown::manual();
    /// let shutdown = shutdown.task("server", async |stop| stop.draining().await);
    /// stop.drain("end of the test");
    /// let report = shutdown.run().await;
    /// assert_eq!(report.reason, Reason::Stopped("end of the test".into()));
    /// assert_eq!(report.exit_code(), 0);
    /// # }
    /// ```
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn manual() -> (Self, Stop) {
        let shutdown = Self { run: CloseOnDrop(Arc::new(Run::new())), link: None };
        let stop = shutdown.run.0.stop.clone();
        (shutdown, stop)
    }

    /// Sets the signals that ask the program to stop, by number; SIGINT (2) and SIGTERM (15) unless set.
    ///
    /// They count together: the second of any of them aborts. Other signals are not touched, except that
    /// [`new`](Self::new) has taken SIGINT and SIGTERM over: one of them that is left out here ends the process. A
    /// program that listens to one of them itself starts with [`with_signals`](Self::with_signals). A
    /// [`manual`](Self::manual) program ignores this setting.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # #[tokio::main]
    /// # async fn main() {
    /// # use evenkeel_shutdown::Shutdown;
    /// // SIGHUP too: a terminal that is closed stops the program in good order.
    /// let report = Shutdown::new()
    ///     .signals([1, 2, 15])
    ///     .task("server", async |stop| stop.draining().await)
    ///     .run()
    ///     .await;
    /// # drop(report);
    /// # }
    /// ```
    pub fn signals(mut self, numbers: impl IntoIterator<Item = i32>) -> Self {
        let numbers = numbers.into_iter().collect();
        if let Some(link) = &mut self.link {
            link.listen_to(numbers);
        }
        self
    }

    /// Sets the time after a signal that counted in which no other one counts, of any kind; 200 milliseconds
    /// unless set.
    ///
    /// The terminal sends Ctrl-C to the program and to the runner that started it, and most runners pass it on,
    /// some as another signal: npm, pnpm, `timeout`, nodemon, a shell whose terminal closes. All these signals are
    /// one request. A signal that does not count is in the [report](Report::signals) and does not extend the
    /// window; the first one after the window counts, and opens it again. The window also outlasts the run: a late
    /// copy does not end a program that goes on.
    ///
    /// Copies come within 66 milliseconds, as far as they were measured. GNU parallel asks again after 222, and a
    /// person who presses the key again takes longer. With zero every signal counts.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use evenkeel_shutdown::Shutdown;
    /// use std::future::pending;
    /// use std::time::Duration;
    /// use tokio::time::sleep;
    ///
    /// let (shutdown, _) = Shutdown::manual();
    /// let handle = shutdown.handle();
    /// let shutdown = shutdown
    ///     .signal_window(Duration::from_millis(500))
    ///     .task("deaf", async |_stop| pending::<()>().await);
    /// let (report, ()) = tokio::join!(shutdown.run(), async {
    ///     handle.signal(15);
    ///     sleep(Duration::from_millis(499)).await;
    ///     handle.signal(15);
    ///     sleep(Duration::from_millis(1)).await;
    ///     handle.signal(15);
    /// });
    /// assert_eq!(report.tasks[0].after, Duration::from_millis(500));
    /// assert!(report.signals.iter().map(|signal| signal.counted).eq([true, false, true]));
    /// # }
    /// ```
    pub fn signal_window(self, window: Duration) -> Self {
        self.with(|state| state.escalation.window = window);
        self
    }

    /// Prints a dump of evenkeel-inspect to stderr each time SIGUSR1 comes: which task waits for what, who holds it, and what
    /// the stop waits for. Off unless it is called.
    ///
    /// It neither stops the program nor counts as a signal. From the first call on SIGUSR1 does not end the process any more,
    /// also after the run, when a dump tells why `main` goes on. The dump is made on a thread of its own, so that it delays
    /// nothing, and works while all workers are blocked. Signals that come while one is made are followed by one more.
    ///
    /// On Windows, which has no such signal, and for a [`manual`](Self::manual) program, it has no effect.
    ///
    /// # Panics
    ///
    /// [`run`](Self::run) does if the system refuses the handler.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # #[tokio::main]
    /// # async fn main() {
    /// # use evenkeel_shutdown::Shutdown;
    /// // `kill -USR1 PID` tells why it stands still.
    /// let report = Shutdown::new()
    ///     .dump_on_sigusr1()
    ///     .task("server", async |stop| stop.draining().await)
    ///     .run()
    ///     .await;
    /// # drop(report);
    /// # }
    /// ```
    #[cfg(feature = "inspect")]
    pub fn dump_on_sigusr1(self) -> Self {
        self.dump_on_sigusr1_with(|dump| report::print(dump))
    }

    /// As [`dump_on_sigusr1`](Self::dump_on_sigusr1), and gives the dump to a function instead.
    ///
    /// It is called on a thread of its own, which it may block: further signals wait until it returns. It is kept until the run
    /// is over; from then on dumps go to stderr. A panic of it ends nothing.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # #[tokio::main]
    /// # async fn main() {
    /// # use evenkeel_shutdown::Shutdown;
    /// let report = Shutdown::new()
    ///     .dump_on_sigusr1_with(|dump| {
    ///         let _ = std::fs::write("/tmp/stand-still.html", dump.to_html());
    ///     })
    ///     .task("server", async |stop| stop.draining().await)
    ///     .run()
    ///     .await;
    /// # drop(report);
    /// # }
    /// ```
    #[cfg(feature = "inspect")]
    #[cfg_attr(not(unix), expect(unused_mut, reason = "there is no such signal"))]
    pub fn dump_on_sigusr1_with(
        mut self,
        to: impl Fn(&evenkeel_inspect::Dump) + Send + Sync + 'static,
    ) -> Self {
        #[cfg(unix)]
        if let Some(link) = &mut self.link {
            link.dump_at_signal(Arc::new(to));
        }
        #[cfg(not(unix))]
        drop(to);
        self
    }

    /// Disarms the watchdogs of all runs of this process that are over, so that it may go on as long as it wants.
    ///
    /// It has no effect on a run that goes on, or on one that has not begun.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use evenkeel_shutdown::Shutdown;
    /// use tokio::runtime::Runtime;
    ///
    /// let runtime = Runtime::new().expect("a runtime can be built");
    /// let report = runtime.block_on(Shutdown::new().task("job", async |_stop| {}).run());
    /// drop(runtime);
    /// Shutdown::disarm();
    /// // This may take any time, without a runtime.
    /// println!("{report}");
    /// ```
    pub fn disarm() {
        registry::disarm();
    }

    /// Sets the time from the request to stop to the abort, for the whole stop; 10 seconds unless set.
    ///
    /// The process ends at most 2 seconds after it. Kubernetes sends SIGKILL after 30 seconds unless configured
    /// otherwise, and Docker after 10, so 28 and 8 are the maximum there. With zero the first signal aborts, and no
    /// clean-up starts.
    #[doc(alias("timeout", "grace_period"))]
    pub fn grace(self, grace: Duration) -> Self {
        self.with(|state| state.deadlines.grace = grace);
        // If a signal has come already, the watchdog is waiting for the end of the grace period.
        self.run.0.changes.notify();
        self
    }

    /// Sets how long the tasks go on working after the request to stop, before they are asked to drain; zero
    /// unless set.
    ///
    /// [`readiness`](Handle::readiness) becomes false at once, so that the load balancer can notice during this
    /// time; requests that it sends until then are still served. The delay is part of the grace period, and ends
    /// early when all tasks have ended. It is left out if a signal came before the run began.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use evenkeel_shutdown::Shutdown;
    /// # use std::time::Duration;
    /// let (shutdown, stop) = Shutdown::manual();
    /// let shutdown = shutdown
    ///     .pre_stop(Duration::from_secs(5))
    ///     .task("http", async |stop| stop.draining().await);
    /// stop.drain("deploy");
    /// assert_eq!(shutdown.run().await.tasks[0].after, Duration::from_secs(5));
    /// # }
    /// ```
    pub fn pre_stop(self, delay: Duration) -> Self {
        self.with(|state| state.deadlines.pre_stop = delay);
        self
    }

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

    /// Returns a handle for use while the program runs: readiness, guards, tasks that are added later.
    ///
    /// It belongs to the last phase. [`run`](Self::run) counts that phase as one with tasks when it checks the
    /// reserves.
    ///
    /// # Examples
    ///
    /// ```
    /// # use evenkeel_shutdown::Shutdown;
    /// let shutdown = Shutdown::new();
    /// let handle = shutdown.handle();
    /// let guard = handle.guard("upload");
    /// assert_eq!(handle.in_flight(), 1);
    /// # drop(guard);
    /// ```
    #[must_use]
    pub fn handle(&self) -> Handle {
        let phase = self.with(|state| {
            let last = state.phases.len() - 1;
            state.phases[last].has_handle = true;
            last
        });
        Handle { run: Arc::clone(&self.run.0), phase }
    }

    /// Runs all tasks until they have ended, and returns the report.
    ///
    /// When it returns, no task is alive and all their destructors have run.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future aborts every task without waiting for them, and runs no clean-ups. After that a signal
    /// ends the process, and so does the watchdog: at the end of the grace period and 2 seconds if the tasks had
    /// been asked to stop, otherwise the grace period after the end of the runtime. See [`disarm`](Self::disarm).
    ///
    /// # Panics
    ///
    /// When called, if the [pre-stop delay](Self::pre_stop) and all [reserves](Self::reserve) do not fit into the
    /// [grace period](Self::grace); the message has the sum. When polled, if the system has refused the handler of a
    /// signal, and outside of a tokio runtime that has a timer.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use evenkeel_shutdown::Shutdown;
    /// use std::future::pending;
    /// use std::time::Duration;
    /// use tokio::time::sleep;
    ///
    /// let shutdown = Shutdown::manual()
    ///     .0
    ///     .grace(Duration::from_secs(3))
    ///     .task("cron", async |stop| {
    ///         sleep(Duration::from_secs(60)).await;
    ///         stop.drain("the day is over");
    ///     })
    ///     .task("deaf", async |_stop| pending::<()>().await);
    /// let report = shutdown.run().await;
    /// assert_eq!(report.hung().next().unwrap().after, Duration::from_secs(63));
    /// # }
    /// ```
    #[track_caller]
    pub fn run(self) -> impl Future<Output = Report> {
        let (deadlines, fits) = self.with(|state| (state.deadlines, state.deadlines.check(&state.phases)));
        if let Err(sum) = fits {
            panic!("the stop does not fit into the grace period of {:?}: {sum}", deadlines.grace);
        }
        let Self { run: close, mut link } = self;
        let run = Arc::clone(&close.0);
        let place = Location::caller();
        async move {
            #[cfg(feature = "inspect")]
            run.begin_inspection(place);
            // Panics here, and not at the first signal, if the runtime has no timer to end a stop with.
            drop(sleep(Duration::ZERO));
            let notifies_systemd = link.as_mut().map(ProcessLink::begin).is_some();
            let ended = Group::builder().run_from(place, async |g| {
                // Closes the run before the group waits for its tasks, also if this future is dropped.
                let close = close;
                run.begin(g);
                if notifies_systemd && !run.stop.is_draining() {
                    systemd::notify("READY=1");
                }
                run_to_stop(&run, notifies_systemd).await;
                drop(close);
                Ok(())
            });
            // Tasks record their ends in the run and never fail in the group.
            drop(ended.await);
            let report = run.report();
            drop(link);
            report
        }
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

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.run.0.state())
    }
}

impl Default for Shutdown {
    #[cfg_attr(feature = "inspect", track_caller)]
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tasks: Vec<_> =
            self.with(|state| state.tasks.iter().map(|task| task.registration.name.clone()).collect());
        f.debug_struct("Shutdown")
            .field("tasks", &tasks)
            .field("grace", &self.run.0.deadlines().grace)
            .finish_non_exhaustive()
    }
}
