//! The capabilities and the settings of a group.

use std::time::Duration;

use super::{Body, Outcome};
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
    /// The effect of a failure on the other tasks.
    pub on_failure: FailureMode,
    /// How many tasks may run at a time. One rule asks for zero.
    pub limit: Option<usize>,
    /// The time from the begin of the group to its deadline.
    pub deadline: Option<Duration>,
    /// The time that tasks have to end by themselves after the signal, before they are dropped.
    pub grace: Option<Duration>,
    /// The time from the begin of the group to a stop from outside.
    pub stop_after: Option<Duration>,
}

/// The effect of a failure on the other tasks.
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureMode {
    /// The default of the implementation.
    #[default]
    Usual,
    /// They are stopped.
    Stop,
    /// They go on until they end.
    GoOn,
}

impl Settings {
    /// The defaults of the implementation.
    pub(crate) fn usual() -> Self {
        Self::default()
    }

    /// The first failure stops the group.
    pub(crate) fn fail_fast() -> Self {
        Self { on_failure: FailureMode::Stop, ..Self::default() }
    }

    /// No failure stops the group.
    pub(crate) fn collecting() -> Self {
        Self { on_failure: FailureMode::GoOn, ..Self::default() }
    }

    /// A stop comes after this time.
    pub(crate) fn stopped(after: Duration) -> Self {
        Self { stop_after: Some(after), ..Self::default() }
    }
}

impl Pattern for Settings {
    type Capability = Capability;
    type Configured = Configured<Body, Outcome>;

    fn needs(&self) -> impl Iterator<Item = Capability> {
        where_needed([
            (self.on_failure == FailureMode::Stop, Capability::FailFast),
            (self.on_failure == FailureMode::GoOn, Capability::CollectAll),
            (self.limit.is_some(), Capability::Limit),
            (self.deadline.is_some(), Capability::Deadline),
            (self.grace.is_some(), Capability::Grace),
            (self.stop_after.is_some(), Capability::Stop),
        ])
    }
}

capabilities! {
    /// A feature that an implementation of task groups may have.
    ///
    /// # Examples
    /// As in [`SUITE`](super::SUITE).
    pub enum Capability {
        /// Code that runs beside the tasks: it spawns when it likes, it may fail, and it may panic.
        Body = "body",
        /// Tasks that spawn tasks into their group.
        SpawnFromTasks = "spawn from tasks",
        /// A handle that spawns tasks, and that may outlive the group.
        Handle = "handle",
        /// It tells the errors that tasks return.
        Errors = "errors",
        /// The first failure stops the others.
        FailFast = "fail fast",
        /// No failure stops the others.
        CollectAll = "collect all",
        /// A stop from outside.
        Stop = "stop",
        /// A time for tasks to end by themselves, after a signal, before they are dropped.
        Grace = "grace",
        /// The signal to end says why.
        Reason = "reason",
        /// A time at which the group ends.
        Deadline = "deadline",
        /// A limit for the tasks that run at a time.
        Limit = "limit",
        /// Tasks have names, which it tells.
        Names = "names",
        /// It counts what finished and what was cancelled.
        Counts = "counts",
        /// A protection against being stopped.
        Shield = "shield",
        /// Calls that block a thread.
        Blocking = "blocking",
        /// A signal for such calls to end.
        BlockingSignal = "blocking signal",
    }
}
