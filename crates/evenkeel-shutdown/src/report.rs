//! The report of a run: its reason, the outcome of each task, and the exit code.

#[cfg(feature = "inspect")]
use std::sync::Arc;
use std::{
    borrow::Cow,
    error::Error,
    fmt::{self, Write as _},
    io::{self, Write as _},
    panic::Location,
    process::{ExitCode, Termination},
    time::Duration,
};

use evenkeel_base::rounded;
#[cfg(feature = "inspect")]
use evenkeel_inspect::Dump;
use evenkeel_task::{BoxError, Panic};

use crate::escalation::{Name, SignalReport};

/// The reason why a run ended, the outcome of every task, and the exit code that follows.
///
/// `main` can return it: the process then exits with [`exit_code`](Self::exit_code), and a report that is
/// not clean is printed to stderr, as an `Err` from `main` is. As text it has one line for the reason, and one for
/// each further signal, task, clean-up, and guard that is left; line breaks within names and errors are escaped.
///
/// # Examples
///
/// ```
/// use evenkeel_shutdown::{Report, Shutdown};
///
/// #[tokio::main]
/// async fn main() -> Report {
///     Shutdown::new().task("job", async |_stop| println!("done")).run().await
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "it says what failed and what hung, and has the exit code"]
pub struct Report {
    /// The reason why the run ended.
    pub reason: Reason,
    /// All tasks and clean-ups, in the order in which they were added, and then the guards that were left.
    pub tasks: Vec<TaskReport>,
    /// The signals that came, in order: all that drained or aborted, and the first 16 others.
    ///
    /// Signals that came after the run are not included.
    pub signals: Vec<SignalReport>,
    #[cfg(feature = "inspect")]
    pub(crate) dump: Option<Arc<Dump>>,
}

impl Report {
    /// Returns what stood still when the first step of the stop ran out of time, as it was just before its tasks were aborted;
    /// `None` if all of them ended in time.
    ///
    /// `main` prints it to stderr below the report, if it returns that.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use evenkeel_shutdown::Shutdown;
    /// let (shutdown, stop) = Shutdown::manual();
    /// let guard = shutdown.handle().guard("upload");
    /// stop.drain("deploy");
    /// let report = shutdown.run().await;
    /// let dump = report.dump().expect("the guard was not dropped in time");
    /// assert!(dump.to_string().contains("'guard upload'"));
    /// # drop(guard);
    /// # }
    /// ```
    #[cfg(feature = "inspect")]
    #[must_use]
    pub fn dump(&self) -> Option<&Dump> {
        self.dump.as_deref()
    }

    /// Returns the tasks, clean-ups and guards that did not end in time once their phase was stopped; `after` is
    /// their age.
    ///
    /// Tasks that an abort dropped before their phase was stopped are not included: see [`Outcome::NotReached`].
    pub fn hung(&self) -> impl Iterator<Item = &TaskReport> {
        self.tasks.iter().filter(|task| matches!(task.outcome, Outcome::Aborted | Outcome::Held))
    }

    /// Returns 0 if everything finished, for any reason to stop; 1 if not.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        u8::from(!self.tasks.iter().all(|task| matches!(task.outcome, Outcome::Finished)))
    }
}

impl Termination for Report {
    fn report(self) -> ExitCode {
        let code = self.exit_code();
        if code != 0 {
            print(&self);
            #[cfg(feature = "inspect")]
            self.dump().iter().for_each(|dump| print_dump(dump));
        }
        code.into()
    }
}

/// Writes a line to stderr; a stderr that is closed causes neither a panic nor another exit code.
pub(crate) fn print(text: impl fmt::Display) {
    // In one write: stderr has no buffer, and other output could come in between.
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// Writes a dump to stderr, below a report.
#[cfg(feature = "inspect")]
pub(crate) fn print_dump(dump: &Dump) {
    print(format_args!("dump of all waits:\n{dump}"));
}

/// Escapes control characters: a name or an error may have line breaks, or commands for the terminal.
struct Line<'l, 'f>(&'l mut fmt::Formatter<'f>);

impl fmt::Write for Line<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| match c.is_control() {
            true => write!(self.0, "{}", c.escape_default()),
            false => self.0.write_char(c),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reason)?;
        // The first one is the reason, unless the program stopped already.
        let mut signals = self.signals.iter();
        match signals.next() {
            Some(first) if self.reason != Reason::Signal(first.number) => {
                write!(f, "\n  {} came", Name(first.number))?;
            }
            _ => {}
        }
        signals.try_for_each(|signal| write!(f, "\n  {signal}"))?;
        for task in &self.tasks {
            write!(f, "\n  {task}")?;
        }
        Ok(())
    }
}

