//! The tasks that hold objects and those that wait, to find a deadlock.
//!
//! A pool is deadlocked if all objects are leased by tasks that wait for one. Each change is counted, so that the question
//! is answered at once: the number of leases is known whose task does not wait.

use std::collections::HashMap;
#[cfg(not(feature = "inspect"))]
use std::thread::{self, ThreadId};

#[cfg(feature = "inspect")]
pub(crate) use evenkeel_inspect::TaskId as TaskKey;
#[cfg(not(feature = "inspect"))]
use tokio::task;

/// A task of tokio; or a thread, for the future that it blocks on.
#[cfg(not(feature = "inspect"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TaskKey {
    Task(task::Id),
    Thread(ThreadId),
}

#[cfg(not(feature = "inspect"))]
impl TaskKey {
    pub(crate) fn current() -> Self {
        task::try_id().map_or_else(|| Self::Thread(thread::current().id()), Self::Task)
    }
}

/// The leases and the waits of all tasks.
#[derive(Debug)]
pub(super) struct TaskCounts {
    tasks: HashMap<TaskKey, TaskCount>,
    /// The number of leases whose tasks do not wait.
    free: usize,
    /// Whether the pool looks for deadlocks.
    #[cfg(feature = "inspect")]
    is_on: bool,
}

#[derive(Debug, Default)]
struct TaskCount {
    leases: usize,
    waits: usize,
}

impl TaskCounts {
    pub(super) fn new(_is_on: bool) -> Self {
        Self {
            tasks: HashMap::new(),
            free: 0,
            #[cfg(feature = "inspect")]
            is_on: _is_on,
        }
    }

    /// Returns whether no lease has a task that can return it.
    pub(super) fn are_stuck(&self) -> bool {
        self.free == 0
    }

    pub(super) fn lease_begins(&mut self, task: TaskKey) {
        self.change(task, |count| count.leases += 1);
    }

    pub(super) fn lease_ends(&mut self, task: TaskKey) {
        self.change(task, |count| count.leases -= 1);
    }

    pub(super) fn wait_begins(&mut self, task: TaskKey) {
        self.change(task, |count| count.waits += 1);
    }

    pub(super) fn wait_ends(&mut self, task: TaskKey) {
        self.change(task, |count| count.waits -= 1);
    }

    /// Returns whether tasks are counted; else they are known for dumps alone.
    #[inline]
    pub(super) fn are_counted(&self) -> bool {
        #[cfg(feature = "inspect")]
        {
            self.is_on
        }
        #[cfg(not(feature = "inspect"))]
        {
            true
        }
    }

    fn change(&mut self, task: TaskKey, change: impl FnOnce(&mut TaskCount)) {
        if !self.are_counted() {
            return;
        }
        let free = |count: &TaskCount| if count.waits == 0 { count.leases } else { 0 };
        let count = self.tasks.entry(task).or_default();
        self.free -= free(count);
        change(count);
        self.free += free(count);
        if count.leases + count.waits == 0 {
            self.tasks.remove(&task);
        }
    }
}
