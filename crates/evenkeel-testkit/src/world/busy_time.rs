//! The longest time for which the thread of a world computes without parking.

use std::{sync::Mutex, time::Duration};

use evenkeel_base::lock;

use crate::wall_clock;

/// Measures CPU time between two parks of the runtime.
#[derive(Debug, Default)]
pub(super) struct BusyTime(Mutex<Spans>);

#[derive(Debug, Default)]
struct Spans {
    /// The CPU time at the start of the current span.
    started: Option<Duration>,
    longest: Duration,
}

impl BusyTime {
    pub(super) fn start(&self) {
        lock(&self.0).started = wall_clock::thread_cpu_time();
    }

    pub(super) fn stop(&self) {
        let mut spans = lock(&self.0);
        if let (Some(started), Some(now)) = (spans.started.take(), wall_clock::thread_cpu_time()) {
            spans.longest = spans.longest.max(now.saturating_sub(started));
        }
    }

    pub(super) fn longest(&self) -> Duration {
        lock(&self.0).longest
    }
}
