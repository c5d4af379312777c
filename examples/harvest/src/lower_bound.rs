//! The lower bound of the time of a job: its optimal schedule.

use std::{num::NonZeroU32, time::Duration};

/// The sizes and limits that bound the time of a job.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub(crate) documents: u64,
    /// The documents that are read one after another.
    pub(crate) pages: u64,
    /// The time of each document.
    pub(crate) latency: Duration,
    pub(crate) concurrency: u64,
    /// The maximum number of calls started per second.
    pub(crate) rate: Option<NonZeroU32>,
}

impl Job {
    /// Returns the time of the optimal schedule: the first page alone, then full rounds of calls. The rate may take longer,
    /// or the pages, since each of them names the next one.
    pub(crate) fn lower_bound(&self) -> Duration {
        let Some(others) = self.documents.checked_sub(1) else { return Duration::ZERO };
        let rounds = 1 + others.div_ceil(self.concurrency);
        let in_sequence = self.pages + u64::from(self.documents > self.pages);
        let schedule = self.latency.mul_f64(rounds.max(in_sequence) as f64);
        let starts = self.rate.map_or(0.0, |rate| others as f64 / f64::from(rate.get()));
        schedule.max(Duration::from_secs_f64(starts) + self.latency)
    }

    /// Returns the time of a client that makes one call after another.
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
        assert_eq!(DEMO.lower_bound(), Duration::from_millis(4400));
        assert_eq!(DEMO.one_by_one(), Duration::from_secs(402));
    }

    #[test]
    fn a_round_that_is_not_full_is_a_round() {
        assert_eq!(Job { documents: 2001, ..DEMO }.lower_bound(), Duration::from_millis(4200));
        assert_eq!(Job { documents: 2002, ..DEMO }.lower_bound(), Duration::from_millis(4400));
    }

    #[test]
    fn pages_are_read_in_sequence_and_the_last_has_users() {
        assert_eq!(Job { documents: 30, pages: 10, ..DEMO }.lower_bound(), Duration::from_millis(2200));
        assert_eq!(Job { documents: 1, pages: 1, ..DEMO }.lower_bound(), Duration::from_millis(200));
        assert_eq!(Job { documents: 0, pages: 0, ..DEMO }.lower_bound(), Duration::ZERO);
    }

    #[test]
    fn a_rate_can_be_the_bound() {
        let rate = NonZeroU32::new(100);
        assert_eq!(Job { rate, ..DEMO }.lower_bound(), Duration::from_millis(20_090 + 200));
        let rate = NonZeroU32::new(10_000);
        assert_eq!(Job { rate, ..DEMO }.lower_bound(), Duration::from_millis(4400));
    }
}
