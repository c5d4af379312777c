//! The task that waits or holds.

use std::{
    cell::Cell,
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use tokio::task;

/// A task of tokio; or a thread, for the future that it blocks on.
///
/// As text: `task 12`, `thread 3`. Numbers of tasks are tokio's, and never used again. Threads are numbered in the order in
/// which they first came here.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use evenkeel_inspect::TaskId;
///
/// let main = TaskId::current();
/// let task = tokio::spawn(async { TaskId::current() }).await.unwrap();
/// assert!(matches!(main, TaskId::Thread(_)));
/// assert!(matches!(task, TaskId::Task(_)));
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskId {
    /// A task of tokio.
    Task(task::Id),
    /// A thread, outside of any task.
    Thread(u64),
}

impl TaskId {
    /// Returns the task that runs on this thread.
    #[inline]
    #[must_use]
    pub fn current() -> Self {
        match task::try_id() {
            Some(id) => Self::Task(id),
            None => Self::Thread(thread_number()),
        }
    }
}

/// Returns the number of this thread, from 1 on.
#[doc(hidden)]
#[inline]
#[must_use]
pub fn thread_number() -> u64 {
    static THREADS: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        // Zero until the thread has a number.
        static NUMBER: Cell<u64> = const { Cell::new(0) };
    }
    #[cold]
    fn next() -> u64 {
        let next = THREADS.fetch_add(1, Ordering::Relaxed) + 1;
        NUMBER.set(next);
        next
    }
    match NUMBER.get() {
        0 => next(),
        number => number,
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(id) => write!(f, "task {id}"),
            Self::Thread(number) => write!(f, "thread {number}"),
        }
    }
}
