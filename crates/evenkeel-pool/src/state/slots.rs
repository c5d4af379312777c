//! The slots of a pool, and the way of an object through them.
//!
//! A slot is taken for a creation, becomes that of a check or a lease, and is freed when the object is idle, detached or
//! gone. `creating`, `checking` and `awaited_checks` count the slots by their use; they change where the use changes.

use std::mem;

use tokio::time::Instant;

use super::{Place, SlottedObject, State};
use crate::Manager;

/// A slot that is taken.
pub(super) struct Slot {
    pub(super) place: Place,
    pub(super) since: Instant,
    pub(super) used_for: SlotUse,
}

#[derive(Clone, Copy)]
pub(super) enum SlotUse {
    /// A creation that waits until it may begin.
    Pause,
    /// A creation that began after this number of failures.
    Creation(u32),
    /// A check on a task; the waiter that took the object, unless it has left the queue.
    Check(Option<usize>),
    /// The object is leased, or checked by the caller that takes it.
    Lease,
}

impl<M: Manager> State<M> {
    pub(super) fn take_slot(&mut self, place: Place, since: Instant, used_for: SlotUse) -> usize {
        if let SlotUse::Pause | SlotUse::Creation(_) = used_for {
            self.creating += 1;
        }
        self.slots.push_back(Slot { place, since, used_for })
    }

    fn free_slot(&mut self, slot: usize) -> SlotUse {
        let used_for = self.slots.remove(slot).used_for;
        match used_for {
            SlotUse::Pause => {
                self.creating -= 1;
                self.end_pause();
            }
            SlotUse::Creation(_) => self.creating -= 1,
            SlotUse::Check(waiter) => {
                self.checking -= 1;
                if let Some(waiter) = waiter {
                    self.awaited_checks -= 1;
                    self.waiters.get_mut(waiter).checks -= 1;
                }
            }
            SlotUse::Lease => {}
        }
        used_for
    }

    /// Records that the object in this slot is checked by a task, for this waiter.
    pub(crate) fn move_check_to_task(&mut self, slot: usize, waiter: Option<usize>) {
        self.slots.get_mut(slot).used_for = SlotUse::Check(waiter);
        self.checking += 1;
        if let Some(waiter) = waiter {
            self.awaited_checks += 1;
            self.waiters.get_mut(waiter).checks += 1;
        }
    }

    /// Detaches the checks on tasks from their waiter, which leaves the queue: their objects go to other waiters.
    pub(super) fn detach_checks(&mut self, waiter: usize) {
        let checks = mem::take(&mut self.waiters.get_mut(waiter).checks);
        self.awaited_checks -= checks;
        if checks > 0 {
            for slot in self.slots.values_mut() {
                if let SlotUse::Check(taken_by) = &mut slot.used_for {
                    *taken_by = taken_by.filter(|key| *key != waiter);
                }
            }
        }
    }

    /// Ends the backoff, and passes a new object on like one that a task has checked.
    pub(crate) fn created(&mut self, object: SlottedObject<M>, now: Instant) -> Option<SlottedObject<M>> {
        self.slots.get_mut(object.slot.key()).used_for = SlotUse::Check(None);
        self.creating -= 1;
        self.checking += 1;
        self.counts.created += 1;
        if let Some(outdated) = self.last_failure.take() {
            self.deferred.rare().outdated = Some(outdated);
        }
        self.reset_backoff();
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
                object.slot.set_key(self.take_slot(place, now, SlotUse::Lease));
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
        if let SlotUse::Creation(failures) = self.slots.get(slot).used_for {
            self.back_off(failures, now);
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
