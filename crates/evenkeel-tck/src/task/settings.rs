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
    /// What becomes of the others when a task fails.
    pub on_failure: OnFailure,
    /// How many tasks may run at a time. One rule asks for zero.
    pub limit: Option<usize>,
    /// The group is to end so long after it began.
    pub deadline: Option<Duration>,
    /// How long tasks may take to end by themselves when the group has to stop, after they were told.
    pub grace: Option<Duration>,
    /// A stop for the group comes from outside so long after it began.
    pub stop_after: Option<Duration>,
}

/// What becomes of the others when a task fails.
///
/// # Examples
/// As in [`Adapter`](super::Adapter).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFailure {
    /// Whatever the implementation usually does.
    #[default]
    Usual,
    /// They are stopped.
    Stop,
    /// They go on until they end.
    GoOn,
}

impl Settings {
    /// What is usual, and nothing else.
    pub(crate) fn usual() -> Self {
        Self::default()
    }

    /// The first failure stops the group.
    pub(crate) fn fail_fast() -> Self {
        Self { on_failure: OnFailure::Stop, ..Self::default() }
    }

    /// No failure stops the group.
    pub(crate) fn collecting() -> Self {
        Self { on_failure: OnFailure::GoOn, ..Self::default() }
    }

    /// A stop comes after this time.
    pub(crate) fn stopped(after: Duration) -> Self {
        Self { stop_after: Some(after), ..Self::default() }
    }

    /// What an implementation must have for these settings.
    pub(crate) fn needs(&self) -> impl Iterator<Item = Capability> {
        let needed = [
            (self.on_failure == OnFailure::Stop, Capability::FailFast),
            (self.on_failure == OnFailure::GoOn, Capability::CollectAll),
            (self.limit.is_some(), Capability::Limit),
            (self.deadline.is_some(), Capability::Deadline),
            (self.grace.is_some(), Capability::Grace),
            (self.stop_after.is_some(), Capability::Stop),
        ];
        needed.into_iter().filter_map(|(is_needed, capability)| is_needed.then_some(capability))
    }
}
