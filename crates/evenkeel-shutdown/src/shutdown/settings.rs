//! The settings of a run: the signals, and the time for the stop.

#[cfg(all(feature = "inspect", unix))]
use std::sync::Arc;
use std::time::Duration;

use super::Shutdown;
#[cfg(feature = "inspect")]
use crate::report;

impl Shutdown {
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
    /// one request. A signal that does not count is in the [report](crate::Report::signals) and does not extend the
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
    /// [`readiness`](crate::Handle::readiness) becomes false at once, so that the load balancer can notice during this
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
}
