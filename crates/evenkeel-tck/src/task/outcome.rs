//! The outcome of a group, as an adapter reports it.

use tokio::task::JoinError;

use crate::{
    probe_task::{Refused, panicked_task},
    rule::panic_message,
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

/// One failure.
///
/// # Examples
/// As in [`Outcome`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Told {
    /// The kind of the failure.
    pub kind: Kind,
    /// The number of the task, if the error or the panic tells it; 0 is the body.
    pub task: Option<u32>,
    /// The name of the task, if the implementation keeps it.
    pub name: Option<String>,
}

/// The kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// An error was returned.
    Error,
    /// It panicked.
    Panic,
    /// The time was over.
    Deadline,
    /// It was stopped.
    Stopped,
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
        self.told.iter().filter(|told| told.kind == kind).filter_map(|told| told.task).collect()
    }
}

impl Told {
    /// A failure without a task.
    #[must_use]
    pub const fn new(kind: Kind) -> Self {
        Self { kind, task: None, name: None }
    }

    /// A panic with this message.
    ///
    /// # Examples
    /// ```
    /// use evenkeel_tck::task::Told;
    ///
    /// assert_eq!(Told::panic("task 3 panicked").task, Some(3));
    /// ```
    #[must_use]
    pub fn panic(message: &str) -> Self {
        Self { task: panicked_task(message), ..Self::new(Kind::Panic) }
    }

    /// With the name of the task.
    #[must_use]
    pub fn of(mut self, name: Option<&str>) -> Self {
        self.name = name.map(str::to_owned);
        self
    }
}

impl From<Refused> for Told {
    fn from(error: Refused) -> Self {
        Self { task: Some(error.task), ..Self::new(Kind::Error) }
    }
}

/// A panic, or a task that was aborted.
impl From<JoinError> for Told {
    fn from(error: JoinError) -> Self {
        match error.try_into_panic() {
            Ok(payload) => Self::panic(&panic_message(&*payload)),
            Err(_) => Self::new(Kind::Stopped),
        }
    }
}

impl From<Result<(), Refused>> for Outcome {
    fn from(result: Result<(), Refused>) -> Self {
        Self::telling(result.err().map(Told::from))
    }
}
