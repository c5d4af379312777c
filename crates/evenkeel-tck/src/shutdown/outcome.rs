//! The outcome of a program, as an adapter reports it.

use crate::told::{Kind, Told, tasks_of};

/// The outcome of a program, as far as the implementation tells.
///
/// # Examples
/// ```
/// use evenkeel_tck::shutdown::{Kind, Outcome, Told};
///
/// let outcome = Outcome::telling([Told::named(Kind::Hung, "task 3")]).exiting(1);
/// assert_eq!((outcome.told[0].task, outcome.code), (Some(3), Some(1)));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// The failures, in the order in which the implementation tells them.
    pub told: Vec<Told>,
    /// The exit code of the process.
    pub code: Option<u8>,
}

impl Outcome {
    /// An outcome with these failures.
    #[must_use]
    pub fn telling(told: impl IntoIterator<Item = Told>) -> Self {
        Self { told: told.into_iter().collect(), code: None }
    }

    /// With the exit code of the process.
    #[must_use]
    pub fn exiting(mut self, code: u8) -> Self {
        self.code = Some(code);
        self
    }

    /// The tasks with a failure of this kind, in the order of their numbers.
    pub(crate) fn of(&self, kind: Kind) -> Vec<u32> {
        let mut tasks = tasks_of(&self.told, kind);
        tasks.sort_unstable();
        tasks
    }
}
