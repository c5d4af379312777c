//! The outcome of a group, as an adapter reports it.

use crate::{
    probe_task::Refused,
    reported_failure::{FailureKind, ReportedFailure, tasks_of},
};

/// The outcome of a group, as far as the implementation tells.
///
/// Without a failure it is a success. Made from a `Result` where an implementation gives back the first error and no
/// other.
///
/// # Examples
/// ```
/// use evenkeel_tck::task::{FailureKind, Outcome, ReportedFailure};
///
/// let outcome = Outcome::telling([ReportedFailure::new(FailureKind::Deadline)]).counting(3, 1);
/// assert_eq!((outcome.failures.len(), outcome.counts), (1, Some((3, 1))));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// The failures, in the order in which the implementation tells them.
    pub failures: Vec<ReportedFailure>,
    /// How many tasks finished, and how many were cancelled.
    pub counts: Option<(usize, usize)>,
}

impl Outcome {
    /// An outcome with these failures.
    #[must_use]
    pub fn telling(failures: impl IntoIterator<Item = ReportedFailure>) -> Self {
        Self { failures: failures.into_iter().collect(), counts: None }
    }

    /// With the numbers of tasks that finished and that were cancelled.
    #[must_use]
    pub fn counting(mut self, finished: usize, cancelled: usize) -> Self {
        self.counts = Some((finished, cancelled));
        self
    }

    /// The tasks with an error or a panic.
    pub(crate) fn failed(&self) -> Vec<u32> {
        let is_own =
            |failure: &&ReportedFailure| matches!(failure.kind, FailureKind::Error | FailureKind::Panic);
        self.failures.iter().filter(is_own).filter_map(|failure| failure.task).collect()
    }

    /// The tasks with a failure of this kind.
    pub(crate) fn of(&self, kind: FailureKind) -> Vec<u32> {
        tasks_of(&self.failures, kind)
    }
}

impl From<Result<(), Refused>> for Outcome {
    fn from(result: Result<(), Refused>) -> Self {
        Self::telling(result.err().map(ReportedFailure::from))
    }
}
