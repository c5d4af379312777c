//! Percentiles in fixed memory.

use std::time::Duration;

/// Buckets per power of two: a percentile is at most 1/128 above the true value.
const STEPS: u64 = 128;
/// Up to 2^36 microseconds, 19 hours; longer durations are counted in the last bucket.
const BUCKETS: usize = 30 * 128;

/// Counts durations in buckets that grow with their size.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Box<[u64]>,
    total: u64,
    sum: Duration,
    max: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS].into(), total: 0, sum: Duration::ZERO, max: Duration::ZERO }
    }
}

impl Histogram {
    pub(crate) fn record(&mut self, value: Duration) {
        let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
        self.counts[bucket(micros).min(BUCKETS - 1)] += 1;
        self.total += 1;
        self.sum += value;
        self.max = self.max.max(value);
    }

    /// Returns the smallest value that `share` (0 to 1) of all values do not exceed, by nearest rank; zero without values.
    pub(crate) fn percentile(&self, share: f64) -> Duration {
        let rank = (share * self.total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_micros(upper_bound(bucket)).min(self.max);
            }
        }
        Duration::ZERO
    }

    pub(crate) fn mean(&self) -> Duration {
        if self.total == 0 { Duration::ZERO } else { self.sum.div_f64(self.total as f64) }
    }

    /// Returns each value with its count, in order.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (Duration, u64)> {
        let counts = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        counts.map(|(bucket, count)| (Duration::from_micros(upper_bound(bucket)).min(self.max), *count))
    }

    pub(crate) const fn max(&self) -> Duration {
        self.max
    }
}

/// Returns the bucket of a value: one for each value below 128, then 128 for each power of two.
fn bucket(micros: u64) -> usize {
    if micros < STEPS {
        return micros as usize;
    }
    let power = micros.ilog2() - STEPS.ilog2();
    (u64::from(power) * STEPS + (micros >> power)) as usize
}

/// Returns the largest value that is counted in this bucket.
fn upper_bound(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 2 * STEPS {
        return bucket;
    }
    let power = bucket / STEPS - 1;
    ((bucket - power * STEPS + 1) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_a_bucket_whose_bound_is_close_above() {
        let mut previous = 0;
        for micros in (0..100_000).chain([1 << 20, (1 << 35) + 12_345, (1 << 36) - 1]) {
            let bucket = bucket(micros);
            assert!(bucket < BUCKETS, "{micros} in {bucket}");
            assert!(bucket >= previous, "buckets grow with the value");
            previous = bucket;
            let bound = upper_bound(bucket);
            assert!(bound >= micros && bound - micros <= micros / STEPS, "{micros} is told as {bound}");
        }
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(0.5), Duration::ZERO);
        for micros in 1..=20 {
            histogram.record(Duration::from_micros(micros));
        }
        assert_eq!(histogram.percentile(0.5), Duration::from_micros(10));
        assert_eq!(histogram.percentile(0.99), Duration::from_micros(20));
        assert_eq!(histogram.percentile(0.0), Duration::from_micros(1));
        assert_eq!(histogram.mean(), Duration::from_nanos(10_500));
    }

    #[test]
    fn no_percentile_is_above_the_largest_value() {
        let mut histogram = Histogram::default();
        histogram.record(Duration::from_micros(1_000_001));
        assert_eq!(histogram.percentile(0.99), Duration::from_micros(1_000_001));
        histogram.record(Duration::MAX / 4);
        assert_eq!(histogram.max(), Duration::MAX / 4);
    }
}
