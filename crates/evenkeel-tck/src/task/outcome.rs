//! The outcome of a group, as an adapter reports it.

use crate::{
    probe_task::Refused,
    told::{Kind, Told, tasks_of},
};

/// The outcome of a group, as far as the implementation tells.
///
/// Without a failure it is a success. Made from a `Result` where an implementation gives back the first error and no
/// other.
///
/// # Examples
/// ```
/// use evenkeel_tck::task::{Kind, Outcome, Told};
///
/// let outcome = Outcome::telling([Told::new(Kind::Deadline)]).counting(3, 1);
/// assert_eq!((outcome.told.len(), outcome.counts), (1, Some((3, 1))));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// The failures, in the order in which the implementation tells them.
    pub told: Vec<Told>,
    /// How many tasks finished, and how many were cancelled.
    pub counts: Option<(usize, usize)>,
}

impl Outcome {
    /// An outcome with these failures.
    #[must_use]
    pub fn telling(told: impl IntoIterator<Item = Told>) -> Self {
        Self { told: told.into_iter().collect(), counts: None }
    }

    /// With the numbers of tasks that finished and that were cancelled.
    #[must_use]
    pub fn counting(mut self, finished: usize, cancelled: usize) -> Self {
        self.counts = Some((finished, cancelled));
        self
    }

    /// The tasks with an error or a panic.
    pub(crate) fn failed(&self) -> Vec<u32> {
        let is_own = |told: &&Told| matches!(told.kind, Kind::Error | Kind::Panic);
        self.told.iter().filter(is_own).filter_map(|told| told.task).collect()
    }

    /// The tasks with a failure of this kind.
    pub(crate) fn of(&self, kind: Kind) -> Vec<u32> {
        tasks_of(&self.told, kind)
    }
}

impl From<Result<(), Refused>> for Outcome {
    fn from(result: Result<(), Refused>) -> Self {
        Self::telling(result.err().map(Told::from))
    }
}
