//! The item of a worker while it is pending, written without a lock.
//!
//! # How it works
//!
//! The worker alone begins and ends items: it writes the number and then the time of each, and clears the time at the end.
//! A look reads the number, the time and the number again. Behind a number there is no time of an item before it, and a
//! time of an item behind it comes with another number.

use super::loom::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// No item is pending.
const NONE: u64 = 0;

/// An item is pending, since when is not known.
const UNREAD: u64 = u64::MAX;

#[derive(Debug)]
pub(super) struct ItemCell {
    number: AtomicU64,
    since: AtomicU64,
}

impl ItemCell {
    pub(super) fn new() -> Self {
        Self { number: AtomicU64::new(0), since: AtomicU64::new(NONE) }
    }

    /// Begins an item at a time that is neither the first nor the last one, if that is known. The worker alone calls it.
    #[inline]
    pub(super) fn begin(&self, number: u64, since: Option<u64>) {
        self.number.store(number, Release);
        self.since.store(since.unwrap_or(UNREAD), Release);
    }

    /// Ends the item. The worker alone calls it.
    #[inline]
    pub(super) fn end(&self) {
        self.since.store(NONE, Release);
    }

    /// Returns the number of the item that is pending, and since when it has been, if that is known.
    pub(super) fn get(&self) -> Option<(u64, Option<u64>)> {
        let number = self.number.load(Acquire);
        let since = self.since.load(Acquire);
        let is_same = self.number.load(Relaxed) == number;
        (is_same && since != NONE).then_some((number, Some(since).filter(|since| *since != UNREAD)))
    }
}
