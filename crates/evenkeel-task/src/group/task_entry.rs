//! The entry of a task in the registry of its group, and its public description, [`TaskInfo`].

use std::{borrow::Cow, fmt, panic::Location, task::Waker, time::Duration};

#[cfg(feature = "inspect")]
use evenkeel_inspect::{InspectedTask, TaskId, TaskPhase};
use tokio::time::Instant;

use crate::{Cause, Failure, error::OneLine, telemetry};

/// The name of a task, boxed, as most tasks have none.
pub(super) type TaskName = Box<Cow<'static, str>>;

/// A task of a group, or detached work, in a slot of the registry. There may be many, so it is small.
#[derive(Debug)]
pub(super) struct TaskEntry {
    name: Option<TaskName>,
    place: &'static Location<'static>,
    // In nanoseconds since the start of the registry: half as large as an `Instant`. Less than zero if the clock of the
    // task's runtime is behind that of its group.
    started: i64,
    // From the first poll that was pending until the task is told to abort.
    waker: Option<Waker>,
    restarts: u32,
    state: State,
    // From the first poll that was pending.
    #[cfg(feature = "inspect")]
    id: Option<tokio::task::Id>,
}

impl TaskEntry {
    /// `base` is the start of the registry.
    pub(super) fn new(name: Option<TaskName>, first: FirstPoll, base: Instant) -> Self {
        let FirstPoll { place, started, state } = first;
        Self {
            name,
            place,
            started: nanos_between(base, started),
            waker: None,
            restarts: 0,
            state,
            #[cfg(feature = "inspect")]
            id: None,
        }
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    /// Returns whether it is detached work, which is waited for, and neither counted nor aborted.
    pub(super) fn name(&self) -> Option<Cow<'static, str>> {
        self.name.as_deref().cloned()
    }

    pub(super) fn is_detached(&self) -> bool {
        self.state == State::Detached
    }

    pub(super) fn begin(&mut self, base: Instant, now: Instant) {
        self.started = nanos_between(base, now);
        self.state = State::Running;
    }

    pub(super) fn count_restart(&mut self) {
        self.restarts = self.restarts.saturating_add(1);
    }

    /// Stores the waker of the task that runs, which has none yet: no waker is dropped under the lock.
    pub(super) fn set_waker(&mut self, waker: Waker) {
        debug_assert!(self.waker.is_none());
        self.waker = Some(waker);
        #[cfg(feature = "inspect")]
        {
            self.id = tokio::task::try_id();
        }
    }

    /// Marks the task as aborting, and returns its waker.
    pub(super) fn abort(&mut self) -> Option<Waker> {
        self.state = State::Aborting;
        self.waker.take()
    }

    fn first(&self, base: Instant) -> FirstPoll {
        let Self { place, started, state, .. } = *self;
        let offset = Duration::from_nanos(started.unsigned_abs());
        let started = if started < 0 { base.checked_sub(offset) } else { base.checked_add(offset) };
        FirstPoll { place, started: started.unwrap_or(base), state }
    }

    pub(super) fn into_removed(self, base: Instant) -> RemovedTask {
        RemovedTask { first: self.first(base), name: self.name, restarts: self.restarts }
    }

    /// Describes the task at a time in nanoseconds since the start of the registry.
    #[cfg(feature = "inspect")]
    pub(super) fn inspect(&self, now: i64) -> InspectedTask {
        let age = Duration::from_nanos(now.saturating_sub(self.started).try_into().unwrap_or(0));
        let mut task = InspectedTask::new(self.place, self.state.phase(), age);
        task.id = self.id.map(TaskId::Task);
        task.name = self.name.as_deref().cloned();
        task.restarts = self.restarts;
        task
    }

    pub(super) fn info(&self, base: Instant, now: Instant) -> TaskInfo {
        TaskInfo { name: self.name(), restarts: self.restarts, ..self.first(base).info(now) }
    }
}

/// Returns the time from the start of a registry until then.
pub(super) fn nanos_between(base: Instant, at: Instant) -> i64 {
    // It is enough for almost three hundred years.
    let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    match at.checked_duration_since(base) {
        Some(later) => nanos(later),
        None => -nanos(base.saturating_duration_since(at)),
    }
}

/// A task without a name that is in its first poll.
#[derive(Clone, Copy, Debug)]
pub(super) struct FirstPoll {
    place: &'static Location<'static>,
    started: Instant,
    state: State,
}

impl FirstPoll {
    #[inline]
    pub(super) fn new(place: &'static Location<'static>, state: State) -> Self {
        Self { place, started: Instant::now(), state }
    }

    pub(super) fn begin(&mut self, now: Instant) {
        self.started = now;
        self.state = State::Running;
    }

