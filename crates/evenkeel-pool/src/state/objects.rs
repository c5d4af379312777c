//! The way of an object through the pool: created, checked, offered to a waiter, put back, gone.
//!
//! A slot is taken for a creation or for a lease, and is freed when its object is idle, detached or gone. The slots count
//! themselves by their use; the end of a pause also concerns the backoff, and that of a check the waiter that took the
//! object.

use std::mem;

use tokio::time::Instant;

use super::{State, slot::SlottedObject, slots::SlotUse};
use crate::Manager;

impl<M: Manager> State<M> {
    /// Begins the creation in this slot, whose pause is over.
    pub(crate) fn begin_creation(&mut self, slot: usize, now: Instant) {
        self.slots.set_use(slot, SlotUse::Creation(self.backoff.failures));
        self.backoff.begin_creation(now);
    }

    /// Records that the object in this slot is checked by a task, for this waiter.
    pub(crate) fn move_check_to_task(&mut self, slot: usize, waiter: Option<usize>) {
        self.slots.set_use(slot, SlotUse::Check(waiter));
        if let Some(waiter) = waiter {
            self.waiters.get_mut(waiter).checks += 1;
        }
    }

    /// Detaches the checks on tasks from their waiter, which leaves the queue.
    pub(super) fn detach_checks(&mut self, waiter: usize) {
        if mem::take(&mut self.waiters.get_mut(waiter).checks) > 0 {
            self.slots.detach_checks(waiter);
        }
    }

    fn free_slot(&mut self, slot: usize) -> SlotUse {
        let used_for = self.slots.free(slot);
        match used_for {
            SlotUse::Pause => self.backoff.end_pause(),
            SlotUse::Check(Some(waiter)) => self.waiters.get_mut(waiter).checks -= 1,
            SlotUse::Creation(_) | SlotUse::Check(None) | SlotUse::Lease => {}
        }
        used_for
    }

    /// Ends the backoff, and passes a new object on like one that a task has checked.
    pub(crate) fn created(&mut self, object: SlottedObject<M>, now: Instant) -> Option<SlottedObject<M>> {
        self.slots.set_use(object.slot.key(), SlotUse::Check(None));
        self.counts.created += 1;
        if let Some(outdated) = self.last_failure.take() {
            self.deferred.rare().outdated = Some(outdated);
        }
        self.backoff.reset();
        self.offer(object, now)
    }

    /// Serves the first waiter with an object that is fit for use, or makes the object idle; a closed pool returns it.
    pub(crate) fn offer(&mut self, mut object: SlottedObject<M>, now: Instant) -> Option<SlottedObject<M>> {
        if self.closed {
            return Some(object);
        }
        match self.waiters.front() {
            Some(key) => {
                let place = self.waiters.get(key).place;
                // A slot of its own in time: the holders are in the order of their leases.
                self.free_slot(object.slot.key());
                object.slot.set_key(self.slots.take(place, now, SlotUse::Lease));
                self.serve_and_wake(key, Ok(object));
            }
            None => self.make_idle(object),
        }
        None
    }

    /// Makes an object idle that was used: it must pass a check before its next use. A closed pool returns it.
    pub(crate) fn put_back(&mut self, object: SlottedObject<M>) -> Option<SlottedObject<M>> {
        if self.closed {
            return Some(object);
        }
        self.make_idle(object);
        // A waiter takes what comes first, also where a task works for it.
        self.call_next_below(self.waiters.len());
        None
    }

    /// Frees the slot of an object that is idle now. The caller has another handle to the pool, so none is dropped here.
    #[inline]
    fn make_idle(&mut self, object: SlottedObject<M>) {
        let (object, slot) = object.take_apart();
        self.free_slot(slot);
        self.idle.push(object);
    }

    /// Counts an object that has left the pool and lives on.
    pub(crate) fn detach(&mut self, slot: usize) {
        self.free_slot(slot);
        self.counts.detached += 1;
    }

    /// Counts a creation that failed.
    pub(crate) fn creation_failed(&mut self, slot: usize, now: Instant) {
        if let SlotUse::Creation(failures) = self.slots.used_for(slot) {
            self.backoff.count_failure(failures, now);
        }
        self.vacate(slot);
    }

    /// Frees the slot of an object that is gone, or that never came.
    pub(crate) fn vacate(&mut self, slot: usize) {
        match self.free_slot(slot) {
            SlotUse::Pause => {}
            SlotUse::Creation(_) => self.counts.create_failures += 1,
            SlotUse::Check(_) | SlotUse::Lease => self.counts.discarded += 1,
        }
    }
}
