//! `TaskCell`: a task in atomic words.

use std::{
    fmt,
    sync::atomic::{
        AtomicU64,
        Ordering::{Acquire, Release},
    },
};

use crossbeam_utils::atomic::AtomicCell;
use tokio::task;

use crate::TaskId;

/// The task that uses something, which is set and read without a lock.
///
/// A value that is read while it is set may be the thread of one task and the kind of the other: its user has a number
/// beside it that tells.
#[doc(hidden)]
pub struct TaskCell {
    // tokio gives no number of a task that could be turned back into its identity; this is as large as that number.
    task: AtomicCell<Option<task::Id>>,
    thread: AtomicU64,
}

impl TaskCell {
    /// Creates a cell with a thread that is none.
    #[must_use]
    pub const fn new() -> Self {
        Self { task: AtomicCell::new(None), thread: AtomicU64::new(0) }
    }

    /// Sets the task, with `Release`.
    #[inline]
    pub fn set(&self, task: TaskId) {
        match task {
            TaskId::Task(task) => self.task.store(Some(task)),
            TaskId::Thread(thread) => {
                self.thread.store(thread, Release);
                self.task.store(None);
            }
        }
    }

    /// Returns the task, with `Acquire`.
    #[inline]
    #[must_use]
    pub fn get(&self) -> TaskId {
        match self.task.load() {
            Some(task) => TaskId::Task(task),
            None => TaskId::Thread(self.thread.load(Acquire)),
        }
    }
}

impl Default for TaskCell {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TaskCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TaskCell").field(&self.get()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_has_what_was_set() {
        let cell = TaskCell::new();
        assert_eq!(cell.get(), TaskId::Thread(0));
        let task = tokio::spawn(async { TaskId::current() }).await.unwrap();
        for set in [TaskId::Thread(7), task, TaskId::Thread(u64::MAX), TaskId::current()] {
            cell.set(set);
            assert_eq!(cell.get(), set);
        }
        assert!(AtomicCell::<Option<task::Id>>::is_lock_free(), "on a processor with words of 64 bits");
    }
}
