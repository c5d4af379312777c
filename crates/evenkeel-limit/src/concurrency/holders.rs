//! The holders of the permits of a limiter with a name.
//!
//! # How it works
//!
//! Most holders have a [`Slot`] each, which the fast path grants with their permits: they write their records without a lock, and
//! in a burst without a reading of the clock. Holders for whom no slot is left, and those of a limit that adapts, are on a
//! list with a lock.
//!
//! A record without a time was granted by the fast path, which is closed while somebody waits: so it is older than the wait of
//! the first in the queue. A look that finds nobody there takes the time of the first look at the same record.
//!
//! A permit is recorded after it is granted, and its record ends before it is put back. The weight in use is therefore never
//! less than that of the records, and a permit that is between the two counts as one whose holder is not known.
//!
//! A permit that is returned by another task than that which took it was given away. From then on all permits from that place
//! count so: their holders are not known. In a burst, only the permits that have a time are looked at for this, one of 33.

use std::{sync::Mutex, time::Duration};

use evenkeel_base::{Slab, lock};
use evenkeel_inspect::{FirstSeen, HolderEdge, RecentMedian, TaskId, copy_chunks, read_clock, skips_clock};
use tokio::time::Instant;

use super::{
    core::Core,
    places::{PLACES, Place, address},
    slots::{Slot, Use},
    state::Grant,
};
use crate::sync::edges::{HoldKey, SLOTS};

/// The most places of which it is known that permits are given away.
const GIVEN: usize = 16;

/// The numbers of holds that are apart, for each slot and for the list.
const NUMBERINGS: u64 = SLOTS as u64 + 1;

/// The time of a record that began without a reading of the clock.
const UNREAD: u64 = 0;

#[derive(Debug)]
pub(super) struct Holders {
    base: Instant,
    slots: [Slot; SLOTS as usize],
    listed: Mutex<Listed>,
}

/// The part behind the lock.
#[derive(Debug, Default)]
struct Listed {
    holds: Slab<Hold>,
    numbers: u64,
    // The times of permits that were returned, and how many of those had a time.
    times: RecentMedian,
    timed: u64,
    // Places whose permits were given to other tasks.
    given: Vec<Place>,
    // Of each slot the last use that a look saw without a time: by a look, or by the beginning of a wait behind it.
    seen: [FirstSeen; SLOTS as usize],
}

/// A permit on the list.
#[derive(Debug)]
pub(super) struct Hold {
    number: u64,
    task: TaskId,
    pub(super) since: Instant,
    weight: u32,
    /// The weight in use at the grant, if the limit adapts.
    pub(super) measured: Option<u64>,
    place: Place,
}

impl Holders {
    pub(super) fn new() -> Self {
        Self { base: Instant::now(), slots: std::array::from_fn(|_| Slot::new()), listed: Mutex::default() }
    }

    /// Records a permit of the task that runs, in the slot that the fast path has granted.
    #[inline(always)]
    pub(super) fn begin(&self, slot: u32, weight: u32, place: Place) {
        let record = &self.slots[slot as usize];
        if record.place() != address(place) {
            note_place(record, place);
        }
        if skips_clock() {
            record.begin(TaskId::current(), UNREAD, weight);
        } else {
            self.begin_timed(slot, weight, place);
        }
    }

    /// Does the same, with the time, for a permit of the lock as well: a look takes records without a time for older ones than
    /// any wait.
    #[inline(never)]
    pub(super) fn begin_timed(&self, slot: u32, weight: u32, place: Place) {
        let record = &self.slots[slot as usize];
        if record.place() != address(place) {
            note_place(record, place);
        }
        record.begin(TaskId::current(), self.nanos(read_clock()), weight);
    }

    /// Records a permit of the task that runs, on the list.
    pub(super) fn begin_listed(&self, grant: Grant, place: Place) -> HoldKey {
        let (task, since) = (TaskId::current(), Instant::now());
        let Grant { weight, measured, .. } = grant;
        let mut listed = lock(&self.listed);
        listed.numbers += 1;
        let number = listed.numbers * NUMBERINGS + u64::from(SLOTS);
        let key = listed.holds.insert(Hold { number, task, since, weight, measured, place });
        HoldKey::listed(key)
    }