    pub(super) fn abort(&mut self) {
        self.state = State::Aborting;
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    #[cfg(feature = "inspect")]
    pub(super) fn inspect(&self, now: Instant) -> InspectedTask {
        let age = now.saturating_duration_since(self.started);
        InspectedTask::new(self.place, self.state.phase(), age)
    }

    pub(super) fn info(&self, now: Instant) -> TaskInfo {
        let Self { place, started, state } = *self;
        TaskInfo { name: None, place, age: now.saturating_duration_since(started), restarts: 0, state }
    }
}

/// A task that has left the registry.
#[derive(Debug)]
pub(super) struct RemovedTask {
    name: Option<TaskName>,
    first: FirstPoll,
    restarts: u32,
}

impl From<FirstPoll> for RemovedTask {
    fn from(first: FirstPoll) -> Self {
        Self { name: None, first, restarts: 0 }
    }
}

impl RemovedTask {
    pub(super) fn is_detached(&self) -> bool {
        self.first.state == State::Detached
    }

    pub(super) fn into_failure(self, cause: Cause) -> Failure {
        let Self { name, first: FirstPoll { place, started, .. }, restarts } = self;
        Failure { name: name.map(|name| *name), place, after: started.elapsed(), restarts, cause }
    }

    /// Reports the end of the task to the subscribers.
    pub(super) fn report_end(&self, end: &TaskEnd) {
        let outcome = match end {
            TaskEnd::Finished => "finished",
            TaskEnd::Cancelled => "cancelled",
            TaskEnd::Failed(Cause::Panic(_)) => "panicked",
            TaskEnd::Failed(Cause::Deadline) => "overdue",
            TaskEnd::Failed(Cause::RuntimeShutdown) => "runtime_shutdown",
            TaskEnd::Failed(_) => "failed",
        };
        let name = self.name.as_deref().map(|name| &**name);
        telemetry::task_ended(name, self.first.place, || self.first.started.elapsed(), outcome);
    }
}

/// The end of a task.
#[derive(Debug)]
pub(super) enum TaskEnd {
    Finished,
    Cancelled,
    Failed(Cause),
}

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
    /// Its name, if it has one.
    pub name: Option<Cow<'static, str>>,
    /// Where it was spawned.
    pub place: &'static Location<'static>,
    /// How long it has run since its first poll, or waited for a slot, by tokio's clock.
    pub age: Duration,
    /// How often it was [started again](crate::Task::supervise).
    pub restarts: u32,
    /// Its state.
    pub state: State,
}

/// The state of a task that is alive.
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
    /// It waits for a slot, as the group has a [limit](crate::GroupBuilder::limit).
    Waiting,
    /// It runs.
    Running,
    /// Its group told it to abort, and it has not ended: it is in the middle of a poll.
    Aborting,
    /// Its caller is gone, and it ends by itself: a [`shield`](crate::shield), a release of
    /// [`using`](crate::using()), a [`blocking`](crate::blocking()) call, the task of a dropped
    /// [`Background`](crate::Background), the tasks of a dropped group.
    Detached,
}

#[cfg(feature = "inspect")]
impl State {
    /// Returns the state in the words of a dump.
    pub(super) fn phase(self) -> TaskPhase {
        match self {
            Self::Waiting => TaskPhase::Waiting,
            Self::Running => TaskPhase::Running,
            Self::Aborting => TaskPhase::Aborting,
            Self::Detached => TaskPhase::Detached,
        }
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
            State::Detached => "was left by its caller and runs",
        };
        write!(f, "({}) {doing} for {:?}", self.place, self.age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_as_small_as_that_of_a_join_set() {
        let id = if cfg!(feature = "inspect") { 8 } else { 0 };
        assert!(size_of::<TaskEntry>() <= 48 + id);
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_tells_the_age_of_its_task_to_the_nanosecond() {
        let base = Instant::now();
        tokio::time::advance(Duration::from_nanos(1_234_567_891)).await;
        let first = FirstPoll::new(Location::caller(), State::Running);
        tokio::time::advance(Duration::from_nanos(17)).await;
        let entry = TaskEntry::new(None, first, base);
        assert_eq!(entry.info(base, Instant::now()).age, Duration::from_nanos(17));
        let failure = entry.into_removed(base).into_failure(Cause::Deadline);
        assert_eq!(failure.after, Duration::from_nanos(17));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_on_a_runtime_whose_clock_is_behind_has_its_age() {
        let first = FirstPoll::new(Location::caller(), State::Running);
        tokio::time::advance(Duration::from_secs(5)).await;
        let base = Instant::now();
        let entry = TaskEntry::new(None, first, base);
        tokio::time::advance(Duration::from_nanos(17)).await;
        assert_eq!(entry.info(base, Instant::now()).age, Duration::from_nanos(5_000_000_017));
    }
}
