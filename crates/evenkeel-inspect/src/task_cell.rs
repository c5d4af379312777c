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
/// The thread is set before: it stands for the future that it blocks on, while it runs no task. One that is read while it is
/// set may be the thread of one user and the kind of another: its user has a number beside it that tells.
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

    /// Sets the thread, by its [number](crate::thread_number), with `Release`.
    pub fn set_thread(&self, thread: u64) {
        self.thread.store(thread, Release);
    }

    /// Sets the task, if it is one, with `Release`: in a single step.
    #[inline]
    pub fn set(&self, task: Option<task::Id>) {
        self.task.store(task);
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
        cell.set_thread(7);
        assert_eq!(cell.get(), TaskId::Thread(7));
        let task = tokio::spawn(async { task::id() }).await.unwrap();
        cell.set(Some(task));
        assert_eq!(cell.get(), TaskId::Task(task));
        cell.set_thread(u64::MAX);
        assert_eq!(cell.get(), TaskId::Task(task));
        cell.set(task::try_id());
        assert_eq!(cell.get(), TaskId::Thread(u64::MAX));
        assert!(AtomicCell::<Option<task::Id>>::is_lock_free(), "on a processor with words of 64 bits");
    }
}