    /// Ends the record in a slot, if it has no time; returns whether it had none.
    #[inline]
    pub(super) fn end(&self, slot: u32) -> bool {
        let record = &self.slots[slot as usize];
        let is_unread = record.since() == UNREAD;
        if is_unread {
            record.end();
        }
        is_unread
    }

    /// Ends the record in a slot; notes how long the permit was held, and whether it was given away.
    pub(super) fn end_timed(&self, slot: u32) {
        let (record, task) = (&self.slots[slot as usize], TaskId::current());
        let mut listed = lock(&self.listed);
        if record.task() != task
            && let Some(place) = PLACES.get(record.place())
        {
            listed.note_given(place);
        }
        let held_for = || self.nanos(Instant::now()).saturating_sub(record.since());
        listed.note_time(|| Duration::from_nanos(held_for()));
        record.end();
    }

    /// Ends a record on the list.
    pub(super) fn end_listed(&self, key: HoldKey) -> Option<Hold> {
        let task = TaskId::current();
        let mut listed = lock(&self.listed);
        let hold = listed.holds.remove(key.as_listed()?)?;
        if hold.task != task {
            listed.note_given(hold.place);
        }
        listed.note_time(|| hold.since.elapsed());
        Some(hold)
    }

    /// Returns the time since the base, in nanoseconds, plus one.
    fn nanos(&self, at: Instant) -> u64 {
        let nanos = at.saturating_duration_since(self.base).as_nanos();
        u64::try_from(nanos).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// Describes the holders, the longest first, and how long a permit is usually held.
    pub(super) fn look(&self, core: &Core, now: Instant) -> (Vec<HolderEdge>, Option<Duration>) {
        // While somebody waits, the fast path grants nothing.
        let (uses, first_wait) = core.look(|state| {
            let uses: [Option<Use>; SLOTS as usize] = std::array::from_fn(|slot| self.slots[slot].look());
            (uses, state.queue.front().map(|waiter| waiter.meta.since()))
        });
        let mut edges = Vec::new();
        let expected = lock(&self.listed).holds.len();
        copy_chunks(&mut edges, expected, |holds, edges| {
            let listed = lock(&self.listed);
            edges.extend(listed.holds.values_in(holds).map(|hold| {
                let held_for = now.saturating_duration_since(hold.since);
                listed.edge(hold.number, hold.task, hold.place, hold.weight, held_for)
            }));
            listed.holds.entry_count()
        });
        // Before the lock, as it may copy what there is.
        edges.reserve(uses.len());
        let mut listed = lock(&self.listed);
        // A use without a time has lasted since then at least.
        let seen_at = first_wait.map_or(now, |wait| wait.min(now));
        for (slot, used) in (0..).zip(&uses) {
            let Some(Use { number, task, place, since, weight }) = *used else { continue };
            let Some(place) = PLACES.get(place) else { continue };
            let known =
                if since == UNREAD { listed.seen[slot].since(number, self.nanos(seen_at)) } else { since };
            let held_for = Duration::from_nanos(self.nanos(now).saturating_sub(known));
            let number = number * NUMBERINGS + slot as u64;
            let mut edge = listed.edge(number, task, place, weight, held_for);
            edge.at_least = since == UNREAD;
            edges.push(edge);
        }
        let usual = listed.times.median();
        drop(listed);
        edges.sort_unstable_by_key(|edge| (std::cmp::Reverse(edge.held_for), edge.number));
        (edges, usual)
    }
}

#[inline(never)]
fn note_place(record: &Slot, place: Place) {
    record.set_place(PLACES.note(place));
}

impl Listed {
    fn note_given(&mut self, place: Place) {
        if self.given.len() < GIVEN && !self.given.contains(&place) {
            self.given.push(place);
        }
    }

    fn note_time(&mut self, time: impl FnOnce() -> Duration) {
        self.timed += 1;
        if self.times.wants(self.timed) {
            self.times.record(time());
        }
    }

    fn edge(&self, number: u64, task: TaskId, place: Place, weight: u32, held_for: Duration) -> HolderEdge {
        let task = Some(task).filter(|_| !self.given.contains(&place));
        let mut edge = HolderEdge::new(number, task, place, held_for);
        edge.amount = weight.into();
        edge
    }
}
