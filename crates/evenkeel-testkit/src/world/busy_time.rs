//! For how long the thread of a world computes without a rest.

use std::{sync::Mutex, time::Duration};

use evenkeel_base::lock;

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
        lock(&self.0).begun = wall_clock::computed();
    }

    pub(super) fn ends(&self) {
        let mut spans = lock(&self.0);
        if let (Some(begun), Some(now)) = (spans.begun.take(), wall_clock::computed()) {
            spans.longest = spans.longest.max(now.saturating_sub(begun));
        }
    }

    pub(super) fn longest(&self) -> Duration {
        lock(&self.0).longest
    }
}
