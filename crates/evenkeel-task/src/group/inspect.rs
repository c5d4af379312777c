//! A group in the dumps of evenkeel-inspect.
//!
//! The tasks are those of the group's registry: an entry learns the number of its task at the first poll that is pending, so
//! that a task that ends at once costs nothing. A look takes the lock of a shard for one page of tasks at a time, as an abort
//! does.

use std::cmp::Reverse;

use evenkeel_base::lock;
use evenkeel_inspect::{
    ChildWait, Inspect, Inspected, InspectedGroup, InspectedTask, TaskId, TaskPhase, WaiterEdge,
};
use tokio::time::Instant;

use super::{registry::Registry, shared::Shared, task_entry::State};

impl Inspect for Shared {
    fn inspect(&self, now: Instant) -> Option<Inspected> {
        self.describe(inspect_tasks(&self.registry, now), now)
    }

    fn inspect_waits(&self, now: Instant) -> Option<Inspected> {
        self.describe(Vec::new(), now)
    }
}

impl Shared {
    /// Describes the group, with these tasks.
    fn describe(&self, tasks: Vec<InspectedTask>, now: Instant) -> Option<Inspected> {
        let inspection = &self.inspection;
        let waits = lock(&inspection.waits);
        if waits.has_ended && tasks.is_empty() {
            return None;
        }
        let mut group =
            InspectedGroup::new(self.place, waits.owner, now.saturating_duration_since(self.started));
        group.tasks = tasks;
        if let (Some(slots), Some(limit)) = (&self.slots, inspection.limit) {
            group.limit = Some(limit as u64);
            group.in_use = limit.saturating_sub(slots.available_permits()) as u64;
        }
        group.join = waits.join.map(|(since, until)| {
            let waited = now.saturating_duration_since(since);
            let mut waiter = WaiterEdge::new(0, waits.owner, self.place, waited);
            waiter.until = until;
            waiter
        });
        let child_waits = waits.children.iter().map(|wait| {
            let waited = now.saturating_duration_since(wait.since);
            ChildWait::new(wait.number, wait.task, TaskId::Task(wait.child), waited)
        });
        group.child_waits = child_waits.collect();
        drop(waits);
        group.child_waits.sort_by_key(|wait| wait.number);
        Some(Inspected::Group(group))
    }
}

/// Describes the tasks that are alive, the oldest first.
fn inspect_tasks(registry: &Registry, now: Instant) -> Vec<InspectedTask> {
    let mut tasks = Vec::new();
    registry.for_each_live(now, |id, info| {
        let phase = match info.state {
            State::Waiting => TaskPhase::Waiting,
            State::Running => TaskPhase::Running,
            State::Aborting => TaskPhase::Aborting,
            State::Detached => TaskPhase::Detached,
        };
        let mut task = InspectedTask::new(info.place, phase, info.age);
        (task.id, task.name, task.restarts) = (id.map(TaskId::Task), info.name, info.restarts);
        tasks.push(task);
    });
    tasks.sort_by_key(|task| Reverse(task.age));
    tasks
}
