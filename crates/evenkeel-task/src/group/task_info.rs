//! Who is running in a group.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

use crate::error::OneLine;

/// A task that is alive in a group, see [`Group::live`](crate::Group::live).
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), evenkeel_task::GroupError> {
/// # use evenkeel_task::group;
/// use std::time::Duration;
/// use tokio::time::sleep;
///
/// group(async |g| {
///     g.task("import").spawn(sleep(Duration::from_secs(60)));
///     sleep(Duration::from_secs(5)).await;
///     let task = &g.live()[0];
///     assert_eq!(task.to_string(), format!("task 'import' ({}) runs for 5s", task.place));
///     Ok(())
/// })
/// .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskInfo {
    /// Its name, where it has one.
    pub name: Option<Cow<'static, str>>,
    /// Where it was spawned.
    pub place: &'static Location<'static>,
    /// How long it has run since its first poll, or waited for its turn, by tokio's clock.
    pub age: Duration,
    /// How often it was [started again](crate::Task::supervise).
    pub restarts: u32,
    /// What it is doing.
    pub state: State,
}

/// What a task that is alive is doing.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), evenkeel_task::GroupError> {
/// use evenkeel_task::{Group, State};
/// use std::future::ready;
/// use tokio::task::yield_now;
///
/// let run = Group::builder().limit(1).run(async |g| {
///     g.spawn(yield_now());
///     g.spawn(ready(()));
///     yield_now().await;
///     assert!(g.live().iter().map(|task| task.state).eq([State::Running, State::Waiting]));
///     Ok(())
/// });
/// run.await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It waits for its turn, as the group has a [limit](crate::GroupBuilder::limit).
    Waiting,
    /// It runs.
    Running,
    /// It was told to abort, and has not ended: it is in the middle of a poll.
    Aborting,
    /// Its caller is gone and it must end by itself: a [`shield`](crate::shield), a clean-up of
    /// [`using`](crate::using()), a [`blocking`](crate::blocking()) call, a task that a dropped group or
    /// [`Background`](crate::Background) left.
    Leaving,
}

impl State {
    pub(super) fn is_waiting(self) -> bool {
        self == Self::Waiting
    }
}

impl fmt::Display for TaskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("task ")?;
        if let Some(name) = &self.name {
            write!(f, "'{}' ", OneLine(name))?;
        }
        let doing = match self.state {
            State::Waiting => "waits for its turn",
            State::Running => "runs",
            State::Aborting => "was told to abort and runs",
            State::Leaving => "was left by its caller and runs",
        };
        write!(f, "({}) {doing} for {:?}", self.place, self.age)
    }
}
