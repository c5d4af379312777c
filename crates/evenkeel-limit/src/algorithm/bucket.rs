//! The token bucket.
//!
//! # How it works
//!
//! A bucket in the form of the generic cell rate algorithm (GCRA): its only state is `full_at`, the reading of its
//! [`TokenClock`] at which it is full again. The clock reads tokens, so that its reading grows by one for each permit
//! that is earned. To spend a permit moves `full_at` one token ahead. The permits that are there are the burst without
//! the tokens from now to `full_at`.
//!
//! While somebody waits `full_at` may fall behind the reading: the surplus is kept, so that the turn of each waiter counts
//! from the turn before it, and not from when a late timer served that. Without waiters [`Bucket::overflow`] drops the
//! surplus.
//!
//! A rate change changes the pace of the clock, and no reading; so nothing here has to be converted.

use std::time::Duration;

use tokio::time::Instant;

use super::clock::{TokenClock, Tokens, tokens};
use crate::rate::Rate;

#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    clock: TokenClock,
    burst: u32,
    full_at: Tokens,
}

/// A bucket in whole numbers, counted in units: the largest fraction of a permit of which each nanosecond earns a whole
/// number.
#[derive(Debug)]
pub(crate) struct Units {
    /// Units that a nanosecond earns.
    pub(crate) speed: u64,
    /// Units of a permit.
    pub(crate) cost: u64,
    /// Units until the bucket is full.
    pub(crate) missing: u64,
}

impl Bucket {
    pub(crate) fn full(rate: Rate, burst: u32, now: Instant) -> Self {
        let clock = TokenClock::new(rate, now);
        let full_at = clock.reading();
        Self { clock, burst, full_at }
    }

    /// Returns the bucket in units, for the fast path; `None` if it is no whole number of them, or the clock does not
    /// simply follow the time.
    pub(crate) fn units(&self) -> Option<Units> {
        if self.clock.is_ahead() || self.clock.is_behind() {
            return None;
        }
        let (speed, cost) = self.clock.units();
        let missing = self.clock.units_until(self.full_at)?.max(0);
        Some(Units { speed, cost, missing: u64::try_from(missing).ok()? })
    }

    /// Sets the units until it is full.
    pub(crate) fn set_missing(&mut self, units: u64) {
        self.full_at = self.clock.reading_after(units);
    }

    pub(crate) fn rate(&self) -> Rate {
        self.clock.rate()
    }

    pub(crate) fn burst(&self) -> u32 {
        self.burst
    }

    pub(crate) fn advance(&mut self, now: Instant) {
        self.clock.advance(now);
    }

    /// Forgets the tokens that were earned since it was full.
    pub(crate) fn overflow(&mut self) {
        self.full_at = self.full_at.wrapping_add(self.surplus());
    }

    fn surplus(&self) -> Tokens {
        self.clock.reading().wrapping_sub(self.full_at).max(0)
    }

    pub(crate) fn available(&self) -> u32 {
        if self.clock.is_ahead() {
            return 0;
        }
        let free = self.clock.reading().wrapping_sub(self.due(0, 0)) >> 64;
        free.clamp(0, self.burst.into()) as u32
    }

    /// Returns the reading from which on `permits` fit after those `ahead` were spent. More than the burst fit when it is
    /// full.
    pub(crate) fn due(&self, ahead: u64, permits: u32) -> Tokens {
        let wanted = ahead + u64::from(permits.min(self.burst));
        self.full_at.wrapping_add(tokens(wanted)).wrapping_sub(tokens(self.burst.into()))
    }

    pub(crate) fn fits(&self, permits: u32) -> bool {
        !self.clock.is_ahead() && self.due(0, permits).wrapping_sub(self.clock.reading()) <= 0
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Returns the time until a reading is due, and no pause is in force.
    pub(crate) fn until(&self, reading: Tokens) -> Duration {
        self.clock.until(reading)
    }

    pub(crate) fn spend(&mut self, permits: u32) {
        self.spend_tokens(tokens(permits.into()));
    }

    pub(crate) fn spend_tokens(&mut self, tokens: Tokens) {
        self.full_at = self.full_at.wrapping_add(tokens);
    }

    /// Puts spent permits back, up to the burst.
    pub(crate) fn refund(&mut self, permits: u32) {
        self.fill(tokens(permits.into()));
    }

    /// Puts back permits that were granted and not used.
    pub(crate) fn give_back(&mut self, permits: u32, _mark: Tokens) {
        self.refund(permits);
    }

    /// Returns the reading at which it is full again.
    pub(crate) fn mark(&self) -> Tokens {
        self.full_at
    }

    /// Puts back permits that were spent before `mark`, as far as the time since has not earned them anyway: had they not
    /// been spent, the bucket might have overflowed.
    pub(crate) fn take_back(&mut self, permits: u32, mark: Tokens) {
        let missing = mark.wrapping_sub(self.clock.reading());
        if missing > 0 {
            // Readings are rounded down. With 2^-63 token more, no rounding in it makes a permit due a nanosecond late.
            self.fill(missing.saturating_add(2).min(tokens(permits.into())));
        }
    }

    fn fill(&mut self, tokens: Tokens) {
        let room = self.full_at.wrapping_sub(self.clock.reading()).max(0);
        self.full_at = self.full_at.wrapping_sub(room.min(tokens));
    }

    /// Returns the rest of the pause in force, or zero.
    pub(crate) fn paused_for(&self) -> Duration {
        self.clock.ahead()
    }

    /// Lets nothing fit for `pause`, and one permit at most at its end.
    pub(crate) fn pause(&mut self, pause: Duration) {
        self.clock.anticipate(pause);
        let one_left = self.clock.reading().wrapping_add(tokens(u64::from(self.burst) - 1));
        if self.full_at.wrapping_sub(one_left) < 0 {
            self.full_at = one_left;
        }
    }

    pub(crate) fn set_rate(&mut self, rate: Rate) {
        self.clock.set_rate(rate);
    }

    /// Keeps the permits there are, as far as they fit.
    pub(crate) fn set_burst(&mut self, burst: u32) {
        let larger = tokens(burst.into()).wrapping_sub(tokens(self.burst.into()));
        self.full_at = self.full_at.wrapping_add(larger);
        self.burst = burst;
        self.overflow();
    }
}

#[cfg(test)]
mod tests;
