//! The holders of the permits of a limiter with a name.
//!
//! # How it works
//!
//! Most holders have a [`Record`] each, of those of the [thread](super::thread_records) that took the permit: they are written
//! without a lock, and in a burst without a reading of the clock. Holders for whom no record is free, and those of a limit that
//! adapts, are on a list with a lock.
//!
//! A record without a time was granted by the fast path, which is closed while somebody waits: so it is older than the wait of
//! the first in the queue. A look that finds nobody there takes the time of the first look at the same record.
//!
//! A permit is recorded after it is granted, and its record ends before it is put back. The weight in use is therefore never
//! less than that of the records, and a permit that is between the two counts as one whose holder is not known.
//!
//! A permit that is returned by another task than that which took it was given away. From then on all permits from that place
//! count so: their holders are not known. In a burst, only the permits that have a time are looked at for this, one of 256.

use std::{sync::Mutex, time::Duration};

use evenkeel_base::{Slab, lock};
use evenkeel_inspect::{HolderEdge, RecentMedian, TaskId, copy_chunks};
use tokio::time::Instant;

use super::{
    core::Core,
    hold::Hold,
    places::{PLACES, Place},
    record::{Record, UNREAD, Use},
    state::Grant,
    thread_records::{self, Begun, Taken, nanos, new_range, uses_of},
};

/// The most places of which it is known that permits are given away.
const GIVEN: usize = 16;

#[derive(Debug)]
pub(super) struct Holders {
    shared: Mutex<Shared>,
}

/// The part behind the lock.
#[derive(Debug, Default)]
struct Shared {
    list: Slab<Listed>,
    // The times of permits that were returned, and how many of those had a time.
    times: RecentMedian,
    timed: u64,
    // Places whose permits were given to other tasks.
    given: Vec<Place>,
    // The numbers of the uses without a time that the last look saw, each with the earliest time at which it is known to have
    // lasted: that of a look, or the beginning of a wait behind it.
    seen: Vec<(u64, u64)>,
}

/// A permit on the list.
#[derive(Debug)]
struct Listed {
    number: u64,
    task: TaskId,
    since: Instant,
    weight: u32,
    /// The key of what was measured, if the limit adapts.
    measured: Option<usize>,
    place: Place,
}

impl Holders {
    pub(super) fn new() -> Self {
        Self { shared: Mutex::default() }
    }

    /// Records a permit of the task that runs; with the time, unless `may_skip`. One that the state has granted has its time: a
    /// look takes records without one for older ones than any wait.
    pub(super) fn begin(&self, limiter: u64, weight: u32, place: Place, may_skip: bool) -> Hold {
        match thread_records::begin(Taken { limiter, weight, place }, may_skip) {
            Some(Begun::Unread(record)) => Hold::Unread { weight, record },
            Some(Begun::Timed(record)) => Hold::Timed { weight, record },
            None => self.begin_listed(Grant::new(weight), place),
        }
    }

    /// Records a permit of the task that runs, on the list.
    pub(super) fn begin_listed(&self, grant: Grant, place: Place) -> Hold {
        let (number, task, since) = (new_range(), TaskId::current(), Instant::now());
        let Grant { weight, measured } = grant;
        let listed = Listed { number, task, since, weight, measured, place };
        let key = lock(&self.shared).list.insert(listed);
        Hold::Listed { weight, key }
    }

    /// Ends a record with a time; notes how long the permit was held, and whether it was given away.
    pub(super) fn end_timed(&self, record: &Record) {
        let is_given = record.task.get() != TaskId::current();
        let given = if is_given { PLACES.get(record.place()) } else { None };
        let mut shared = lock(&self.shared);
        if let Some(place) = given {
            shared.note_given(place);
        }
        shared.note_time(|| Duration::from_nanos(nanos(Instant::now()).saturating_sub(record.since())));
        drop(shared);
        record.end();
    }

    /// Ends a record on the list; returns the key of what was measured, if the limit adapts.
    pub(super) fn end_listed(&self, key: usize) -> Option<usize> {
        let task = TaskId::current();
        let mut shared = lock(&self.shared);
        let listed = shared.list.remove(key)?;
        if listed.task != task {
            shared.note_given(listed.place);
        }
        shared.note_time(|| listed.since.elapsed());
        listed.measured
    }

    /// Describes the holders, the longest first, and how long a permit is usually held.
    pub(super) fn look(
        &self,
        limiter: u64,
        core: &Core,
        now: Instant,
    ) -> (Vec<HolderEdge>, Option<Duration>) {
        // While somebody waits, the fast path grants nothing: if the same one is first before and after, nobody came between.
        let first = || core.look(|state| state.queue.front().map(|waiter| waiter.meta.begun()));
        let before = first();
        let uses: Vec<Use> = uses_of(limiter).collect();
        let first_wait = before.filter(|before| first().is_some_and(|after| after.0 == before.0));
        let mut edges = Vec::new();
        let expected = lock(&self.shared).list.len();
        copy_chunks(&mut edges, expected, |holds, edges| {
            let shared = lock(&self.shared);
            edges.extend(shared.list.values_in(holds).map(|hold| {
                let held_for = now.saturating_duration_since(hold.since);
                shared.edge(hold.number, hold.task, hold.place, hold.weight, held_for)
            }));
            shared.list.entry_count()
        });
        // Before the lock, as these get memory.
        edges.reserve(uses.len());
        let mut seen = Vec::with_capacity(uses.len());
        // A use without a time has lasted since then at least.
        let seen_at = nanos(first_wait.map_or(now, |(_, wait)| wait.min(now)));
        let mut shared = lock(&self.shared);
        for Use { number, task, place, since, weight, .. } in uses {
            let Some(place) = PLACES.get(place) else { continue };
            let known = match since {
                UNREAD => {
                    let before = shared.seen.iter().find(|(seen, _)| *seen == number);
                    let known = before.map_or(seen_at, |(_, at)| seen_at.min(*at));
                    seen.push((number, known));
                    known
                }
                since => since,
            };
            let held_for = Duration::from_nanos(nanos(now).saturating_sub(known));
            let mut edge = shared.edge(number, task, place, weight, held_for);
            edge.at_least = since == UNREAD;
            edges.push(edge);
        }
        std::mem::swap(&mut shared.seen, &mut seen);
        let usual = shared.times.median();
        drop(shared);
        edges.sort_unstable_by_key(|edge| (std::cmp::Reverse(edge.held_for), edge.number));
        (edges, usual)
    }
}

impl Shared {
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
