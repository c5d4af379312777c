//! Random numbers from a seed: SplitMix64.

use std::time::Duration;

#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns a sequence that no other process has, unless a test seeds its thread.
    pub(crate) fn unseeded() -> Self {
        Self(evenkeel_base::Random::new().number(0))
    }

    /// Returns another sequence, for a part with a number of its own.
    pub(crate) fn part(&self, number: u64) -> Self {
        let mut part = Self(self.0.wrapping_add(number));
        Self(part.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number from 0 up to and without 1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn happens(&mut self, share: f64) -> bool {
        share > 0.0 && self.share() < share
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.share() * end as f64) as usize
    }

    pub(crate) fn up_to(&mut self, time: Duration) -> Duration {
        time.mul_f64(self.share())
    }
}
