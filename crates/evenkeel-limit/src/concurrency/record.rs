//! The record of who holds a permit, written without a lock.
//!
//! # How it works
//!
//! A thread has [records of its own](super::thread_records): it begins a use of one that is free, and whoever returns the permit
//! ends it, on any thread. So there is one writer at a time, and its steps are plain stores. The word of the place is odd
//! while the record is used; each use has another number.
//!
//! A look reads the number, the place, the other fields, and the number again. If it is the same, the fields are of one use:
//! - The number is stored before the other fields of a use, which are stored with `Release`. So a look that sees a field of a
//!   later use sees its number at the second reading.
//! - The end of a use is a `Release`, for which the thread looks with `Acquire` before the next one. So a look that sees the
//!   number of a use sees the end of the one before.

use evenkeel_inspect::TaskId;
use tokio::task;

use super::loom::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    TaskCell,
};

/// The numbers of a range. The first is that of a use with a time, and the others are those of uses without one, which may follow
/// in a burst.
pub(super) const RANGE: u64 = 256;

/// The time of a use that began without a reading of the clock.
pub(super) const UNREAD: u64 = 0;

/// The bit of the address of a place that is set while the record is used: places are at even addresses.
const USED: u64 = 1;

// A line of the cache for each: different threads end their uses.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Record {
    pub(super) place: AtomicU64,
    pub(super) number: AtomicU64,
    pub(super) task: TaskCell,
    pub(super) limiter: AtomicU64,
    pub(super) weight: AtomicU64,
    pub(super) since: AtomicU64,
}

/// The fields of a record that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Use {
    /// The number of the use, which no other one of any record gets.
    pub(super) number: u64,
    pub(super) task: TaskId,
    /// The limiter of the permit, by its address.
    pub(super) limiter: u64,
    /// The address of the place.
    pub(super) place: u64,
    /// When the use began, as [`nanos`](super::thread_records::nanos) tells it; [`UNREAD`] if the clock was not read.
    pub(super) since: u64,
    pub(super) weight: u32,
}

impl Record {
    /// Returns whether the record is free. Any thread may ask, but only for the owner it stays so.
    pub(super) fn is_free(&self) -> bool {
        self.place.load(Acquire) & USED == 0
    }

    /// Returns whether it is free, and was prepared for this place.
    #[inline]
    pub(super) fn is_free_for(&self, place: u64) -> bool {
        self.place.load(Acquire) == place
    }

    /// Returns the number of the last use, or the one before the next.
    pub(super) fn number(&self) -> u64 {
        self.number.load(Relaxed)
    }

    /// Sets the number, and what stays the same from one use to the next. Requires that this thread owns it, and that it is free.
    pub(super) fn prepare(&self, number: u64, place: u64, since: u64, thread: u64) {
        self.number.store(number, Release);
        self.place.store(place, Release);
        self.since.store(since, Release);
        self.task.set_thread(thread);
    }

    /// Takes the next number, whether a use begins then or not; returns `false` if the range ends. Requires that this thread owns
    /// it, and that it is free.
    #[inline(always)]
    pub(super) fn take_number(&self) -> bool {
        self.number.store(self.number() + 1, Release);
        // Read again: that is one instruction less.
        let is_left = !self.number().is_multiple_of(RANGE);
        if !is_left {
            self.number.store(self.number() - 1, Release);
        }
        is_left
    }

    /// Begins the use of its number. Requires that this thread owns it, and that it is free.
    #[inline]
    pub(super) fn begin(&self, task: Option<task::Id>, limiter: u64, weight: u32) {
        self.task.set(task);
        self.limiter.store(limiter, Release);
        self.weight.store(weight.into(), Release);
        self.place.store(self.place.load(Relaxed) | USED, Release);
    }

    /// Returns the address of the place. Requires the permit that it is of.
    pub(super) fn place(&self) -> u64 {
        self.place.load(Relaxed) - USED
    }

    /// Returns when the use began. Requires the permit that it is of.
    pub(super) fn since(&self) -> u64 {
        self.since.load(Relaxed)
    }

    /// Ends the use. Requires the permit that it is of.
    #[inline]
    pub(super) fn end(&self) {
        self.place.store(self.place.load(Relaxed) - USED, Release);
    }

    /// Returns the fields, if it is used. Any thread may look.
    pub(super) fn look(&self) -> Option<Use> {
        let number = self.number.load(Acquire);
        let place = self.place.load(Acquire);
        if place & USED == 0 {
            return None;
        }
        let (task, limiter) = (self.task.get(), self.limiter.load(Acquire));
        let (since, weight) = (self.since.load(Acquire), self.weight.load(Acquire) as u32);
        let is_same = self.number.load(Relaxed) == number;
        is_same.then_some(Use { number, task, limiter, place: place - USED, since, weight })
    }
}
