//! For how long the thread of a world computes without a rest.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::wall_clock;

/// The longest span between two rests of the runtime.
#[derive(Debug, Default)]
pub(super) struct BusyTime(Mutex<Spans>);

#[derive(Debug, Default)]
struct Spans {
    begun: Option<Duration>,
    longest: Duration,
}

impl BusyTime {
    pub(super) fn begins(&self) {
        self.spans().begun = wall_clock::computed();
    }

    pub(super) fn ends(&self) {
        let mut spans = self.spans();
        if let (Some(begun), Some(now)) = (spans.begun.take(), wall_clock::computed()) {
            spans.longest = spans.longest.max(now.saturating_sub(begun));
        }
    }

    pub(super) fn longest(&self) -> Duration {
        self.spans().longest
    }

    fn spans(&self) -> MutexGuard<'_, Spans> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
