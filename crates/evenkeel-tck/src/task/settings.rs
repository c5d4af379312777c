//! The settings of a group.

use std::time::Duration;

use super::Capability;
use crate::subject::where_needed;

/// The configuration of an implementation; an adapter returns [`AdapterError`](crate::AdapterError) where it cannot be.
///
/// It never has a setting whose [`Capability`] the adapter does not support.
///
/// # Examples
/// As in [`Adapter`](super::Adapter).
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
/// As in [`Adapter`](super::Adapter).
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

    /// The capabilities that an implementation needs for these settings.
    pub(crate) fn needs(&self) -> impl Iterator<Item = Capability> {
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
