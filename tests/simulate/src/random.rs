//! Random numbers of a seed: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).

use std::{ops::RangeInclusive, time::Duration};

/// A sequence of random numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Creates the sequence of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Creates the sequence of one thing within a seed: that of an item at its third attempt, say. It does not change when
    /// other things draw more or fewer numbers, so that a script which is shrunk keeps the behavior of the rest.
    #[must_use]
    pub fn of(seed: u64, thing: &[u64]) -> Self {
        let mut random = Self(seed);
        for part in thing {
            random.0 = random.number() ^ *part;
        }
        random
    }

    /// Returns the next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number from 0 up to and without `end`, which is not zero.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.number()) * u128::from(end)) >> 64) as u64
    }

    /// Returns a number of a range.
    pub fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.below(range.end() - range.start() + 1)
    }

    /// Returns one of several values, of which there is at least one.
    pub fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }

    /// Returns true in this many of a thousand cases.
    pub fn happens(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// Returns a number of milliseconds up to this, with a part of a millisecond in half of all cases: timers round up.
    pub fn millis(&mut self, most: u64) -> Duration {
        let millis = Duration::from_millis(self.below(most + 1));
        if most > 0 && self.happens(500) { millis + Duration::from_micros(self.below(1000)) } else { millis }
    }
}
