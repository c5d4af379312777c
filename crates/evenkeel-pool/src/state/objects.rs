//! The way of an object through the pool: created, checked, offered to a waiter, put back, gone.
//!
//! A slot is taken for a creation, stays with its object, and is freed when that is detached or gone. The slots count
//! themselves by their use; the end of a pause also concerns the backoff.

use std::mem;

use tokio::time::Instant;

use super::{
    State,
    slot::{IdleObject, PooledObject, SlottedObject},
    slots::{Place, SlotUse},
    tasks::TaskKey,
    upkeep::expiry,
};
use crate::{Manager, Order};

impl<M: Manager> State<M> {
    /// Begins the creation in this slot, whose pause is over.
    pub(crate) fn begin_creation(&mut self, slot: usize, now: Instant) {
        self.slots.set_use(slot, SlotUse::Creation(self.backoff.failures));
        self.backoff.begin_creation(now);
    }

    /// Records that the object in this slot is checked by a task, for the waiter with this number.
    pub(crate) fn move_check_to_task(&mut self, slot: usize, waiter: Option<u64>) {
        self.slots.set_use(slot, SlotUse::Check(waiter));
    }

    /// Detaches the checks on tasks from their waiter, which leaves the queue.
    pub(super) fn detach_checks(&mut self, waiter: usize) {
        let waiter = self.waiters.get_mut(waiter);
        if mem::take(&mut waiter.has_checks) {
            self.slots.detach_checks(waiter.number);
        }
    }

    fn free_slot(&mut self, slot: usize) -> SlotUse {
        let used_for = self.slots.free(slot);
        if let SlotUse::Pause = used_for {
            self.backoff.end_pause();
        }
        used_for
    }

    /// Ends the backoff, and passes a new object on like one that a task has checked.
    pub(crate) fn created(&mut self, mut object: SlottedObject<M>, now: Instant) -> Option<SlottedObject<M>> {
        self.slots.set_use(object.slot.key(), SlotUse::Check(None));
        self.counts.created += 1;
        object.pooled.expires = expiry(&self.limits, now);
        if let Some(outdated) = self.last_failure.take() {
            self.deferred.rare().outdated = Some(outdated);
        }
        self.backoff.reset();
        self.offer(object, now)
    }

    /// Serves the first waiter with an object that is fit for use, or makes the object idle; a closed pool returns it.
    pub(crate) fn offer(&mut self, mut object: SlottedObject<M>, now: Instant) -> Option<SlottedObject<M>> {
        if !self.wants(&object.pooled) {
            return Some(object);
        }
        let slot = object.slot.key();
        match self.waiters.front() {
            Some(key) => {
                let waiter = self.waiters.get(key);
                self.slots.lease(slot, waiter.place, waiter.task, now);
                self.serve_and_wake(key, Ok(object));
                self.tell_of_lease();
            }
            None => {
                self.slots.set_use(slot, SlotUse::Idle);
                // The caller has another handle to the pool, so the last one is not dropped here.
                let _ = object.slot.disarm();
                object.pooled.idle_slot = slot;
                object.pooled.idle_since = Some(now);
                self.idle.push_back(object.pooled);
                self.tell_of_idle();
            }
        }
        None
    }

    /// Takes an idle object, whose slot is leased from then on.
    #[inline(always)]
    pub(super) fn lease_idle(&mut self, place: Place, task: Option<TaskKey>) -> Option<Box<PooledObject<M>>> {
        let pooled = match self.limits.order {
            Order::Lifo => self.idle.pop_back()?,
            Order::Fifo => self.idle.pop_front()?,
        };
        self.slots.lease_idle(pooled.idle_slot, place, task);
        Some(pooled)
    }

    /// Returns whether an object may be used again: it was not retired, and there is room for it.
    #[inline]
    pub(super) fn wants(&self, pooled: &PooledObject<M>) -> bool {
        pooled.generation == self.generation && self.slots.len() <= self.max
    }

    /// Makes an object idle that was used: it must pass a check before its next use.
    #[inline]
    pub(super) fn put_back(&mut self, pooled: Box<PooledObject<M>>) {
        self.slots.set_idle(pooled.idle_slot);
        self.idle.push_back(pooled);
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
            SlotUse::Check(_) | SlotUse::Idle | SlotUse::Drop | SlotUse::Lease => self.counts.discarded += 1,
        }
    }

    /// Changes the number of objects; returns the idle ones that are too many, to be dropped without the lock.
    pub(crate) fn resize(&mut self, max: usize) -> Vec<IdleObject<M>> {
        self.max = max;
        let surplus = self.slots.len().saturating_sub(max).min(self.idle.len());
        self.take_idle(surplus)
    }

    /// Retires the objects of now; returns the idle ones, to be dropped without the lock.
    pub(crate) fn retire_all(&mut self) -> Vec<IdleObject<M>> {
        self.generation += 1;
        self.take_idle(self.idle.len())
    }

    /// Takes as many idle objects from the front, to be dropped without the lock.
    pub(super) fn take_idle(&mut self, number: usize) -> Vec<IdleObject<M>> {
        let idle: Vec<_> = self.idle.drain(..number).collect();
        for pooled in &idle {
            self.slots.set_use(pooled.idle_slot, SlotUse::Drop);
        }
        idle
    }
}
