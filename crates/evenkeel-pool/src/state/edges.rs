//! A pool in the dumps of evenkeel-inspect: its leases and waiters, as the state has them.

use std::time::Duration;

use evenkeel_inspect::{HolderEdge, Inspect, Inspected, InspectedResource, WaiterEdge};
use tokio::time::Instant;

use super::{State, shared::Shared, slots::Slots};
use crate::{Manager, inspect::Title};

/// The room for leases and waiters that come while a look begins.
const SPARE: usize = 64;

impl<M: Manager> Inspect for Shared<M> {
    fn inspect(&self, now: Instant) -> Option<Inspected> {
        let Title { name, place } = &self.inspection.title;
        let mut pool = InspectedResource::new("pool", 0);
        (pool.name, pool.place) = (name.clone(), Some(*place));
        // The memory is got without the lock; some more may come in between.
        let (leases, waiters) = self.look(|state| (state.slots.len(), state.waiters.len()));
        pool.holders.reserve(leases + SPARE);
        pool.waiters.reserve(waiters + SPARE);
        let last_failure = self.look(|state| state.inspect(now, &mut pool));
        pool.holders.sort_unstable_by_key(|holder| holder.number);
        if self.closing.is_draining() {
            if pool.holders.is_empty() {
                return None;
            }
            pool.notes.push("closed".to_owned());
        }
        pool.notes.extend(last_failure.map(|failure| format!("last failure: {failure}")));
        Some(Inspected::Resource(pool))
    }
}

impl<M: Manager> State<M> {
    /// Describes the leases, in no particular order, and the waiters; returns the text of the last failure.
    fn inspect(&mut self, now: Instant, pool: &mut InspectedResource) -> Option<String> {
        self.slots.set_time(now);
        (pool.capacity, pool.in_use) = (self.max as u64, (self.size() - self.idle.len()) as u64);
        self.slots.inspect(now, &mut pool.holders);
        let waiters = self.waiters.iter().filter_map(|(_, waiter)| {
            let waited = now.saturating_duration_since(waiter.since);
            let mut edge = WaiterEdge::new(waiter.number, waiter.task?, waiter.place, waited);
            edge.until = Some(waiter.deadline(self.limits.acquire_timeout));
            Some(edge)
        });
        pool.waiters.extend(waiters);
        pool.usual_hold = self.slots.usual_hold();
        let at_work = self.slots.creating + self.slots.checking;
        if at_work > 0 {
            pool.notes.push(format!("{at_work} being created or checked"));
        }
        self.last_failure.as_ref().map(|failure| failure.text.clone())
    }
}

impl Slots {
    fn usual_hold(&self) -> Option<Duration> {
        self.holds.median()
    }

    fn inspect(&self, now: Instant, holders: &mut Vec<HolderEdge>) {
        holders.extend(self.leases().map(|slot| {
            let (number, task, holder) = (slot.number, slot.task, slot.holder(now));
            let mut edge = HolderEdge::new(number, task, holder.place, holder.held_for);
            edge.label = holder.label.map(Into::into);
            edge
        }));
    }
}
