//! The record of one holder, written without a lock.
//!
//! # How it works
//!
//! One at a time has a slot: it gets that from the [fast path](super::fast_path) together with its permits, and puts it back
//! together with them. So there is one writer, and its steps are plain stores. The number is odd while the slot is used, and
//! each use has another one. A look reads the number, the fields, and the number again.
//!
//! Invariant: behind an odd number are the fields of that use or of later ones, since each field is stored with `Release`
//! after the number that ended the use before. If one is of a later use, the second reading has a later number, too.

use evenkeel_inspect::TaskId;

use super::loom::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    TaskCell,
};

// A line of the cache for each: they are written by different threads.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Slot {
    number: AtomicU64,
    place: AtomicU64,
    task: TaskCell,
    since: AtomicU64,
    weight: AtomicU64,
}

/// The fields of a slot that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Use {
    /// The number of the use, which no other one of the slot gets.
    pub(super) number: u64,
    pub(super) task: TaskId,
    /// The address of the place.
    pub(super) place: u64,
    /// When the use began, in the units of the owner; zero if the clock was not read.
    pub(super) since: u64,
    pub(super) weight: u32,
}

impl Slot {
    pub(super) fn new() -> Self {
        Self {
            number: AtomicU64::new(0),
            place: AtomicU64::new(0),
            task: TaskCell::new(),
            since: AtomicU64::new(0),
            weight: AtomicU64::new(0),
        }
    }

    /// Returns the place of the use before, or of this one.
    #[inline]
    pub(super) fn place(&self) -> u64 {
        self.place.load(Relaxed)
    }

    /// Sets the place of the next use. Requires the slot.
    pub(super) fn set_place(&self, place: u64) {
        self.place.store(place, Release);
    }

    /// Begins a use. Requires the slot.
    #[inline]
    pub(super) fn begin(&self, task: TaskId, since: u64, weight: u32) {
        self.task.set(task);
        self.since.store(since, Release);
        self.weight.store(weight.into(), Release);
        self.number.store(self.number.load(Relaxed) + 1, Release);
    }

    /// Returns the task of the use. Requires the slot.
    #[inline]
    pub(super) fn task(&self) -> TaskId {
        self.task.get()
    }

    /// Returns when the use began, zero if the clock was not read. Requires the slot.
    #[inline]
    pub(super) fn since(&self) -> u64 {
        self.since.load(Relaxed)
    }

    /// Ends the use. Requires the slot.
    #[inline]
    pub(super) fn end(&self) {
        self.number.store(self.number.load(Relaxed) + 1, Release);
    }

    /// Returns the fields, if the slot is used. Any thread may look.
    pub(super) fn look(&self) -> Option<Use> {
        let number = self.number.load(Acquire);
        let (task, place) = (self.task.get(), self.place.load(Acquire));
        let (since, weight) = (self.since.load(Acquire), self.weight.load(Acquire) as u32);
        let is_same = self.number.load(Relaxed) == number;
        (is_same && number % 2 == 1).then_some(Use { number, task, place, since, weight })
    }
}
