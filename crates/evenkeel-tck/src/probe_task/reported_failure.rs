//! One failure, as an adapter of groups or of programs reports it.

use std::{error::Error, fmt};

use tokio::task::JoinError;

use crate::rule::panic_message;

/// One failure, as far as the implementation tells: also the error of a [`Task`](super::Task).
///
/// # Examples
/// ```
/// use evenkeel_tck::task::{FailureKind, ReportedFailure};
///
/// assert_eq!(ReportedFailure::panic("task 3 panicked").task, Some(3));
/// assert_eq!(ReportedFailure::named(FailureKind::Hung, "server/task 3").task, Some(3));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReportedFailure {
    /// The kind of the failure.
    pub kind: FailureKind,
    /// The number of the task, if the implementation tells it; 0 is the body of a group.
    pub task: Option<u32>,
    /// The name of the task, if the rules ask for it and the implementation keeps it.
    pub name: Option<String>,
}

/// The kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureKind {
    /// An error was returned.
    Error,
    /// It panicked.
    Panic,
    /// The time of the group was over.
    Deadline,
    /// It was stopped.
    Stopped,
    /// It did not stop in its time.
    Hung,
}

impl ReportedFailure {
    /// A failure without a task.
    #[must_use]
    pub const fn new(kind: FailureKind) -> Self {
        Self { kind, task: None, name: None }
    }

    /// The error of the task with this number.
    pub(crate) const fn error(task: u32) -> Self {
        Self { kind: FailureKind::Error, task: Some(task), name: None }
    }

    /// A failure with the [name](super::Task::name) of its task, or with a path that ends in it.
    #[must_use]
    pub fn named(kind: FailureKind, name: &str) -> Self {
        Self { task: name.rsplit(' ').next().and_then(|number| number.parse().ok()), ..Self::new(kind) }
    }

    /// A panic with this message.
    #[must_use]
    pub fn panic(message: &str) -> Self {
        Self { task: panicked_task(message), ..Self::new(FailureKind::Panic) }
    }

    /// With the name of the task.
    #[must_use]
    pub fn of(mut self, name: Option<&str>) -> Self {
        self.name = name.map(str::to_owned);
        self
    }
}

/// A panic, or a task that was aborted.
impl From<JoinError> for ReportedFailure {
    fn from(error: JoinError) -> Self {
        match error.try_into_panic() {
            Ok(payload) => Self::panic(&panic_message(&*payload)),
            Err(_) => Self::new(FailureKind::Stopped),
        }
    }
}

impl fmt::Display for ReportedFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.task {
            Some(task) => write!(f, "task {task}: {:?}", self.kind),
            None => write!(f, "{:?}", self.kind),
        }
    }
}

impl Error for ReportedFailure {}

/// The number of the task that panicked with this message.
fn panicked_task(message: &str) -> Option<u32> {
    message.strip_prefix("task ")?.split(' ').next()?.parse().ok()
}
