//! The outcome of a program, as an adapter reports it.

use crate::reported_failure::{FailureKind, ReportedFailure, tasks_of};

/// The outcome of a program, as far as the implementation tells.
///
/// # Examples
/// ```
/// use evenkeel_tck::shutdown::{FailureKind, Outcome, ReportedFailure};
///
/// let outcome = Outcome::telling([ReportedFailure::named(FailureKind::Hung, "task 3")]).exiting(1);
/// assert_eq!((outcome.failures[0].task, outcome.code), (Some(3), Some(1)));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// The failures, in the order in which the implementation tells them.
    pub failures: Vec<ReportedFailure>,
    /// The exit code of the process.
    pub code: Option<u8>,
}

impl Outcome {
    /// An outcome with these failures.
    #[must_use]
    pub fn telling(failures: impl IntoIterator<Item = ReportedFailure>) -> Self {
        Self { failures: failures.into_iter().collect(), code: None }
    }

    /// With the exit code of the process.
    #[must_use]
    pub fn exiting(mut self, code: u8) -> Self {
        self.code = Some(code);
        self
    }

    /// The tasks with a failure of this kind, in the order of their numbers.
    pub(crate) fn of(&self, kind: FailureKind) -> Vec<u32> {
        let mut tasks = tasks_of(&self.failures, kind);
        tasks.sort_unstable();
        tasks
    }
}
