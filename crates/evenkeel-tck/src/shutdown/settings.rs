use std::time::Duration;

use super::Capability;

/// How an implementation is to be configured; an adapter says [`Unfit`](crate::Unfit) where it cannot be.
///
/// It never has a setting whose [`Capability`] the adapter does not support.
///
/// # Examples
/// As in [`Adapter`](super::Adapter).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Settings {
    /// The program is asked to stop so long after it began.
    pub stop_after: Option<Duration>,
    /// It is asked again so long after it began.
    pub again_after: Option<Duration>,
    /// How long tasks may take to stop before they are given up. Unless set, as long as is usual.
    pub grace: Option<Duration>,
    /// How long tasks go on as before when the program is asked to stop.
    pub pre_stop: Option<Duration>,
    /// Task 1 alone is to be stopped so long after the program began.
    pub alone_after: Option<Duration>,
    /// The program is to listen to SIGINT, in place of the stop, and where it is asked again, of that too.
    pub signals: bool,
}

impl Settings {
    /// A program that nobody asks to stop.
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

    /// What an implementation must have for these settings.
    pub(crate) fn needs(&self) -> impl Iterator<Item = Capability> {
        let needed = [
            (self.again_after.is_some(), Capability::Again),
            (self.grace.is_some(), Capability::Grace),
            (self.pre_stop.is_some(), Capability::PreStop),
            (self.alone_after.is_some(), Capability::StopAlone),
            (self.signals, Capability::Signals),
        ];
        needed.into_iter().filter_map(|(is_needed, capability)| is_needed.then_some(capability))
    }
}
