//! A pool in the dumps of evenkeel-inspect: its leases and waiters, as the state has them.
//!
//! Both lists are copied a chunk at a time, so that a checkout waits for one chunk at most.
//!
//! A lease that is returned by another task than that which took it was given away. From then on all leases from that place
//! count so: their holders are not known. In a burst only the leases that have a time are looked at for this.

use std::{ops::Range, time::Duration};

use evenkeel_inspect::{HolderEdge, Inspect, Inspected, InspectedResource, WaiterEdge, copy_chunks};
use tokio::time::Instant;

use super::{State, queue::WaiterState, shared::Shared, slots::Slots};
use crate::{Manager, inspect::Title};

impl<M: Manager> Inspect for Shared<M> {
    fn inspect(&self, now: Instant) -> Option<Inspected> {
        let Title { name, place } = &self.inspection.title;
        let mut pool = InspectedResource::new("pool", 0);
        (pool.name, pool.place) = (name.clone(), Some(*place));
        let (leases, waiters) = self.look(|state| (state.slots.len(), state.waiters.len()));
        // The waiters first: an object that comes back meanwhile is there, and deadlocks are told of what is full.
        copy_chunks(&mut pool.waiters, waiters, |entries, waiters| {
            self.look(|state| {
                waiters.extend(state.waiters_in(entries, now));
                state.waiters.entry_count()
            })
        });
        copy_chunks(&mut pool.holders, leases, |entries, holders| {
            self.look(|state| {
                state.slots.set_time(now);
                holders.extend(state.slots.holders_in(entries, now));
                (pool.capacity, pool.in_use) = (state.max as u64, (state.size() - state.idle.len()) as u64);
                state.slots.entry_count()
            })
        });
        // A waiter that went back to its place has the number that it had.
        pool.waiters.sort_unstable_by_key(|waiter| waiter.number);
        pool.holders.sort_unstable_by_key(|holder| holder.number);
        let last_failure = self.look(|state| state.inspect_work(&mut pool));
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
    /// Describes the waiters in these entries, in no particular order.
    fn waiters_in(&self, entries: Range<usize>, now: Instant) -> impl Iterator<Item = WaiterEdge> {
        self.waiters.values_in(entries).filter_map(move |waiter| {
            if !matches!(waiter.state, WaiterState::Waiting(_) | WaiterState::Called) {
                return None;
            }
            let waited = now.saturating_duration_since(waiter.since);
            let mut edge = WaiterEdge::new(waiter.number, waiter.task?, waiter.place, waited);
            edge.until = Some(waiter.deadline(self.limits.acquire_timeout));
            Some(edge)
        })
    }

    /// Describes what is neither held nor waited for; returns the text of the last failure.
    fn inspect_work(&self, pool: &mut InspectedResource) -> Option<String> {
        pool.usual_hold = self.slots.usual_hold();
        let at_work = self.slots.creating + self.slots.checking;
        if at_work > 0 {
            pool.notes.push(format!("{at_work} being created or checked"));
        }
        self.last_failure.as_ref().map(|failure| failure.text.clone())
    }
}

impl<M: Manager> State<M> {
    /// Forgets the task of a lease, unless the pool counts the leases of tasks.
    pub(crate) fn give_away(&mut self, slot: usize) {
        if !self.slots.tasks.are_counted() {
            self.slots.forget_task(slot);
        }
    }
}

impl Slots {
    fn usual_hold(&self) -> Option<Duration> {
        self.holds.median()
    }

    /// Describes the leases in these entries, in no particular order.
    fn holders_in(&self, entries: Range<usize>, now: Instant) -> impl Iterator<Item = HolderEdge> {
        self.leases_in(entries).map(move |slot| {
            let (number, holder) = (slot.number, slot.holder(now));
            let task = slot.task.filter(|_| !self.given.contains(&holder.place));
            let mut edge = HolderEdge::new(number, task, holder.place, holder.held_for);
            (edge.label, edge.at_least) = (holder.label.map(Into::into), slot.is_read_later());
            edge
        })
    }
}
