//! A program of tasks that stops in good order.

use std::borrow::Cow;
use std::fmt;
use std::future::poll_fn;
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use evenkeel_task::{IntoResult, Stop, group};

use crate::Report;
use crate::job::Job;
use crate::process;
use crate::run::Run;

/// Runs the tasks of a program until they end, a signal comes or one fails, and stops them in good order.
///
/// - **SIGINT or SIGTERM** asks the tasks to drain: their [`Stop`] gives the soft stop. The second signal,
///   or the end of the [grace period](Self::grace), aborts them. The third ends the process with 128 + its
///   number.
/// - **A task that fails or panics** asks the others to drain. One that ends without an error does not.
/// - **When all tasks have ended** [`run`](Self::run) gives the [`Report`]. A signal after that ends the
///   process, with 128 + its number.
/// - **A watchdog thread** ends the process 2 seconds after the tasks were aborted, or would have been: a
///   runtime waits without end for a blocking call, and no timer inside of it can help. From the request to
///   stop on it stays armed, so that `main` has the rest of that time; another run disarms it.
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
    jobs: Vec<Job>,
    grace: Duration,
    stop: Stop,
    signals: bool,
}

impl Shutdown {
    /// No tasks, signals on, a grace period of 10 seconds.
    pub fn new() -> Self {
        Self { jobs: Vec::new(), grace: Duration::from_secs(10), stop: Stop::new(), signals: true }
    }

    /// One without signals, threads and wall clock, and the [`Stop`] that takes the place of the signals:
    /// for tests, under paused time too, and for programs that have their own.
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
        let shutdown = Self { signals: false, ..Self::new() };
        let stop = shutdown.stop.clone();
        (shutdown, stop)
    }

    /// How long the tasks may take to drain before they are aborted; 10 seconds by default.
    ///
    /// Kubernetes sends SIGKILL after 30 seconds, Docker after 10. With zero the first signal aborts.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Adds a task. [`run`](Self::run) calls `task` and spawns its future.
    ///
    /// The output is `()` or a `Result`, see [`IntoResult`]. The [`Stop`] is the one of the whole run: a
    /// task may [drain](Stop::drain) it to end the program.
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
    pub fn task<F, Fut>(mut self, name: impl Into<Cow<'static, str>>, task: F) -> Self
    where
        F: FnOnce(Stop) -> Fut + Send + 'static,
        Fut: Future<Output: IntoResult> + Send + 'static,
    {
        self.jobs.push(Job::new(name.into(), Location::caller(), task));
        self
    }

    /// Runs all tasks to their end and says what became of them.
    ///
    /// When it returns no task lives and all their destructors have run.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future tells every task to abort and does not wait for them. A signal ends the process
    /// then, and if the tasks had been asked to stop, so does the watchdog.
    ///
    /// # Panics
    ///
    /// If the system refuses a thread or the handlers of the signals; outside of a tokio runtime.
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
    pub async fn run(self) -> Report {
        let run = Arc::new(Run::new(self.stop, self.grace, &self.jobs));
        let _watched = self.signals.then(|| process::watch(&run));
        let ended = group(async |g| {
            for (index, job) in self.jobs.into_iter().enumerate() {
                g.task(job.name.clone()).spawn(job.start(index, run.clone()));
            }
            let mut all_ended = pin!(run.all_ended());
            let mut must_abort = pin!(run.must_abort());
            poll_fn(|cx| match all_ended.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(Ok(())),
                Poll::Pending => {
                    must_abort.as_mut().poll(cx).map(|()| Err("the tasks have to be aborted".into()))
                }
            })
            .await
        })
        .await;
        // The tasks tell the run how they end and do not fail in the group: its error is the one above.
        drop(ended);
        run.report()
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tasks: Vec<_> = self.jobs.iter().map(|job| &job.name).collect();
        f.debug_struct("Shutdown").field("tasks", &tasks).field("grace", &self.grace).finish_non_exhaustive()
    }
}
