//! The slots of a pool that are taken, and their numbers by use.

use std::panic::Location;

use evenkeel_base::LinkedQueue;
use tokio::time::Instant;

use crate::Holder;

/// The place of a call in the source.
pub(crate) type Place = &'static Location<'static>;

/// The slots, in the order in which they were taken.
#[derive(Default)]
pub(super) struct Slots {
    queue: LinkedQueue<Slot>,
    /// Creations, the paused one included.
    pub(super) creating: usize,
    /// Checks on tasks.
    pub(super) checking: usize,
    /// Checks on tasks whose waiter is still in the queue.
    pub(super) awaited_checks: usize,
}

/// A slot that is taken.
struct Slot {
    place: Place,
    since: Instant,
    used_for: SlotUse,
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

impl Slots {
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Returns the holders of objects, the longest first.
    pub(super) fn holders(&self, now: Instant) -> impl Iterator<Item = Holder> {
        self.queue.iter().filter(|(_, slot)| matches!(slot.used_for, SlotUse::Lease)).map(move |(_, slot)| {
            Holder { place: slot.place, held_for: now.saturating_duration_since(slot.since) }
        })
    }

    pub(super) fn used_for(&self, key: usize) -> SlotUse {
        self.queue.get(key).used_for
    }

    /// Takes a slot, and returns its key.
    pub(super) fn take(&mut self, place: Place, since: Instant, used_for: SlotUse) -> usize {
        self.count(used_for, |number| *number += 1);
        self.queue.push_back(Slot { place, since, used_for })
    }

    pub(super) fn set_use(&mut self, key: usize, used_for: SlotUse) {
        self.count(self.used_for(key), |number| *number -= 1);
        self.count(used_for, |number| *number += 1);
        self.queue.get_mut(key).used_for = used_for;
    }

    /// Frees a slot, and returns its last use.
    pub(super) fn free(&mut self, key: usize) -> SlotUse {
        let used_for = self.queue.remove(key).used_for;
        self.count(used_for, |number| *number -= 1);
        used_for
    }

    /// Detaches the checks on tasks from a waiter that leaves the queue: their objects go to other waiters.
    pub(super) fn detach_checks(&mut self, waiter: usize) {
        for slot in self.queue.values_mut() {
            if let SlotUse::Check(taken_by) = &mut slot.used_for
                && *taken_by == Some(waiter)
            {
                *taken_by = None;
                self.awaited_checks -= 1;
            }
        }
    }

    /// Changes the numbers of slots that have this use.
    fn count(&mut self, used_for: SlotUse, change: impl Fn(&mut usize)) {
        match used_for {
            SlotUse::Pause | SlotUse::Creation(_) => change(&mut self.creating),
            SlotUse::Check(waiter) => {
                change(&mut self.checking);
                if waiter.is_some() {
                    change(&mut self.awaited_checks);
                }
            }
            SlotUse::Lease => {}
        }
    }
}
