//! A program of tasks that stops in good order.

use std::{borrow::Cow, fmt, panic::Location, sync::Arc, time::Duration};

use evenkeel_task::{IntoResult, Stop, group};
use tokio::time::sleep;

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

/// Runs the tasks of a program until they end, a signal comes or one fails, and stops them in good order.
///
/// - **SIGINT or SIGTERM** asks the tasks to drain: their [`Stop`] gives the soft stop. The second signal,
///   or the end of the [grace period](Self::grace), aborts them. The third ends the process with 128 + its
///   number.
/// - **One request may arrive as several signals**, because a runner passes on what the terminal has sent already.
///   Within 200 ms of a signal that counted, no other one counts: see [`signal_window`](Self::signal_window).
/// - **Signals are heard from [`new`](Self::new) on**, outside of a runtime too. One that comes before
///   [`run`](Self::run) stops the start-up, if that looks at the [stop signal](Handle::stop), and `run` then drains
///   at once.
/// - **A task that fails or panics** asks the others to drain. One that ends without an error does not,
///   unless it is [vital](Self::vital).
/// - **When all tasks have ended** the [clean-ups](Self::on_stop) run, and [`run`](Self::run) gives the
///   [`Report`]. A signal after that ends the process, with 128 + its number.
/// - **A watchdog thread** ends the process 2 seconds after the tasks were aborted, or would have been: a
///   runtime waits without end for a blocking call, and no timer inside of it can help. Its last words name
///   what is left, and which tasks keep their thread. From the request to stop on it stays armed, so that
///   `main` has the rest of that time. After a run that ended because all tasks had, `main` has all the time that it
///   wants; when its runtime is dropped, the process has to end within the grace period, or a second if that is
///   longer. A program that is to go on says so by [`disarm`](Self::disarm), or by another run, be it one that was
///   there before.
///
/// Under systemd, which sets `NOTIFY_SOCKET` for a service of `Type=notify`, it sends `READY=1` when the tasks
/// have been started and `STOPPING=1` when they are asked to stop.
///
/// On Windows the signals are Ctrl-C (2) and Ctrl-Break (21); this has not been verified there.
///
/// # Why not just use `tokio::signal` with a `CancellationToken`?
///
/// Use them where the program has one task. They have no second signal, no deadline, and no report: a task
/// that ignores the token keeps the process alive, and nothing says which one it is.
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
    /// No tasks, SIGINT and SIGTERM, a grace period of 10 seconds.
    ///
    /// From here on the signals are heard, by a thread of its own: no runtime is needed. What comes before that does
    /// what it does without this crate, and for process 1 of a container that is nothing; so call it first. It takes
    /// the two signals over for the rest of the process; [`with_signals`](Self::with_signals) does it with others.
    /// Tests take [`manual`](Self::manual): the watchdog of this one would end the other tests of the process, too.
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
    pub fn new() -> Self {
        Self::with_signals(signals::DEFAULT)
    }

    /// [`new`](Self::new) with these signals in place of SIGINT (2) and SIGTERM (15), by number.
    ///
    /// No others are touched: a program may listen to SIGINT itself, and leave SIGTERM to this. Without any there is
    /// the watchdog alone.
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
    pub fn with_signals(numbers: impl IntoIterator<Item = i32>) -> Self {
        let numbers: Vec<_> = numbers.into_iter().collect();
        let run = CloseOnDrop(Arc::new(Run::new()));
        let link = ProcessLink::new(&run.0, &numbers);
        Self { run, link: Some(link) }
    }

    /// One without signals, threads and wall clock, and the [`Stop`] that takes the place of the signals:
    /// for tests, under paused time too, and for programs that have their own. [`Handle::signal`] does what
    /// a signal would.
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
    pub fn manual() -> (Self, Stop) {
        let shutdown = Self { run: CloseOnDrop(Arc::new(Run::new())), link: None };
        let stop = shutdown.run.0.stop.clone();
        (shutdown, stop)
    }

    /// The signals that ask the program to stop, by number; SIGINT (2) and SIGTERM (15) unless set.
    ///
    /// They count together: the second of any of them aborts. Others do what they do without this crate, but
    /// SIGINT and SIGTERM have been taken over by [`new`](Self::new): one of them that is left out here ends the
    /// process, as it does by default. A program that listens to it itself begins with
    /// [`with_signals`](Self::with_signals). It changes nothing for [`manual`](Self::manual).
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

    /// How long after a signal that counted no other one does, of whatever kind; 200 milliseconds unless set.
    ///
    /// Ctrl-C goes to the program and to the runner that started it, and most runners pass it on, some as another
    /// signal: npm, pnpm, `timeout`, nodemon, a shell whose terminal closes. All of that is one request. A signal
    /// that does not count makes the window no longer, and is in the [report](Report::signals); the first one
    /// after the window counts, and opens it again. The window also outlasts the run: a late copy does not end a
    /// program that goes on.
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

    /// Calls off the watchdogs of all runs of this process that are over: it may go on as long as it wants.
    ///
    /// It does nothing to a run that goes on, nor to one that has not begun.
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
    /// // Takes as long as it takes, without a runtime.
    /// println!("{report}");
    /// ```
    pub fn disarm() {
        registry::disarm();
    }

    /// The time from the request to stop to the abort, with all that is in between; 10 seconds unless set.
    ///
    /// The process ends 2 seconds after it at the latest. Kubernetes sends SIGKILL after 30 seconds unless
    /// told otherwise, and Docker after 10, so that 28 and 8 are the most to set. With zero the first signal
    /// aborts, and no clean-up begins.
    pub fn grace(self, grace: Duration) -> Self {
        self.with(|state| state.deadlines.grace = grace);
        // If a signal has come already, the watchdog is waiting for the end of the grace period.
        self.run.0.changes.notify();
        self
    }

    /// How long the tasks still go on as before when the program is asked to stop; not at all unless set.
    ///
    /// [`readiness`](Handle::readiness) becomes false at once, and no task is asked to stop yet. In that time
    /// the load balancer is to notice: what it sends until then is still served. It is part of the grace
    /// period, and ends early when all tasks have ended. It is left out when a signal came before the run began.
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
    /// The output is `()` or a `Result`, see [`IntoResult`]. The [`Stop`] is the task's own: it drains when it
    /// is the task's turn, is aborted when the time is over, or the run, and may be handed on to what the task
    /// spawns. A task that [drains](Stop::drain) it ends the program.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use evenkeel_shutdown::{BoxError, Reason, Shutdown};
    ///
    /// let (shutdown, _) = Shutdown::manual();
    /// let report = shutdown
    ///     .task("server", async |stop| stop.draining().await)
    ///     .task("import", async |_stop| {
    ///         let port: u16 = "http".parse()?;
    ///         println!("importing from {port}");
    ///         // An async block that uses `?` has to name its error.
    ///         Ok::<_, BoxError>(())
    ///     })
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

    /// Makes the task that was given last a vital one: its end stops the program, also an end without an error.
    ///
    /// # Panics
    ///
    /// If no task was given last.
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

    /// Adds a clean-up, which runs when the tasks of its phase have ended and their guards are dropped: all of
    /// them, unless there are [phases](Self::phase).
    ///
    /// It runs whatever the reason to stop was, at the same time as the others of its phase, but not after the
    /// second signal. A tenth of the grace period is kept for it, even if a task hangs; see
    /// [`reserve`](Self::reserve).
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

    /// Begins a phase: what is given after this stops when all that was given before it has stopped.
    ///
    /// So the text says in which order the program stops. All tasks start at once.
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

    /// The time that is kept for the phase that was begun last, however long the ones before it take: so much
    /// for its tasks, and so much again for its clean-ups. A tenth of the grace period unless set.
    ///
    /// A phase that overruns is aborted when the rest of the grace period is reserved for those that follow.
    /// Time that a phase does not need is left to them.
    ///
    /// # Panics
    ///
    /// If it is zero. [`run`](Self::run) panics if all of them do not fit into the grace period.
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

    /// What the program needs of its run while it goes on: readiness, guards, tasks that come later.
    ///
    /// The handle belongs to the phase that was begun last, which counts as one with tasks when
    /// [`run`](Self::run) checks what is reserved.
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

    /// Runs all tasks to their end and says what became of them.
    ///
    /// When it returns no task lives and all their destructors have run.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future tells every task to abort and does not wait for them; clean-ups are not run. A
    /// signal ends the process then, and so does the watchdog: at the end of the time if the tasks had been asked to
    /// stop, and else when the runtime is gone and the grace period after that is over. See
    /// [`disarm`](Self::disarm).
    ///
    /// # Panics
    ///
    /// When called, if the [pre-stop delay](Self::pre_stop) and what is [reserved](Self::reserve) do not fit
    /// into the [grace period](Self::grace); the message has the sum. When polled, if the system has refused
    /// the handler of a signal, and outside of a tokio runtime that has a timer.
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
        async move {
            // Panics here, and not at the first signal, if the runtime has no timer to end a stop with.
            drop(sleep(Duration::ZERO));
            let notifies_systemd = link.as_mut().map(ProcessLink::begin).is_some();
            let ended = group(async |g| {
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
