//! How fast the job could be done at best.

use std::{num::NonZeroU32, time::Duration};

/// What bounds the time of a job.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub(crate) documents: u64,
    /// Those of the documents that come one after another.
    pub(crate) pages: u64,
    /// How long each document takes.
    pub(crate) latency: Duration,
    pub(crate) concurrency: u64,
    /// Calls started per second at most.
    pub(crate) rate: Option<NonZeroU32>,
}

impl Job {
    /// The time of the optimal schedule: the first page alone, then full rounds of calls, unless the pages, each of
    /// which names the next one, or the rate take longer.
    pub(crate) fn floor(&self) -> Duration {
        let Some(others) = self.documents.checked_sub(1) else { return Duration::ZERO };
        let rounds = 1 + others.div_ceil(self.concurrency);
        let in_sequence = self.pages + u64::from(self.documents > self.pages);
        let schedule = self.latency.mul_f64(rounds.max(in_sequence) as f64);
        let starts = self.rate.map_or(0.0, |rate| others as f64 / f64::from(rate.get()));
        schedule.max(Duration::from_secs_f64(starts) + self.latency)
    }

    /// The time of a client that makes one call after another.
    pub(crate) fn one_by_one(&self) -> Duration {
        self.latency.mul_f64(self.documents as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEMO: Job =
        Job { documents: 2010, pages: 10, latency: Duration::from_millis(200), concurrency: 100, rate: None };

    #[test]
    fn the_demo_takes_22_rounds() {
        assert_eq!(DEMO.floor(), Duration::from_millis(4400));
        assert_eq!(DEMO.one_by_one(), Duration::from_secs(402));
    }

    #[test]
    fn a_round_that_is_not_full_is_a_round() {
        assert_eq!(Job { documents: 2001, ..DEMO }.floor(), Duration::from_millis(4200));
        assert_eq!(Job { documents: 2002, ..DEMO }.floor(), Duration::from_millis(4400));
    }

    #[test]
    fn pages_are_read_in_sequence_and_the_last_has_users() {
        assert_eq!(Job { documents: 30, pages: 10, ..DEMO }.floor(), Duration::from_millis(2200));
        assert_eq!(Job { documents: 1, pages: 1, ..DEMO }.floor(), Duration::from_millis(200));
        assert_eq!(Job { documents: 0, pages: 0, ..DEMO }.floor(), Duration::ZERO);
    }

    #[test]
    fn a_rate_can_be_the_bound() {
        let rate = NonZeroU32::new(100);
        assert_eq!(Job { rate, ..DEMO }.floor(), Duration::from_millis(20_090 + 200));
        let rate = NonZeroU32::new(10_000);
        assert_eq!(Job { rate, ..DEMO }.floor(), Duration::from_millis(4400));
    }
}
