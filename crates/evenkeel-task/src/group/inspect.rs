//! A group in the dumps of evenkeel-inspect.
//!
//! The tasks are those of the group's registry: an entry learns the number of its task at the first poll that is pending, so
//! that a task that ends at once costs nothing. A look takes the lock of a shard for one chunk of tasks at a time.

use std::cmp::Reverse;

use evenkeel_base::lock;
use evenkeel_inspect::{
    ChildWait, Inspect, Inspected, InspectedGroup, InspectedTask, TaskId, WaiterEdge, copy_chunks,
};
use tokio::time::Instant;

use super::{registry::Registry, shared::Shared};

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
        let count = lock(&inspection.waits).children.len();
        let mut child_waits = Vec::new();
        copy_chunks(&mut child_waits, count, |entries, child_waits| {
            let waits = lock(&inspection.waits);
            child_waits.extend(waits.children.values_in(entries).map(|wait| {
                let waited = now.saturating_duration_since(wait.since);
                ChildWait::new(wait.number, wait.task, TaskId::Task(wait.child), waited)
            }));
            waits.children.entry_count()
        });
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
        drop(waits);
        child_waits.sort_unstable_by_key(|wait| wait.number);
        group.child_waits = child_waits;
        Some(Inspected::Group(group))
    }
}

/// Describes the tasks that are alive, the oldest first.
fn inspect_tasks(registry: &Registry, now: Instant) -> Vec<InspectedTask> {
    let mut tasks = registry.inspect(now);
    // Tasks of one shard often are in order. If not, small keys are sorted, as tasks are large.
    let oldest_first = |task: &InspectedTask| Reverse(u64::try_from(task.age.as_nanos()).unwrap_or(u64::MAX));
    if !tasks.is_sorted_by_key(oldest_first) {
        tasks.sort_by_cached_key(oldest_first);
    }
    tasks
}
