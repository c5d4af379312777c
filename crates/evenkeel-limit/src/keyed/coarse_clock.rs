//! The clock of a shard: time, counted in fractions of a permit.
//!
//! # How it works
//!
//! A bucket of a key is a single word: the *reading* of this clock at which it is full. So the clock does not read
//! nanoseconds, but what a bucket has earned, in *parts*. A part is a power of two of a permit, which has the same value at
//! every rate. A change of the rate therefore changes the speed of the clock, and no bucket.
//!
//! A whole bucket has up to 2^47 parts, or 2^38 where words have credits. A nanosecond may earn less than a part: `fraction` keeps what is earned of the next
//! one, so that nothing is lost however often the clock is read.
//!
//! Invariants:
//! - A reading is the parts above the bits of a word that are no reading ([`word`](super::word)), and so always even.
//! - One advance adds at most a whole bucket. More cannot be observed, since a bucket that is full stays full, and readings
//!   wrap around later.
//! - Readings never go back. `now` is read before the lock of the shard is taken, so two threads may arrive in the wrong
//!   order: the clock then reads the time again.
//!
//! With a counter of the processor the clock is *anchored*: it knows the ticks at which it read tokio's clock, and counts the
//! nanoseconds that the counter has measured since then. After a millisecond it reads tokio's clock again, and earns the
//! time that the counter has not measured. If that measured too much, it first has to make up for it (`counted`).

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    algorithm::clock::{MonotonicClock, Tokens},
    clock::Counter,
    rate::Rate,
};

/// The reading grows by at most two to this power while a whole bucket is earned.
const MAX_BITS: u32 = 48;

/// A clock that reads the parts earned so far, as even numbers that wrap around.
#[derive(Debug)]
pub(super) struct CoarseClock {
    rate: Rate,
    burst: u32,
    /// A part is two to this power in a reading.
    part_bits: u32,
    /// A permit has two to this power parts.
    permit_bits: u32,
    /// The parts of a whole bucket.
    whole: u64,
    /// The parts that a nanosecond earns: whole ones, and a fraction in 2^-64.
    speed: (u64, u64),
    clock: MonotonicClock,
    counter: Option<Counter>,
    /// The ticks at which tokio's clock was read last.
    anchor: u64,
    /// The nanoseconds since then that are earned already.
    counted: u64,
    reading: u64,
    /// The earned fraction of the next part, in 2^-64.
    fraction: u64,
}

impl CoarseClock {
    /// Creates a clock whose readings leave so many bits of a word free.
    pub(super) fn new(rate: Rate, burst: u32, part_bits: u32, counter: Option<Counter>) -> Self {
        let permit_bits = MAX_BITS - part_bits - (u32::BITS - (burst - 1).leading_zeros());
        Self {
            rate,
            burst,
            part_bits,
            permit_bits,
            whole: u64::from(burst) << permit_bits,
            speed: speed(rate, permit_bits),
            clock: MonotonicClock::new(Instant::now()),
            anchor: u64::MAX / 2,
            counter,
            counted: 0,
            reading: 0,
            fraction: 0,
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

    /// The growth of the reading in which a whole bucket is earned.
    #[inline]
    pub(super) fn depth(&self) -> u64 {
        self.whole << self.part_bits
    }

    /// The growth of the reading in which `permits` are earned.
    #[inline]
    pub(super) fn cost(&self, permits: u32) -> u64 {
        u64::from(permits) << (self.permit_bits + self.part_bits)
    }

    /// Advances to `now` of tokio's clock, which was read without the lock; or further, if another thread got the lock before.
    #[inline]
    pub(super) fn advance(&mut self, now: Instant) {
        let nanos = self.clock.try_advance(now).unwrap_or_else(|| self.advance_late(now));
        self.earn(nanos);
    }

    /// Advances to the ticks of the counter, in the same way.
    #[inline]
    pub(super) fn advance_to_ticks(&mut self, ticks: u64) {
        let passed = self.counter.as_ref().and_then(|counter| counter.nanos(self.anchor, ticks));
        let nanos = match passed {
            Some(passed) => self.count(passed),
            None => self.anchor(),
        };
        self.earn(nanos);
    }

    /// Reads the counter, or tokio's clock if there is none.
    pub(super) fn advance_to_now(&mut self) {
        match &self.counter {
            None => self.advance(Instant::now()),
            Some(counter) => self.advance_to_ticks(counter.ticks()),
        }
    }

    #[inline]
    fn earn(&mut self, nanos: u64) {
        let fraction = u128::from(nanos) * u128::from(self.speed.1) + u128::from(self.fraction);
        let earned = nanos.saturating_mul(self.speed.0).saturating_add((fraction >> 64) as u64);
        (self.reading, self.fraction) = if earned < self.whole {
            (self.reading.wrapping_add(earned << self.part_bits), fraction as u64)
        } else {
            (self.reading.wrapping_add(self.depth()), 0)
        };
    }

    #[cold]
    fn advance_late(&mut self, now: Instant) -> u64 {
        self.clock.advance(if now < self.clock.now() { Instant::now() } else { now })
    }

    /// Returns the nanoseconds that are new, of those that `passed` since the anchor.
    #[inline]
    fn count(&mut self, passed: u64) -> u64 {
        let new = passed.saturating_sub(self.counted);
        self.counted += new;
        new
    }

    /// Reads tokio's clock, and returns the nanoseconds that are new.
    #[cold]
    fn anchor(&mut self) -> u64 {
        let (now, ticks) = match &self.counter {
            None => (Instant::now(), None),
            Some(counter) => counter.read(),
        };
        // With ticks that are far from the next ones, the next request reads tokio's clock again.
        self.anchor = ticks.unwrap_or(u64::MAX / 2);
        let passed = self.clock.advance(now);
        let counted = passed.min(self.counted);
        self.counted -= counted;
        passed - counted
    }

    /// The time in which the reading grows by `growth`.
    pub(super) fn until(&self, growth: u64) -> Duration {
        let missing = (u128::from(growth >> self.part_bits) << 64).saturating_sub(self.fraction.into());
        let speed = (u128::from(self.speed.0) << 64) + u128::from(self.speed.1);
        Duration::from_nanos(u64::try_from(missing.div_ceil(speed)).unwrap_or(u64::MAX))
    }

    /// The tokens that are earned while the reading grows by `growth`.
    pub(super) fn tokens(&self, growth: u64) -> Tokens {
        let tokens = Tokens::from(growth >> self.part_bits) << (64 - self.permit_bits);
        (tokens - Tokens::from(self.fraction >> self.permit_bits)).max(0)
    }

    pub(super) fn set_rate(&mut self, rate: Rate) {
        let nanos = self.anchor();
        self.earn(nanos);
        self.speed = speed(rate, self.permit_bits);
        self.rate = rate;
    }
}

/// The parts that a nanosecond earns, rounded up: by less than a part in a hundred years.
fn speed(rate: Rate, permit_bits: u32) -> (u64, u64) {
    let (parts, nanos) = (u128::from(rate.permits()) << permit_bits, u128::from(rate.nanos()));
    let fraction = ((parts % nanos) << 64).div_ceil(nanos);
    (u64::try_from(parts / nanos).unwrap_or(u64::MAX), fraction as u64)
}
