//! A reference model of the token bucket.

use tokio::time::Instant;

use super::Rate;

/// A bucket that is obviously right: it counts in parts of a permit, of which each nanosecond earns a whole number.
pub(crate) struct Model {
    rate: Rate,
    brim: u128,
    level: u128,
    counted: Instant,
}

impl Model {
    /// A full bucket.
    pub(crate) fn new(rate: Rate, burst: u32) -> Self {
        let brim = u128::from(burst) * rate.per.as_nanos();
        Self { rate, brim, level: brim, counted: Instant::now() }
    }

    /// Takes these permits if they are there now, and returns whether they were.
    pub(crate) fn grants(&mut self, permits: u32) -> bool {
        let earned = self.counted.elapsed().as_nanos() * u128::from(self.rate.permits);
        self.level = (self.level + earned).min(self.brim);
        self.counted = Instant::now();
        let left = self.level.checked_sub(u128::from(permits) * self.rate.per.as_nanos());
        self.level = left.unwrap_or(self.level);
        left.is_some()
    }
}
