//! The program of tasks that stops in order: how it is made, and `run`.

mod parts;
mod settings;

use std::{fmt, panic::Location, sync::Arc, time::Duration};

use evenkeel_task::{Group, Stop};
use tokio::time::sleep;

use crate::{
    Report,
    handle::Handle,
    registry::{self, ProcessLink},
    run::{CloseOnDrop, Run},
    signals,
    state::State,
    stop_phases::run_to_stop,
    systemd,
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
    /// # async fn connect() { std::future::pending().await }
    /// # stop.drain("an example has to end");
    /// let database = stop.run_until_draining(connect()).await;
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
    /// When it returns, none of its tasks is alive and all their destructors have run. A task that one of them detached by
    /// `tokio::spawn`, as `axum::serve` does for each connection, is not one of them: it ends with the runtime.
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
