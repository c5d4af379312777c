//! A group of tasks, and the waits among them.

use std::{borrow::Cow, fmt, panic::Location, time::Duration};

use crate::{TaskId, WaiterEdge};

/// A group, with its tasks that are alive.
///
/// As text, its title: `group (src/main.rs:7:5)`.
///
/// # Examples
///
/// ```
/// use evenkeel_inspect::{InspectedGroup, TaskId};
/// use std::{panic::Location, time::Duration};
///
/// let place = Location::caller();
/// let group = InspectedGroup::new(place, TaskId::current(), Duration::from_secs(2));
/// assert_eq!(group.to_string(), format!("group ({place})"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InspectedGroup {
    /// The number of the object, from its [`Registration`](crate::Registration); the registry sets it.
    pub id: usize,
    /// The place at which it was made.
    pub place: &'static Location<'static>,
    /// The task that runs its body, and then waits for its tasks.
    pub owner: TaskId,
    /// The time since its start, by tokio's clock.
    pub age: Duration,
    /// The maximum number of its tasks that run at a time.
    pub limit: Option<u64>,
    /// The slots of the limit that are in use.
    pub in_use: u64,
    /// Its tasks, the oldest first.
    pub tasks: Vec<InspectedTask>,
    /// The wait of the owner for all tasks, when the body has ended.
    pub join: Option<WaiterEdge>,
    /// The waits for single tasks of the group, by their handles.
    pub child_waits: Vec<ChildWait>,
}

impl InspectedGroup {
    /// Creates the description of a group without tasks, to be filled in.
    #[must_use]
    pub fn new(place: &'static Location<'static>, owner: TaskId, age: Duration) -> Self {
        Self {
            id: 0,
            place,
            owner,
            age,
            limit: None,
            in_use: 0,
            tasks: Vec::new(),
            join: None,
            child_waits: Vec::new(),
        }
    }

    /// Returns the number of tasks that wait for a slot.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.tasks.iter().filter(|task| task.phase == TaskPhase::Waiting).count()
    }
}

impl fmt::Display for InspectedGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group ({})", self.place)
    }
}

/// A task of a group.
///
/// As text: `task 'import' (src/main.rs:9:5)`.
///
/// # Examples
///
/// ```
/// use evenkeel_inspect::{InspectedTask, TaskPhase};
/// use std::{panic::Location, time::Duration};
///
/// let place = Location::caller();
/// let mut task = InspectedTask::new(place, TaskPhase::Running, Duration::from_secs(2));
/// task.name = Some("import".into());
/// assert_eq!(task.to_string(), format!("task 'import' ({place})"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InspectedTask {
    /// Its number; `None` in its first poll.
    pub id: Option<TaskId>,
    /// Its name.
    pub name: Option<Cow<'static, str>>,
    /// The place at which it was spawned.
    pub place: &'static Location<'static>,
    /// The time for which it has run since its first poll, or waited for a slot, by tokio's clock.
    pub age: Duration,
    /// The number of times that it was started again.
    pub restarts: u32,
    /// Its state.
    pub phase: TaskPhase,
}

impl InspectedTask {
    /// Creates the description of a task without a number and a name.
    #[must_use]
    pub fn new(place: &'static Location<'static>, phase: TaskPhase, age: Duration) -> Self {
        Self { id: None, name: None, place, age, restarts: 0, phase }
    }
}

impl fmt::Display for InspectedTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, self.id) {
            (Some(name), _) => write!(f, "task '{}' ({})", name.escape_debug(), self.place),
            (None, Some(id)) => write!(f, "{id} ({})", self.place),
            (None, None) => write!(f, "task ({})", self.place),
        }
    }
}

/// The state of a task in a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskPhase {
    /// It waits for a slot of its group.
    Waiting,
    /// It runs.
    Running,
    /// Its group told it to abort, and it is in the middle of a poll.
    Aborting,
    /// Its caller is gone, and it ends by itself.
    Detached,
}

impl TaskPhase {
    /// Returns the state as one word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Aborting => "aborting",
            Self::Detached => "detached",
        }
    }
}

/// The wait of a task for one task of a group, by its handle.
///
/// # Examples
///
/// ```
/// use evenkeel_inspect::{ChildWait, TaskId};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let child = tokio::spawn(async { TaskId::current() }).await.unwrap();
/// let wait = ChildWait::new(1, TaskId::current(), child, Duration::from_secs(2));
/// assert_eq!(wait.child, child);
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildWait {
    /// The number of the wait, which no other wait in the group gets.
    pub number: u64,
    /// The task that waits.
    pub task: TaskId,
    /// The task that it waits for.
    pub child: TaskId,
    /// The time for which it has waited, by tokio's clock.
    pub waited: Duration,
}

impl ChildWait {
    /// Creates the description of a wait.
    #[must_use]
    pub fn new(number: u64, task: TaskId, child: TaskId, waited: Duration) -> Self {
        Self { number, task, child, waited }
    }
}
