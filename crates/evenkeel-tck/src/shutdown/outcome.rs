//! The outcome of a program, as an adapter reports it.

use super::Refused;
use crate::probe_task::panicked_task;

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

/// One failure.
///
/// # Examples
/// As in [`Outcome`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Told {
    /// The kind of the failure.
    pub kind: Kind,
    /// The number of the task, if the implementation tells it.
    pub task: Option<u32>,
}

/// The kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// An error was returned.
    Error,
    /// It panicked.
    Panic,
    /// It did not stop in its time.
    Hung,
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
        let mut tasks: Vec<u32> =
            self.told.iter().filter(|told| told.kind == kind).filter_map(|told| told.task).collect();
        tasks.sort_unstable();
        tasks
    }
}

impl Told {
    /// A failure without a task.
    #[must_use]
    pub const fn new(kind: Kind) -> Self {
        Self { kind, task: None }
    }

    /// A failure with the [name](super::Job::name) of its task, or with a path that ends in it.
    #[must_use]
    pub fn named(kind: Kind, name: &str) -> Self {
        Self { kind, task: name.rsplit(' ').next().and_then(|number| number.parse().ok()) }
    }

    /// A panic with this message.
    #[must_use]
    pub fn panic(message: &str) -> Self {
        Self { kind: Kind::Panic, task: panicked_task(message) }
    }
}

impl From<Refused> for Told {
    fn from(error: Refused) -> Self {
        Self { kind: Kind::Error, task: Some(error.task) }
    }
}