/// The reason why a run ended.
///
/// # Examples
///
/// ```
/// use evenkeel_shutdown::Reason;
///
/// /// Whether to start the program again.
/// fn again(reason: &Reason) -> bool {
///     !matches!(reason, Reason::Signal(_))
/// }
/// assert!(!again(&Reason::Signal(15)));
/// assert_eq!(Reason::Signal(15).to_string(), "stopped by SIGTERM");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// All tasks ended without a request to stop.
    Ended,
    /// This signal came: 2 is SIGINT, 15 is SIGTERM.
    Signal(i32),
    /// The task of this name failed or panicked.
    Failed(Cow<'static, str>),
    /// The [vital](crate::Shutdown::vital) task of this name ended.
    VitalTaskEnded(Cow<'static, str>),
    /// [`drain`](evenkeel_task::Stop::drain) or [`abort`](evenkeel_task::Stop::abort) was called, for this
    /// reason.
    Stopped(Cow<'static, str>),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = Line(f);
        match self {
            Self::Ended => f.write_str("all tasks ended"),
            Self::Signal(number) => write!(f, "stopped by {}", Name(*number)),
            Self::Failed(name) => write!(f, "stopped because task '{name}' failed"),
            Self::VitalTaskEnded(name) => write!(f, "stopped because the vital task '{name}' ended"),
            Self::Stopped(reason) => write!(f, "stopped: {reason}"),
        }
    }
}

/// The outcome of one task, one clean-up, or one guard that was left.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// # use evenkeel_shutdown::Shutdown;
/// let report = Shutdown::manual().0.task("nap", async |_stop| {}).run().await;
/// let task = &report.tasks[0];
/// assert_eq!(task.to_string(), format!("task 'nap' ({}) finished after 0ns", task.place));
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct TaskReport {
    /// The kind: task, clean-up or guard.
    pub kind: Kind,
    /// The name.
    pub name: Cow<'static, str>,
    /// The [phase](crate::Shutdown::phase) in which it stops, if that has a name.
    pub phase: Option<Cow<'static, str>>,
    /// The place in the source where it was added, or where the guard was taken.
    pub place: &'static Location<'static>,
    /// The time that it ran, or was held, by tokio's clock.
    pub after: Duration,
    /// The outcome.
    pub outcome: Outcome,
}

impl fmt::Display for TaskReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, phase, place, after, outcome } = self;
        let mut f = Line(f);
        write!(f, "{kind} '{name}' ")?;
        if let Some(phase) = phase {
            write!(f, "of phase '{phase}' ")?;
        }
        write!(f, "({place}) {outcome} after {:?}", rounded(*after))?;
        let mut cause: Option<&dyn Error> = match outcome {
            Outcome::Failed(error) => Some(error.as_ref()),
            Outcome::Panicked(panic) => Some(panic),
            _ => None,
        };
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// The kind of work that a [`TaskReport`] describes.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_shutdown::{Kind, Shutdown};
///
/// let (shutdown, _) = Shutdown::manual();
/// let report = shutdown.task("http", async |_stop| {}).on_stop("pool", async || {}).run().await;
/// assert!(report.tasks.iter().map(|task| task.kind).eq([Kind::Task, Kind::CleanUp]));
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Added by [`Shutdown::task`](crate::Shutdown::task) or [`Handle::spawn`](crate::Handle::spawn).
    Task,
    /// Added by [`Shutdown::on_stop`](crate::Shutdown::on_stop) or [`Handle::on_stop`](crate::Handle::on_stop).
    CleanUp,
    /// Taken by [`Handle::guard`](crate::Handle::guard).
    Guard,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Task => "task",
            Self::CleanUp => "clean-up",
            Self::Guard => "guard",
        })
    }
}

/// The end of a task or a clean-up, or the state of a guard.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// # use evenkeel_shutdown::Shutdown;
/// use evenkeel_shutdown::Outcome;
///
/// let report = Shutdown::manual().0.task("parse", async |_stop| "x".parse::<u8>()).run().await;
/// let Outcome::Failed(error) = &report.tasks[0].outcome else { unreachable!() };
/// assert!(error.is::<std::num::ParseIntError>());
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// It ended by itself, without an error.
    Finished,
    /// It ended with this error.
    Failed(BoxError),
    /// It ended with this panic, of the task itself or of its destructor.
    Panicked(Panic),
    /// It was asked to stop, and was dropped: its time was over, or the second signal came.
    Aborted,
    /// The guard was still held when its time was over, or the second signal came.
    Held,
    /// An abort came before its phase was stopped: it was dropped, or never started.
    NotReached,
    /// It has not ended yet; only [`Handle::live`](crate::Handle::live) returns this.
    Running,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Finished => "finished",
            Self::Failed(_) => "failed",
            Self::Panicked(_) => "panicked",
            Self::Aborted => "was aborted",
            Self::Held => "is still held",
            Self::NotReached => "was cut off before its turn",
            Self::Running => "is still running",
        })
    }
}
