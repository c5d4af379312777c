//! The slots of a pool that are taken, and their numbers by use.
//!
//! An object keeps its slot as long as it is in the pool, so that a checkout and a return only write into it.
//!
//! # The times of leases
//!
//! Reading the clock is dear beside the rest of a checkout. So a checkout that has nothing else to read it for leaves it
//! out where checkouts follow each other within moments: after two readings that are close to each other the next
//! [`UNREAD`] leases get their time from the next reading, whatever it is for. A paused clock does not move between two
//! readings, and is always read.

#[cfg(feature = "inspect")]
use std::ops::Range;
use std::{mem, panic::Location, time::Duration};

use evenkeel_base::Slab;
use tokio::time::Instant;

use super::tasks::{TaskCounts, TaskKey};
use crate::{Holder, limits::Limits};

/// The place of a call in the source.
pub(crate) type Place = &'static Location<'static>;

/// The number of leases in a row that may begin without a reading of the clock.
const UNREAD: usize = 32;

/// Two readings that are closer than this are moments apart.
const MOMENT: Duration = Duration::from_micros(20);

/// The most places of which it is known that leases are given away.
#[cfg(feature = "inspect")]
const GIVEN: usize = 16;

/// The slots that are taken.
pub(super) struct Slots {
    slots: Slab<Slot>,
    /// The number of leases so far.
    pub(super) leases: u64,
    /// Creations, the paused one included.
    pub(super) creating: usize,
    /// Checks on tasks, and destructors of idle objects: nobody has these objects.
    pub(super) checking: usize,
    /// Checks on tasks whose waiter is still in the queue.
    pub(super) awaited_checks: usize,
    clock: LeaseClock,
    /// Whether each lease has to be timed.
    times_leases: bool,
    /// The tasks with leases and waits, as far as they are known.
    pub(super) tasks: TaskCounts,
    /// The number of the last lease that was looked at for its length.
    warned: u64,
    /// The times of leases that have ended.
    #[cfg(feature = "inspect")]
    pub(super) holds: evenkeel_inspect::RecentMedian,
    /// The places of which it is known that their leases are given to other tasks, which return them.
    #[cfg(feature = "inspect")]
    pub(super) given: Vec<Place>,
}

/// A slot that is taken.
pub(super) struct Slot {
    place: Place,
    label: Option<&'static str>,
    /// The beginning of the lease; `None` until the clock is read.
    since: Option<Instant>,
    /// The number of the lease.
    pub(super) number: u64,
    /// The task that took it, if that is needed.
    pub(super) task: Option<TaskKey>,
    /// The number of the last lease that began without a reading of the clock: its time is that of a later one.
    #[cfg(feature = "inspect")]
    read_later: u64,
    used_for: SlotUse,
}

impl Slot {
    pub(super) fn holder(&self, now: Instant) -> Holder {
        let held_for = self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        Holder { place: self.place, label: self.label, held_for }
    }

    /// Returns whether the lease may have begun before the time that it has.
    #[cfg(feature = "inspect")]
    pub(super) fn is_read_later(&self) -> bool {
        self.read_later == self.number
    }
}

#[derive(Clone, Copy)]
pub(super) enum SlotUse {
    /// A creation that waits until it may begin.
    Pause,
    /// A creation that began after this number of failures.
    Creation(u32),
    /// A check on a task; the number of the waiter that took the object, unless that has left.
    Check(Option<u64>),
    /// The object is idle.
    Idle,
    /// The object was idle, and its destructor is running.
    Drop,
    /// The object is leased, or checked by the caller that takes it.
    Lease,
}

/// The last reading of the clock, and the slots whose leases wait for the next one.
#[derive(Default)]
struct LeaseClock {
    last: Option<Instant>,
    /// A moment behind the last reading.
    moment: Option<Instant>,
    is_burst: bool,
    unread: Vec<usize>,
}

const TAKEN: &str = "a slot is used until it is freed";

