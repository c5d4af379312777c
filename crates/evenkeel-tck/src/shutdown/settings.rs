//! The settings of a program.

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

    /// The capabilities that an implementation needs for these settings.
    pub(crate) fn needs(&self) -> impl Iterator<Item = Capability> {
        where_needed([
            (self.again_after.is_some(), Capability::Again),
            (self.grace.is_some(), Capability::Grace),
            (self.pre_stop.is_some(), Capability::PreStop),
            (self.alone_after.is_some(), Capability::StopAlone),
            (self.signals, Capability::Signals),
        ])
    }
}
