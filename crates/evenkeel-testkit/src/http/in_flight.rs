//! The count of calls in flight.

use std::sync::{Arc, Mutex};

use evenkeel_base::lock;

/// The number of calls in flight, and the highest number so far.
#[derive(Debug, Default)]
pub(super) struct CallCount(Mutex<(usize, usize)>);

impl CallCount {
    /// Counts a call as in flight; returns its guard, and the number of calls in flight.
    pub(super) fn enter(self: &Arc<Self>) -> (InFlightGuard, usize) {
        let mut count = lock(&self.0);
        count.0 += 1;
        count.1 = count.1.max(count.0);
        (InFlightGuard(Arc::clone(self)), count.0)
    }

    pub(super) fn now_and_peak(&self) -> (usize, usize) {
        *lock(&self.0)
    }
}

/// Counts a call as in flight until it is dropped.
#[derive(Debug)]
pub(super) struct InFlightGuard(Arc<CallCount>);

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        lock(&self.0.0).0 -= 1;
    }
}