impl Slots {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            slots: Slab::new(),
            leases: 0,
            creating: 0,
            checking: 0,
            awaited_checks: 0,
            clock: LeaseClock::default(),
            times_leases: limits.hold_warning.is_some(),
            tasks: TaskCounts::new(limits.detects_deadlocks),
            warned: 0,
            #[cfg(feature = "inspect")]
            holds: evenkeel_inspect::RecentMedian::new(),
            #[cfg(feature = "inspect")]
            given: Vec::new(),
        }
    }

    /// Returns the leases that were not looked at for their length.
    fn not_warned(&self) -> impl Iterator<Item = &Slot> {
        let is_new = |slot: &&Slot| matches!(slot.used_for, SlotUse::Lease) && slot.number > self.warned;
        self.slots.iter().filter(is_new)
    }

    /// Returns the holders whose leases have lasted too long since the last look.
    pub(super) fn warn(&mut self, limits: &Limits, now: Instant) -> Vec<Holder> {
        let Some(limit) = limits.hold_warning else { return Vec::new() };
        let is_long =
            |slot: &&Slot| slot.since.is_some_and(|since| now.saturating_duration_since(since) >= limit);
        // Leases begin in the order of their numbers.
        let Some(last) = self.not_warned().filter(is_long).map(|slot| slot.number).max() else {
            return Vec::new();
        };
        let mut long: Vec<_> = self.not_warned().filter(is_long).collect();
        long.sort_unstable_by_key(|slot| slot.number);
        let holders = long.into_iter().map(|slot| slot.holder(now)).collect();
        self.warned = last;
        holders
    }

    /// Returns the time at which the next lease lasts too long.
    pub(super) fn next_warning(&self, limits: &Limits) -> Option<Instant> {
        let limit = limits.hold_warning?;
        self.not_warned().filter_map(|slot| slot.since?.checked_add(limit)).min()
    }

    /// Returns the time at which the clock was read last.
    pub(super) fn last_reading(&self) -> Option<Instant> {
        self.clock.last
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns the slots that are leased, in no particular order.
    pub(super) fn leases(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(|slot| matches!(slot.used_for, SlotUse::Lease))
    }

    /// Returns the slots among these entries that are leased, in no particular order.
    #[cfg(feature = "inspect")]
    pub(super) fn leases_in(&self, entries: Range<usize>) -> impl Iterator<Item = &Slot> {
        self.slots.values_in(entries).filter(|slot| matches!(slot.used_for, SlotUse::Lease))
    }

    /// Returns the number of entries of slots, the vacant ones included.
    #[cfg(feature = "inspect")]
    pub(super) fn entry_count(&self) -> usize {
        self.slots.entry_count()
    }

    /// Returns the holders of objects, the longest first.
    pub(super) fn holders(&self, now: Instant) -> Vec<Holder> {
        let mut leases: Vec<_> = self.leases().collect();
        leases.sort_unstable_by_key(|slot| slot.number);
        leases.iter().map(|slot| slot.holder(now)).collect()
    }

    pub(super) fn used_for(&self, key: usize) -> SlotUse {
        self.slots.get(key).expect(TAKEN).used_for
    }

    /// Takes a slot, and returns its key.
    pub(super) fn take(&mut self, place: Place, used_for: SlotUse) -> usize {
        self.count(used_for, |number| *number += 1);
        self.slots.insert(Slot {
            place,
            label: None,
            since: None,
            number: 0,
            task: None,
            #[cfg(feature = "inspect")]
            read_later: 0,
            used_for,
        })
    }

    /// Begins the lease of an object that was idle.
    #[inline(always)]
    pub(super) fn lease_idle(&mut self, key: usize, place: Place, task: Option<TaskKey>) {
        let since = if !self.times_leases && self.clock.is_burst && self.clock.unread.len() < UNREAD {
            self.clock.unread.push(key);
            None
        } else {
            Some(self.read_clock())
        };
        self.leases += 1;
        let slot = self.slots.get_mut(key).expect(TAKEN);
        (slot.place, slot.label, slot.since) = (place, None, since);
        (slot.number, slot.used_for) = (self.leases, SlotUse::Lease);
        if self.tasks.are_counted() {
            // An idle object has no task.
            if let Some(task) = task {
                slot.task = Some(task);
                self.tasks.lease_begins(task);
            }
        } else {
            // One that is not counted stays where it is until the next lease.
            slot.task = task;
        }
    }

    /// Begins the lease of an object that a task has worked on.
    pub(super) fn lease(&mut self, key: usize, place: Place, task: Option<TaskKey>, now: Instant) {
        self.set_time(now);
        self.set_use(key, SlotUse::Lease);
        self.leases += 1;
        let slot = self.slots.get_mut(key).expect(TAKEN);
        (slot.place, slot.label) = (place, None);
        (slot.since, slot.number, slot.task) = (Some(now), self.leases, task);
        if let Some(task) = task {
            self.tasks.lease_begins(task);
        }
    }

    #[cfg(feature = "inspect")]
    pub(super) fn forget_task(&mut self, key: usize) {
        self.slots.get_mut(key).expect(TAKEN).task = None;
    }

    /// Sets the text that says what a lease is for.
    pub(super) fn set_label(&mut self, key: usize, label: &'static str) {
        self.slots.get_mut(key).expect(TAKEN).label = Some(label);
    }

    /// Records that an object is idle, which was leased, or on which a task has worked.
    #[inline]
    pub(super) fn set_idle(&mut self, key: usize) {
        let slot = self.slots.get_mut(key).expect(TAKEN);
        let used_for = mem::replace(&mut slot.used_for, SlotUse::Idle);
        #[cfg(feature = "inspect")]
        let is_timed = slot.since.is_some();
        if self.tasks.are_counted()
            && let Some(task) = slot.task.take()
        {
            self.tasks.lease_ends(task);
        }
        // Leases are not counted: this is the way of most returns.
        if !matches!(used_for, SlotUse::Lease) {
            self.count(used_for, |number| *number -= 1);
        } else {
            #[cfg(feature = "inspect")]
            if is_timed {
                self.record_hold_of(key);
            }
        }
    }

    pub(super) fn set_use(&mut self, key: usize, used_for: SlotUse) {
        self.set_idle(key);
        self.count(used_for, |number| *number += 1);
        self.slots.get_mut(key).expect(TAKEN).used_for = used_for;
    }

    /// Frees a slot, and returns its last use.
    pub(super) fn free(&mut self, key: usize) -> SlotUse {
        let slot = self.slots.remove(key).expect(TAKEN);
        let Slot { used_for, task, .. } = slot;
        #[cfg(feature = "inspect")]
        if matches!(used_for, SlotUse::Lease) {
            self.record_hold(slot.since, slot.number);
        }
        if let Some(task) = task {
            self.tasks.lease_ends(task);
        }
        self.count(used_for, |number| *number -= 1);
        used_for
    }

    /// Detaches the checks on tasks from a waiter that leaves the queue: their objects go to other waiters.
    pub(super) fn detach_checks(&mut self, waiter: u64) {
        for slot in self.slots.iter_mut() {
            if let SlotUse::Check(taken_by) = &mut slot.used_for
                && *taken_by == Some(waiter)
            {
                *taken_by = None;
                self.awaited_checks -= 1;
            }
        }
    }

    #[inline(never)]
    fn read_clock(&mut self) -> Instant {
        let now = Instant::now();
        self.set_time(now);
        now
    }

    /// Sets the time of the leases that wait for a reading of the clock.
    pub(super) fn set_time(&mut self, now: Instant) {
        let LeaseClock { last, moment, is_burst, .. } = &mut self.clock;
        // A time that is neither before nor at the last one, and not long behind it.
        *is_burst = Some(now) > *last && Some(now) < *moment;
        (*last, *moment) = (Some(now), now.checked_add(MOMENT));
        for key in self.clock.unread.drain(..) {
            // The slot may have another lease by now, which waits as well, or none.
            let Some(slot) = self.slots.get_mut(key).filter(|slot| slot.since.is_none()) else { continue };
            slot.since = Some(now);
            #[cfg(feature = "inspect")]
            {
                slot.read_later = slot.number;
            }
        }
    }

    /// Records the time of a lease that ends, if the clock was read at its beginning.
    #[cfg(feature = "inspect")]
    fn record_hold(&mut self, since: Option<Instant>, number: u64) {
        if let Some(since) = since
            && self.holds.wants(number)
        {
            self.holds.record(Instant::now().saturating_duration_since(since));
        }
    }

    /// As [`record_hold`](Self::record_hold), for the slot of the lease that the task which runs returns.
    #[cfg(feature = "inspect")]
    #[inline(never)]
    fn record_hold_of(&mut self, key: usize) {
        let Some(&Slot { since, number, task, place, .. }) = self.slots.get(key) else { return };
        self.record_hold(since, number);
        let is_given = task.is_some_and(|task| task != TaskKey::current());
        if is_given && self.given.len() < GIVEN && !self.given.contains(&place) {
            self.given.push(place);
        }
    }

    /// Changes the numbers of slots that have this use.
    #[inline]
    fn count(&mut self, used_for: SlotUse, change: impl Fn(&mut usize)) {
        match used_for {
            SlotUse::Pause | SlotUse::Creation(_) => change(&mut self.creating),
            SlotUse::Check(waiter) => {
                change(&mut self.checking);
                if waiter.is_some() {
                    change(&mut self.awaited_checks);
                }
            }
            SlotUse::Drop => change(&mut self.checking),
            SlotUse::Idle | SlotUse::Lease => {}
        }
    }
}
