//! `TaskProbe`: tells an observer of the thread how a task of a group begins and ends, for a timeline.
//!
//! Without the feature `task-events` it is empty, and so are its methods. With it, a task that no observer was there for pays
//! for a look at a flag.

use std::{borrow::Cow, panic::Location};

use crate::TaskId;

/// A task in its first poll, as an observer learns of it.
#[derive(Debug)]
pub struct BegunTask {
    /// Its number.
    pub task: TaskId,
    /// Its name.
    pub name: Option<Cow<'static, str>>,
    /// The place at which it was spawned.
    pub place: &'static Location<'static>,
    /// The number of its group, from the [`Registration`](crate::Registration) of that.
    pub group: usize,
    /// The place at which its group was made.
    pub group_place: &'static Location<'static>,
    /// Whether it waits for a slot of its group first.
    pub is_waiting: bool,
}

/// How a task has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskOutcome {
    /// It has returned, and not failed.
    Done,
    /// It has returned an error.
    Failed,
    /// It was told to end, and its future was dropped.
    Cancelled,
    /// It has panicked.
    Panicked,
    /// Its runtime has dropped it.
    RuntimeShutdown,
}

/// Learns of the tasks of a thread.
pub trait TaskObserver: Send + Sync {
    /// A task begins; returns the number under which the observer has it.
    fn begin(&self, task: BegunTask) -> u32;

    /// A task has got its slot.
    fn admit(&self, number: u32);

    /// A task has ended, after that many polls.
    fn end(&self, number: u32, polls: u32, outcome: TaskOutcome);
}

/// The part of a task that its observer knows.
#[derive(Debug, Default)]
pub struct TaskProbe {
    #[cfg(feature = "task-events")]
    observed: observed::Task,
}

#[cfg(feature = "task-events")]
impl TaskProbe {
    /// Tells that the task begins, unless that was told, or nobody observes this thread.
    #[inline]
    pub fn begin(&mut self, describe: impl FnOnce() -> BegunTask) {
        if observed::is_on() {
            self.observed.begin(describe);
        }
    }

    /// Counts a poll.
    #[inline(always)]
    pub fn count_poll(&mut self) {
        self.observed.polls = self.observed.polls.saturating_add(1);
    }

    /// Tells that the task has got its slot.
    #[inline]
    pub fn admit(&self) {
        self.observed.admit();
    }

    /// Tells how the task has ended.
    #[inline]
    pub fn end(&mut self, outcome: impl FnOnce() -> TaskOutcome) {
        self.observed.end(outcome);
    }
}

#[cfg(not(feature = "task-events"))]
impl TaskProbe {
    /// Does nothing.
    #[inline(always)]
    pub fn begin(&mut self, _describe: impl FnOnce() -> BegunTask) {}

    /// Does nothing.
    #[inline(always)]
    pub fn count_poll(&mut self) {}

    /// Does nothing.
    #[inline(always)]
    pub fn admit(&self) {}

    /// Does nothing.
    #[inline(always)]
    pub fn end(&mut self, _outcome: impl FnOnce() -> TaskOutcome) {}
}

#[cfg(feature = "task-events")]
pub use self::observed::{ObserverGuard, observe_tasks};

#[cfg(feature = "task-events")]
mod observed {
    use std::{
        cell::{Cell, RefCell},
        fmt,
        num::NonZeroU32,
        sync::Arc,
    };

    use super::{BegunTask, TaskObserver, TaskOutcome};

    thread_local! {
        static IS_ON: Cell<bool> = const { Cell::new(false) };
        static OBSERVER: RefCell<Option<Arc<dyn TaskObserver>>> = const { RefCell::new(None) };
    }

    /// Tells this observer of the tasks of groups that this thread polls, until the guard is dropped.
    pub fn observe_tasks(observer: Arc<dyn TaskObserver>) -> ObserverGuard {
        IS_ON.set(true);
        ObserverGuard { previous: OBSERVER.replace(Some(observer)) }
    }

    /// Ends the observation of a thread when it is dropped.
    #[must_use = "dropping it ends the observation"]
    pub struct ObserverGuard {
        previous: Option<Arc<dyn TaskObserver>>,
    }

    impl fmt::Debug for ObserverGuard {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("ObserverGuard").finish_non_exhaustive()
        }
    }

    impl Drop for ObserverGuard {
        fn drop(&mut self) {
            IS_ON.set(self.previous.is_some());
            let ended = OBSERVER.replace(self.previous.take());
            drop(ended);
        }
    }

    pub(super) fn is_on() -> bool {
        // A thread that is ending may have lost it.
        IS_ON.try_with(Cell::get).unwrap_or(false)
    }

    fn with<R>(call: impl FnOnce(&dyn TaskObserver) -> R) -> Option<R> {
        OBSERVER.try_with(|observer| observer.borrow().as_deref().map(call)).ok().flatten()
    }

    #[derive(Debug, Default)]
    pub(super) struct Task {
        // The number of the observer plus one.
        number: Option<NonZeroU32>,
        pub(super) polls: u32,
    }

    impl Task {
        #[inline(never)]
        pub(super) fn begin(&mut self, describe: impl FnOnce() -> BegunTask) {
            if self.number.is_none() {
                let number = with(|observer| observer.begin(describe()));
                self.number = number.and_then(|number| NonZeroU32::new(number.saturating_add(1)));
            }
        }

        #[inline]
        pub(super) fn admit(&self) {
            if let Some(number) = self.number {
                with(|observer| observer.admit(number.get() - 1));
            }
        }

        #[inline]
        pub(super) fn end(&mut self, outcome: impl FnOnce() -> TaskOutcome) {
            if let Some(number) = self.number.take() {
                with(|observer| observer.end(number.get() - 1, self.polls, outcome()));
            }
        }
    }
}
