//! The calls that have arrived, and how many of them at most in any second.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde::Serialize;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// Counts calls when they arrive.
#[derive(Debug, Default)]
pub(super) struct Arrivals(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// The arrivals of the last second.
    recent: VecDeque<Instant>,
    first: Option<Instant>,
    traffic: Traffic,
}

/// The calls that a server has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Traffic {
    pub(crate) calls: u64,
    /// The most calls in any second.
    pub(crate) peak: usize,
    /// The time between the first and the last one.
    pub(crate) time: Duration,
}

impl Arrivals {
    pub(super) fn record(&self, now: Instant) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Counts { recent, first, traffic } = &mut *counts;
        while recent.front().is_some_and(|then| now.duration_since(*then) >= SECOND) {
            recent.pop_front();
        }
        recent.push_back(now);
        traffic.calls += 1;
        traffic.peak = traffic.peak.max(recent.len());
        traffic.time = now.duration_since(*first.get_or_insert(now));
    }

    pub(super) fn read(&self) -> Traffic {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).traffic
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calls, peak, time } = self;
        write!(f, "{calls} calls in {:.3} s, at most {peak} in any second", time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_that_of_any_second() {
        let (arrivals, start) = (Arrivals::default(), Instant::now());
        for millis in [0, 600, 900, 1000, 1599, 1600, 4000] {
            arrivals.record(start + Duration::from_millis(millis));
        }
        // 600, 900, 1000, 1599.
        let traffic = Traffic { calls: 7, peak: 4, time: Duration::from_secs(4) };
        assert_eq!(arrivals.read(), traffic);
        assert_eq!(traffic.to_string(), "7 calls in 4.000 s, at most 4 in any second");
    }
}
