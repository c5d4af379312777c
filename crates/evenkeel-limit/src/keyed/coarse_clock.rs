//! Time, counted in parts of a bucket.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    algorithm::clock::{MonotonicClock, Tokens},
    rate::Rate,
};

/// Two to this power are the most parts of a whole bucket.
const PARTS: u32 = 47;

/// A clock that reads the parts earned so far, as even numbers that wrap around.
///
/// A part is a power of two of a permit, so that a reading means the same at every rate. Where a nanosecond earns a
/// fraction of a part, that is kept. After a time in which any bucket fills up it reads no more than a whole bucket
/// more: nobody can tell the difference, and readings stay in order for a long time.
#[derive(Debug)]
pub(super) struct Pace {
    rate: Rate,
    burst: u32,
    /// Two to this power are the parts of a permit.
    bits: u32,
    /// The parts of a whole bucket.
    whole: u64,
    /// What a nanosecond earns: whole parts, and 2^-64 of a part.
    step: (u64, u64),
    clock: MonotonicClock,
    reading: u64,
    /// What is earned of the next part, in 2^-64 of it.
    rest: u64,
}

impl Pace {
    pub(super) fn new(rate: Rate, burst: u32) -> Self {
        let bits = PARTS - (u32::BITS - (burst - 1).leading_zeros());
        Self {
            rate,
            burst,
            bits,
            whole: u64::from(burst) << bits,
            step: step(rate, bits),
            clock: MonotonicClock::new(Instant::now()),
            reading: 0,
            rest: 0,
        }
    }

    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    pub(super) fn burst(&self) -> u32 {
        self.burst
    }

    pub(super) fn reading(&self) -> u64 {
        self.reading
    }

    /// As much of a reading as the burst is.
    #[inline]
    pub(super) fn depth(&self) -> u64 {
        2 * self.whole
    }

    /// As much of a reading as `permits` are.
    pub(super) fn of(&self, permits: u32) -> u64 {
        u64::from(permits) << (self.bits + 1)
    }

    /// Moves on to `now`, which was read without the lock; to a later instant, if another was quicker to get it.
    #[inline]
    pub(super) fn advance(&mut self, now: Instant) {
        let nanos = self.clock.try_advance(now).unwrap_or_else(|| self.move_from(now));
        let fraction = u128::from(nanos) * u128::from(self.step.1) + u128::from(self.rest);
        let earned = nanos.saturating_mul(self.step.0).saturating_add((fraction >> 64) as u64);
        (self.reading, self.rest) = if earned < self.whole {
            (self.reading.wrapping_add(2 * earned), fraction as u64)
        } else {
            (self.reading.wrapping_add(self.depth()), 0)
        };
    }

    #[cold]
    fn move_from(&mut self, now: Instant) -> u64 {
        self.clock.advance(if now < self.clock.now() { Instant::now() } else { now })
    }

    /// The time in which so much of a reading is earned.
    pub(super) fn until(&self, reading: u64) -> Duration {
        let missing = (u128::from(reading / 2) << 64).saturating_sub(self.rest.into());
        let step = (u128::from(self.step.0) << 64) + u128::from(self.step.1);
        Duration::from_nanos(u64::try_from(missing.div_ceil(step)).unwrap_or(u64::MAX))
    }

    /// The tokens that are still to be earned of so much of a reading.
    pub(super) fn tokens(&self, reading: u64) -> Tokens {
        let tokens = Tokens::from(reading / 2) << (64 - self.bits);
        (tokens - Tokens::from(self.rest >> self.bits)).max(0)
    }

    pub(super) fn set_rate(&mut self, rate: Rate) {
        self.advance(Instant::now());
        self.step = step(rate, self.bits);
        self.rate = rate;
    }
}

/// What a nanosecond earns, rounded up: by less than a part in a hundred years.
fn step(rate: Rate, bits: u32) -> (u64, u64) {
    let (parts, nanos) = (u128::from(rate.permits()) << bits, u128::from(rate.nanos()));
    let fraction = ((parts % nanos) << 64).div_ceil(nanos);
    (u64::try_from(parts / nanos).unwrap_or(u64::MAX), fraction as u64)
}
