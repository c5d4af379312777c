//! The events of a task for the timelines of evenkeel-testkit, by the probe of evenkeel-inspect; without the feature `inspect` it
//! is empty.

use std::{borrow::Cow, panic::Location};

use super::{
    shared::Shared,
    task_entry::{State, TaskEnd},
};

/// Tells of the begin, the polls and the end of one task.
#[derive(Debug, Default)]
pub(super) struct TaskProbe {
    #[cfg(feature = "inspect")]
    probe: evenkeel_inspect::TaskProbe,
}

#[cfg(feature = "inspect")]
impl TaskProbe {
    /// Tells that the task begins, unless it is known.
    #[inline(always)]
    pub(super) fn begin(
        &mut self,
        group: &Shared,
        place: &'static Location<'static>,
        state: State,
        name: impl FnOnce() -> Option<Cow<'static, str>>,
    ) {
        self.probe.begin(|| evenkeel_inspect::BegunTask {
            task: evenkeel_inspect::TaskId::current(),
            name: name(),
            place,
            group: group.inspection.id(),
            group_place: group.place,
            is_waiting: state == State::Waiting,
        });
    }

    #[inline(always)]
    pub(super) fn count_poll(&mut self) {
        self.probe.count_poll();
    }

    /// Tells that the task has got its slot.
    #[inline(always)]
    pub(super) fn admit(&self) {
        self.probe.admit();
    }

    #[inline(always)]
    pub(super) fn end(&mut self, end: &TaskEnd) {
        use evenkeel_inspect::TaskOutcome;

        use crate::Cause;
        self.probe.end(|| match end {
            TaskEnd::Finished => TaskOutcome::Done,
            TaskEnd::Cancelled => TaskOutcome::Cancelled,
            TaskEnd::Failed(Cause::Panic(_)) => TaskOutcome::Panicked,
            TaskEnd::Failed(Cause::RuntimeShutdown) => TaskOutcome::RuntimeShutdown,
            TaskEnd::Failed(_) => TaskOutcome::Failed,
        });
    }
}

#[cfg(not(feature = "inspect"))]
#[expect(clippy::unused_self, reason = "the same methods as with the feature")]
impl TaskProbe {
    #[inline(always)]
    pub(super) fn begin(
        &mut self,
        _group: &Shared,
        _place: &'static Location<'static>,
        _state: State,
        _name: impl FnOnce() -> Option<Cow<'static, str>>,
    ) {
    }

    #[inline(always)]
    pub(super) fn count_poll(&mut self) {}

    #[inline(always)]
    pub(super) fn admit(&self) {}

    #[inline(always)]
    pub(super) fn end(&mut self, _end: &TaskEnd) {}
}
