//! The number of keys.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Counts the keys of all shards, up to a maximum.
#[derive(Debug)]
pub(super) struct KeyCount {
    max: usize,
    count: AtomicUsize,
}

impl KeyCount {
    pub(super) fn new(max: usize) -> Self {
        Self { max, count: AtomicUsize::new(0) }
    }

    pub(super) fn get(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// Adds one; false if that would exceed the maximum.
    pub(super) fn try_add(&self) -> bool {
        self.count.fetch_update(Relaxed, Relaxed, |count| (count < self.max).then_some(count + 1)).is_ok()
    }

    pub(super) fn subtract(&self, keys: usize) {
        self.count.fetch_sub(keys, Relaxed);
    }
}
