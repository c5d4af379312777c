//! The adapter trait of graceful shutdown, and its capabilities.

use std::{fmt, pin::Pin, sync::Arc};

use super::{Outcome, Parts, Settings};
use crate::{
    AdapterError,
    subject::{capabilities, subject},
};

/// Puts an implementation of graceful shutdown behind the form that the rules know.
///
/// An adapter adds nothing of its own: it configures the implementation as its documentation shows, and hands back
/// the implementation's own future. The adapter withholds each capability that the implementation lacks.
///
/// # Examples
/// A channel that tells the tasks to stop, and handles that are awaited:
/// ```
/// use evenkeel_tck::{AdapterError, shutdown::{Adapter, Capability, Outcome, Parts, Program, SUITE, Settings}};
/// use tokio::{sync::watch, time::sleep};
///
/// struct Channel;
///
/// impl Adapter for Channel {
///     fn supports(&self, capability: Capability) -> Result<(), &'static str> {
///         match capability {
///             Capability::Grace => Err("wrap it in `tokio::time::timeout`"),
///             _ => Err("there is no such thing"),
///         }
///     }
///
///     fn program(&self, settings: &Settings) -> Result<Program, AdapterError> {
///         let stop_after = settings.stop_after;
///         Ok(Program::new(move |parts: Parts| async move {
///             let (stop, _) = watch::channel(false);
///             let mut tasks = Vec::new();
///             for job in parts.tasks {
///                 let mut stopped = stop.subscribe();
///                 let asked = async move { stopped.wait_for(|is_stopped| *is_stopped).await.map_or(None, |_| None) };
///                 tasks.push(tokio::spawn(job.run(asked, drop)));
///             }
///             sleep(stop_after.unwrap_or_default()).await;
///             stop.send_replace(true);
///             for task in tasks {
///                 let _ = task.await;
///             }
///             Outcome::default()
///         }))
///     }
/// }
///
/// let check = |id| SUITE.rule(id).unwrap().check(&Channel);
/// assert!(check("SHUTDOWN-01").passed());
/// assert_eq!(check("SHUTDOWN-07").to_string(), "unsupported: grace: wrap it in `tokio::time::timeout`");
/// ```
pub trait Adapter: Send + Sync {
    /// Returns whether the implementation has this capability.
    ///
    /// # Errors
    /// Why not, or what it has instead, in a few words.
    fn supports(&self, capability: Capability) -> Result<(), &'static str>;

    /// Configures the implementation.
    ///
    /// # Errors
    /// If the implementation cannot express these settings, or rejects them.
    fn program(&self, settings: &Settings) -> Result<Program, AdapterError>;
}

capabilities! {
    /// A feature that an implementation of graceful shutdown may have.
    ///
    /// # Examples
    /// As in [`Adapter`].
    pub enum Capability {
        /// It spawns the tasks, and so owns them.
        Tasks = "tasks",
        /// It ends when all tasks have ended, though nobody has asked it to stop.
        EndsByItself = "ends by itself",
        /// A time after which tasks that have not stopped are aborted.
        Grace = "grace",
        /// A second stop, which gives up at once.
        Again = "again",
        /// The failure of a task stops the program.
        FailFast = "fail fast",
        /// It tells the errors that tasks return.
        Errors = "errors",
        /// Tasks whose end stops the program.
        Vital = "vital",
        /// It tells which tasks did not stop.
        Hung = "hung",
        /// It gives the exit code of the process.
        ExitCode = "exit code",
        /// The signal to stop says why.
        Reason = "reason",
        /// Tasks that are asked to stop when others have stopped.
        Phases = "phases",
        /// Work that runs when the tasks have ended.
        CleanUps = "clean-ups",
        /// A time in which the tasks go on as before, though the program was asked to stop.
        PreStop = "pre-stop",
        /// It tells at once that the program was asked to stop.
        Readiness = "readiness",
        /// Guards: work that is not a task, and is waited for.
        Guards = "guards",
        /// Tasks that start tasks.
        Start = "start",
        /// A stop for one task alone.
        StopAlone = "stop alone",
        /// It listens to the signals of the process.
        Signals = "signals",
    }
}

subject!(Program, program);

pub(crate) type Run = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A configured implementation.
#[derive(Clone)]
pub struct Program(Arc<dyn Fn(Parts) -> Run + Send + Sync>);

impl Program {
    /// A program that runs its parts with `run`, which returns the implementation's own future, not yet polled.
    ///
    /// # Examples
    /// One that never stops anything:
    /// ```
    /// use evenkeel_tck::shutdown::{Outcome, Parts, Program};
    ///
    /// let deaf = Program::new(|parts: Parts| async move {
    ///     for job in parts.tasks {
    ///         let _ = tokio::spawn(job.run(std::future::pending(), drop)).await;
    ///     }
    ///     Outcome::default()
    /// });
    /// ```
    pub fn new<F, Fut>(run: F) -> Self
    where
        F: Fn(Parts) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        Self(Arc::new(move |parts| Box::pin(run(parts))))
    }

    pub(crate) fn call(&self, parts: Parts) -> Run {
        (self.0)(parts)
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").finish_non_exhaustive()
    }
}
