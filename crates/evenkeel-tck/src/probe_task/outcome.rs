//! The outcome of a group or of a program, as an adapter reports it.

use super::reported_failure::{FailureKind, ReportedFailure};

/// The outcome of a group or of a program, as far as the implementation tells.
///
/// Without a failure it is a success. Made from a `Result` where an implementation gives back the first error and no
/// other.
///
/// # Examples
/// ```
/// use evenkeel_tck::{shutdown, task::{ReportedFailure, FailureKind, Outcome}};
///
/// let group = Outcome::telling([ReportedFailure::new(FailureKind::Deadline)]).counting(3, 1);
/// assert_eq!((group.failures.len(), group.counts), (1, Some((3, 1))));
/// let program = shutdown::Outcome::telling([ReportedFailure::named(FailureKind::Hung, "task 3")]).exiting(1);
/// assert_eq!((program.failures[0].task, program.code), (Some(3), Some(1)));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// The failures, in the order in which the implementation tells them.
    pub failures: Vec<ReportedFailure>,
    /// How many tasks of a group finished, and how many were cancelled.
    pub counts: Option<(usize, usize)>,
    /// The exit code of the process that runs a program.
    pub code: Option<u8>,
}

impl Outcome {
    /// An outcome with these failures.
    #[must_use]
    pub fn telling(failures: impl IntoIterator<Item = ReportedFailure>) -> Self {
        Self { failures: failures.into_iter().collect(), ..Self::default() }
    }

    /// With the numbers of tasks that finished and that were cancelled.
    #[must_use]
    pub fn counting(self, finished: usize, cancelled: usize) -> Self {
        Self { counts: Some((finished, cancelled)), ..self }
    }

    /// With the exit code of the process.
    #[must_use]
    pub fn exiting(self, code: u8) -> Self {
        Self { code: Some(code), ..self }
    }

    /// The tasks with an error or a panic, in the order in which the implementation tells them.
    pub(crate) fn failed(&self) -> Vec<u32> {
        self.tasks(|kind| matches!(kind, FailureKind::Error | FailureKind::Panic))
    }

    /// The tasks with a failure of this kind, in the order of their numbers.
    pub(crate) fn of(&self, kind: FailureKind) -> Vec<u32> {
        sorted(self.tasks(|other| other == kind))
    }

    fn tasks(&self, of: impl Fn(FailureKind) -> bool) -> Vec<u32> {
        let failures = self.failures.iter().filter(|failure| of(failure.kind));
        failures.filter_map(|failure| failure.task).collect()
    }
}

/// The same numbers in their order.
pub(crate) fn sorted(mut tasks: Vec<u32>) -> Vec<u32> {
    tasks.sort_unstable();
    tasks
}

impl From<Result<(), ReportedFailure>> for Outcome {
    fn from(result: Result<(), ReportedFailure>) -> Self {
        Self::telling(result.err())
    }
}
