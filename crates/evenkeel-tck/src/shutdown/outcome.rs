use super::Refused;
use crate::life::who_panicked;

/// What a program comes to, as far as the implementation tells.
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
    /// What went wrong, in the order in which the implementation tells it.
    pub told: Vec<Told>,
    /// The exit code of the process.
    pub code: Option<u8>,
}

/// One thing that went wrong.
///
/// # Examples
/// As in [`Outcome`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Told {
    /// Of what kind it was.
    pub kind: Kind,
    /// The number of the task, if the implementation tells it.
    pub task: Option<u32>,
}

/// The kinds of things that go wrong.
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
    /// These things went wrong.
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

    /// The tasks of which this is told, in the order of their numbers.
    pub(crate) fn of(&self, kind: Kind) -> Vec<u32> {
        let mut tasks: Vec<u32> =
            self.told.iter().filter(|told| told.kind == kind).filter_map(|told| told.task).collect();
        tasks.sort_unstable();
        tasks
    }
}

impl Told {
    /// Something of which no task is told.
    #[must_use]
    pub const fn new(kind: Kind) -> Self {
        Self { kind, task: None }
    }

    /// Something that is told with the [name](super::Job::name) of a task, or with a path that ends in it.
    #[must_use]
    pub fn named(kind: Kind, name: &str) -> Self {
        Self { kind, task: name.rsplit(' ').next().and_then(|number| number.parse().ok()) }
    }

    /// A panic with this message.
    #[must_use]
    pub fn panic(message: &str) -> Self {
        Self { kind: Kind::Panic, task: who_panicked(message) }
    }
}

impl From<Refused> for Told {
    fn from(error: Refused) -> Self {
        Self { kind: Kind::Error, task: Some(error.task) }
    }
}
