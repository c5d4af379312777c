//! `Holds`: the holders of a resource whose holds are mostly too short to be recorded.

use std::{
    panic::Location,
    sync::{
        Mutex,
        atomic::{
            AtomicU64, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::Duration,
};

use evenkeel_base::{Slab, lock};
use tokio::time::Instant;

use crate::{HolderEdge, TaskId, chunks::copy_chunks};

/// The holders of a resource whose holds mostly end at once, as those of a stage whose function is often ready at its first
/// poll: one is recorded only while it is pending.
///
/// While there are records, or [waits](Self::begin_wait), each end moves the instant from which [`idle`](Self::idle) counts, so that
/// the time without an end is known exactly; and while there are none, nothing reads the clock.
#[doc(hidden)]
#[derive(Debug)]
pub struct Holds {
    base: Instant,
    /// The holds that are recorded, and the waits.
    waiting: AtomicUsize,
    /// When a hold has ended last while others were waiting, or when the first of these came; nanoseconds since the base.
    moved: AtomicU64,
    records: Mutex<Records>,
}

#[derive(Debug, Default)]
struct Records {
    holds: Slab<Record>,
    numbers: u64,
}

#[derive(Debug)]
struct Record {
    number: u64,
    task: TaskId,
    since: Instant,
}

/// The key of a hold.
#[doc(hidden)]
#[derive(Debug)]
#[must_use = "it is to be ended"]
pub struct HoldKey(usize);

impl Holds {
    /// Creates a list without holds.
    #[must_use]
    pub fn new() -> Self {
        Self {
            base: Instant::now(),
            waiting: AtomicUsize::new(0),
            moved: AtomicU64::new(0),
            records: Mutex::default(),
        }
    }

    /// Records a hold of the task that runs.
    pub fn begin(&self, since: Instant) -> HoldKey {
        let task = TaskId::current();
        let key = {
            let mut records = lock(&self.records);
            records.numbers += 1;
            let number = records.numbers;
            records.holds.insert(Record { number, task, since })
        };
        self.begin_wait(since);
        HoldKey(key)
    }

    /// Ends a hold.
    pub fn end(&self, key: HoldKey, now: Instant) {
        lock(&self.records).holds.discard(key.0);
        self.set_moved(now);
        self.end_wait();
    }

    /// Notes that a hold has ended that was not recorded.
    #[inline]
    pub fn end_at_once(&self) {
        if self.waiting.load(Relaxed) > 0 {
            self.set_moved(Instant::now());
        }
    }

    /// Notes that something waits for a hold.
    pub fn begin_wait(&self, since: Instant) {
        // Before the count: a look reads them in the other order.
        if self.waiting.load(Relaxed) == 0 {
            self.set_moved(since);
        }
        self.waiting.fetch_add(1, Release);
    }

    /// Notes the end of such a wait.
    pub fn end_wait(&self) {
        self.waiting.fetch_sub(1, Relaxed);
    }

    fn set_moved(&self, at: Instant) {
        let nanos = at.saturating_duration_since(self.base).as_nanos();
        self.moved.store(u64::try_from(nanos).unwrap_or(u64::MAX), Relaxed);
    }

    /// Returns the time since a hold has ended last; zero, if none is recorded and nothing waits.
    #[must_use]
    pub fn idle(&self, now: Instant) -> Duration {
        if self.waiting.load(Acquire) == 0 {
            return Duration::ZERO;
        }
        let moved = Duration::from_nanos(self.moved.load(Relaxed));
        now.saturating_duration_since(self.base).saturating_sub(moved)
    }

    /// Describes the holds that are recorded, the oldest first.
    #[must_use]
    pub fn holders(&self, place: &'static Location<'static>, now: Instant) -> Vec<HolderEdge> {
        let edge = |record: &Record| {
            let held_for = now.saturating_duration_since(record.since);
            HolderEdge::new(record.number, Some(record.task), place, held_for)
        };
        let mut holders = Vec::new();
        let expected = lock(&self.records).holds.len();
        copy_chunks(&mut holders, expected, |entries, holders| {
            let records = lock(&self.records);
            holders.extend(records.holds.values_in(entries).map(edge));
            records.holds.entry_count()
        });
        holders.sort_unstable_by_key(|holder| holder.number);
        holders
    }
}

impl Default for Holds {
    fn default() -> Self {
        Self::new()
    }
}
