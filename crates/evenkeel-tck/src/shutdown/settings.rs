//! The capabilities and the settings of a program.

use std::time::Duration;

use super::{Outcome, Parts};
use crate::{
    Configured,
    adapter::{Pattern, capabilities, where_needed},
};

/// The configuration of an implementation; an adapter returns [`AdapterError`](crate::AdapterError) where it cannot be.
///
/// It never has a setting whose [`Capability`] the adapter does not support.
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Settings {
    /// The time from the begin of the program to the request to stop.
    pub stop_after: Option<Duration>,
    /// The time from the begin of the program to a second request.
    pub again_after: Option<Duration>,
    /// The time that tasks may take to stop before they are aborted. `None`: the implementation's usual time.
    pub grace: Option<Duration>,
    /// How long tasks go on as before when the program is asked to stop.
    pub pre_stop: Option<Duration>,
    /// The time from the begin of the program to a stop of task 1 alone.
    pub alone_after: Option<Duration>,
    /// The program is to listen to SIGINT, in place of the stop, and where it is asked again, of that too.
    pub signals: bool,
}

impl Settings {
    /// A program that is not asked to stop.
    pub(crate) fn unstopped() -> Self {
        Self::default()
    }

    /// A program that is asked to stop after this time.
    pub(crate) fn stopped(after: Duration) -> Self {
        Self { stop_after: Some(after), ..Self::default() }
    }

    /// With a time for the tasks to stop.
    pub(crate) fn within(self, grace: Duration) -> Self {
        Self { grace: Some(grace), ..self }
    }
}

impl Pattern for Settings {
    type Capability = Capability;
    type Configured = Configured<Parts, Outcome>;

    fn needs(&self) -> impl Iterator<Item = Capability> {
        where_needed([
            (self.again_after.is_some(), Capability::Again),
            (self.grace.is_some(), Capability::Grace),
            (self.pre_stop.is_some(), Capability::PreStop),
            (self.alone_after.is_some(), Capability::StopAlone),
            (self.signals, Capability::Signals),
        ])
    }
}

capabilities! {
    /// A feature that an implementation of graceful shutdown may have.
    ///
    /// # Examples
    /// As in [`SUITE`](super::SUITE).
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
