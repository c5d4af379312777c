//! The escalation of signals: the first that counts drains, the second aborts, the third ends the process.

use std::{fmt, time::Duration};

use tokio::time::Instant;

/// The maximum number of signals in the report, not counting those that drained or aborted.
const MAX_REPORTED: usize = 16;

/// The signals that came to a run.
pub(crate) struct Escalation {
    /// For this time after a signal that counted, no other one counts.
    pub(crate) window: Duration,
    /// The instant of the last signal that counted, in this run or an earlier one.
    pub(crate) last: Option<Instant>,
    first: Option<Instant>,
    counted: u32,
    reports: Vec<SignalReport>,
}

/// The effect of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It is a copy of the request before it.
    Nothing,
    Drain,
    Abort,
    Exit,
}

impl Default for Escalation {
    fn default() -> Self {
        // Runners pass a signal on within 66 ms as measured, and a person presses a key again after 250 ms or more.
        let window = Duration::from_millis(200);
        Self { window, last: None, first: None, counted: 0, reports: Vec::new() }
    }
}

impl Escalation {
    /// Records a signal, and returns its effect.
    pub(crate) fn record(&mut self, number: i32, now: Instant) -> Effect {
        let first = *self.first.get_or_insert(now);
        let counted = !is_within(self.last, self.window, now);
        if counted {
            self.last = Some(now);
            self.counted = self.counted.saturating_add(1);
        }
        let effect = match self.counted {
            _ if !counted => Effect::Nothing,
            1 => Effect::Drain,
            2 => Effect::Abort,
            _ => Effect::Exit,
        };
        if self.reports.len() < MAX_REPORTED || matches!(effect, Effect::Drain | Effect::Abort) {
            let after = now.saturating_duration_since(first);
            self.reports.push(SignalReport { number, after, counted });
        }
        effect
    }

    /// Returns whether any signal has counted.
    pub(crate) fn has_counted(&self) -> bool {
        self.counted > 0
    }

    pub(crate) fn report(&self) -> Vec<SignalReport> {
        self.reports.clone()
    }
}

/// Returns whether a signal at this instant is a copy of the last request.
pub(crate) fn is_within(last: Option<Instant>, window: Duration, now: Instant) -> bool {
    last.is_some_and(|last| now.saturating_duration_since(last) < window)
}

/// A signal that came before or during the run.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// # use evenkeel_shutdown::Shutdown;
/// let (shutdown, _) = Shutdown::manual();
/// let handle = shutdown.handle();
/// handle.signal(2); // from the terminal
/// handle.signal(15); // from the runner, because of the same key
/// let report = shutdown.task("server", async |stop| stop.draining().await).run().await;
/// assert_eq!(report.signals[1].to_string(), "SIGTERM came 0ns after the first signal: the same request");
/// assert_eq!(report.exit_code(), 0);
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignalReport {
    /// Its number: 2 is SIGINT, 15 is SIGTERM.
    pub number: i32,
    /// The time since the first one, by tokio's clock.
    pub after: Duration,
    /// Whether it counted: the first that counts drains, the second aborts.
    ///
    /// A signal that did not count came within the [window](crate::Shutdown::signal_window) of one that did.
    pub counted: bool,
}

impl fmt::Display for SignalReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, after, counted } = self;
        let request = if *counted { "another request" } else { "the same request" };
        write!(f, "{} came {after:?} after the first signal: {request}", Name(*number))
    }
}

/// The name of a signal.
pub(crate) struct Name(pub(crate) i32);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            2 => f.write_str("SIGINT"),
            15 => f.write_str("SIGTERM"),
            number => write!(f, "signal {number}"),
        }
    }
}
