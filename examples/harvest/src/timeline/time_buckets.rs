//! Amounts over time, in buckets of equal width and fixed memory.

use std::time::Duration;

use super::Wait;

/// The maximum number of buckets; once it was reached, at least half of them are in use.
const MAX_BUCKETS: usize = 128;

/// The amounts within the time of one bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct TimeBucket {
    /// The seconds that documents spent in each [`Wait`], all documents together.
    pub(crate) waits: [f64; Wait::ALL.len()],
    /// Successful calls.
    pub(crate) answered: f64,
    /// Failed calls.
    pub(crate) failed: f64,
    /// Users that were stored.
    pub(crate) stored: f64,
}

impl TimeBucket {
    fn add(&mut self, other: &Self) {
        for (sum, seconds) in self.waits.iter_mut().zip(other.waits) {
            *sum += seconds;
        }
        self.answered += other.answered;
        self.failed += other.failed;
        self.stored += other.stored;
    }
}

/// TimeBuckets of the same width, which doubles when there is no room for more of them.
#[derive(Clone, Debug)]
pub(crate) struct TimeBuckets {
    width: Duration,
    buckets: Vec<TimeBucket>,
}

impl Default for TimeBuckets {
    fn default() -> Self {
        Self { width: Duration::from_millis(10), buckets: Vec::new() }
    }
}

impl TimeBuckets {
    /// Returns the bucket of this time.
    pub(crate) fn at(&mut self, time: Duration) -> &mut TimeBucket {
        while self.index(time) >= MAX_BUCKETS {
            self.fold();
        }
        let index = self.index(time);
        if self.buckets.len() <= index {
            self.buckets.resize(index + 1, TimeBucket::default());
        }
        &mut self.buckets[index]
    }

    /// Adds the time of a wait to all buckets that it touches.
    pub(crate) fn spread(&mut self, wait: Wait, from: Duration, to: Duration) {
        self.at(to);
        let mut from = from;
        while from < to {
            let end = to.min(self.width * (self.index(from) as u32 + 1));
            self.at(from).waits[wait as usize] += (end - from).as_secs_f64();
            from = end;
        }
    }

    pub(crate) const fn width(&self) -> Duration {
        self.width
    }

    /// Returns the time of all buckets.
    pub(crate) fn total(&self) -> Duration {
        self.width * (self.buckets.len() as u32).max(1)
    }

    pub(crate) fn all(&self) -> &[TimeBucket] {
        &self.buckets
    }

    fn index(&self, time: Duration) -> usize {
        (time.as_nanos() / self.width.as_nanos()) as usize
    }

    fn fold(&mut self) {
        self.width *= 2;
        let pairs = self.buckets.chunks(2).map(|pair| {
            let mut sum = pair[0];
            pair[1..].iter().for_each(|other| sum.add(other));
            sum
        });
        self.buckets = pairs.collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_long_run_has_wider_columns_and_the_same_sums() {
        let mut buckets = TimeBuckets::default();
        for millis in (0..100_000).step_by(7) {
            buckets.at(ms(millis)).answered += 1.0;
        }
        assert_eq!(buckets.width(), ms(1280));
        assert_eq!(buckets.all().len(), 100_000_usize.div_ceil(1280));
        let sum: f64 = buckets.all().iter().map(|bucket| bucket.answered).sum();
        assert_eq!(sum, f64::from(100_000_u32.div_ceil(7)));
    }

    #[test]
    fn a_wait_is_spread_over_the_columns_that_it_touches() {
        let mut buckets = TimeBuckets::default();
        buckets.spread(Wait::Answer, ms(5), ms(25));
        let seconds: Vec<f64> = buckets.all().iter().map(|c| c.waits[Wait::Answer as usize]).collect();
        assert_eq!(seconds, [0.005, 0.01, 0.005]);

        buckets.spread(Wait::Store, ms(1000), ms(3000));
        let sum: f64 = buckets.all().iter().map(|c| c.waits[Wait::Store as usize]).sum();
        assert!((sum - 2.0).abs() < 1e-9, "{sum}");
    }

    #[test]
    fn a_wait_of_no_time_leaves_no_trace() {
        let mut buckets = TimeBuckets::default();
        buckets.spread(Wait::Slot, ms(3), ms(3));
        assert!(buckets.all().iter().all(|bucket| *bucket == TimeBucket::default()));
    }
}
