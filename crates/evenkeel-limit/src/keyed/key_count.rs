//! How many keys there may be.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The keys of all tables, counted together.
#[derive(Debug)]
pub(super) struct Room {
    most: usize,
    keys: AtomicUsize,
}

impl Room {
    pub(super) fn new(most: usize) -> Self {
        Self { most, keys: AtomicUsize::new(0) }
    }

    pub(super) fn keys(&self) -> usize {
        self.keys.load(Relaxed)
    }

    /// Counts one more, unless there are as many as may be.
    pub(super) fn enter(&self) -> bool {
        self.keys.fetch_update(Relaxed, Relaxed, |keys| (keys < self.most).then_some(keys + 1)).is_ok()
    }

    pub(super) fn leave(&self, keys: usize) {
        self.keys.fetch_sub(keys, Relaxed);
    }
}
