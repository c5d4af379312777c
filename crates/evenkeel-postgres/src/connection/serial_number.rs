//! Serial numbers of connections, by which all connections made so far can be retired.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// The serial numbers of a pool.
#[derive(Debug, Default)]
pub(crate) struct SerialNumbers {
    next: AtomicU64,
    // All connections with a lower number are retired.
    first_valid: AtomicU64,
}

impl SerialNumbers {
    pub(crate) fn next(self: &Arc<Self>) -> SerialNumber {
        SerialNumber { numbers: Arc::clone(self), number: self.next.fetch_add(1, Relaxed) }
    }
}

/// The serial number of a connection.
#[derive(Debug)]
pub(crate) struct SerialNumber {
    numbers: Arc<SerialNumbers>,
    number: u64,
}

impl SerialNumber {
    /// Retires all connections made so far: each is closed when it returns, or before it is used again.
    pub(crate) fn retire_all(&self) {
        let next = self.numbers.next.load(Relaxed);
        self.numbers.first_valid.fetch_max(next, Relaxed);
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.number < self.numbers.first_valid.load(Relaxed)
    }
}
