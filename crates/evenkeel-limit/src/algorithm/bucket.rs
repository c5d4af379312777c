//! How many permits there are.

use std::time::Duration;

use tokio::time::Instant;

use super::clock::{TokenClock, Tokens, tokens};
use crate::rate::Rate;

/// A token bucket in the form of GCRA: its only state is the reading at which it is full again.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    clock: TokenClock,
    burst: u32,
    full_at: Tokens,
}

/// A bucket in whole numbers.
#[derive(Debug)]
pub(crate) struct Parts {
    /// Parts that a nanosecond earns.
    pub(crate) speed: u64,
    /// Parts of a permit.
    pub(crate) cost: u64,
    /// Parts until it is full.
    pub(crate) missing: u64,
}

impl Bucket {
    pub(crate) fn full(rate: Rate, burst: u32, now: Instant) -> Self {
        let clock = TokenClock::new(rate, now);
        let full_at = clock.reading();
        Self { clock, burst, full_at }
    }

    /// In numbers that fit into a [`FastPath`](crate::rate_limiter::fast_path::FastPath); None if they do not, or its clock does not simply
    /// follow the time.
    pub(crate) fn parts(&self) -> Option<Parts> {
        if self.clock.is_ahead() || self.clock.is_behind() {
            return None;
        }
        let (speed, cost) = self.clock.parts();
        let missing = self.clock.parts_until(self.full_at)?.max(0);
        Some(Parts { speed, cost, missing: u64::try_from(missing).ok()? })
    }

    /// Is full in so many parts from now.
    pub(crate) fn set_missing(&mut self, parts: u64) {
        self.full_at = self.clock.reading_after(parts);
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

    /// Forgets what has been earned since it was full.
    pub(crate) fn overflow(&mut self) {
        self.full_at = self.full_at.wrapping_add(self.surplus());
    }

    /// What has been earned since it was full.
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

    /// The reading from which on `permits` fit when those `before` have been spent. More than the burst fit
    /// when it is full.
    pub(crate) fn due(&self, before: u64, permits: u32) -> Tokens {
        let wanted = before + u64::from(permits.min(self.burst));
        self.full_at.wrapping_add(tokens(wanted)).wrapping_sub(tokens(self.burst.into()))
    }

    pub(crate) fn fits(&self, permits: u32) -> bool {
        !self.clock.is_ahead() && self.due(0, permits).wrapping_sub(self.clock.reading()) <= 0
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// The time until a reading is due, and no pause is in force.
    pub(crate) fn until(&self, reading: Tokens) -> Duration {
        self.clock.until(reading)
    }

    pub(crate) fn spend(&mut self, permits: u32) {
        self.spend_tokens(tokens(permits.into()));
    }

    pub(crate) fn spend_tokens(&mut self, tokens: Tokens) {
        self.full_at = self.full_at.wrapping_add(tokens);
    }

    /// Puts back what was spent, up to the brim.
    pub(crate) fn refund(&mut self, permits: u32) {
        self.fill(tokens(permits.into()));
    }

    /// The same of those that were granted and not used.
    pub(crate) fn give_back(&mut self, permits: u32, _mark: Tokens) {
        self.refund(permits);
    }

    /// The reading at which it is full again.
    pub(crate) fn mark(&self) -> Tokens {
        self.full_at
    }

    /// Puts back what was spent before `mark`, as far as time alone has not made up for it: had it not been spent, so much
    /// might have run over.
    pub(crate) fn take_back(&mut self, permits: u32, mark: Tokens) {
        let missing = mark.wrapping_sub(self.clock.reading());
        if missing > 0 {
            // Readings are rounded down. With two units more none of those in it makes a permit due a nanosecond late.
            self.fill(missing.saturating_add(2).min(tokens(permits.into())));
        }
    }

    fn fill(&mut self, tokens: Tokens) {
        let room = self.full_at.wrapping_sub(self.clock.reading()).max(0);
        self.full_at = self.full_at.wrapping_sub(room.min(tokens));
    }

    /// How long a pause is still in force.
    pub(crate) fn paused_for(&self) -> Duration {
        self.clock.ahead()
    }

    /// Lets nothing fit for `pause`, and one permit at most when it is over.
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

    /// Keeps the permits there are, as far as they fit in.
    pub(crate) fn set_burst(&mut self, burst: u32) {
        let larger = tokens(burst.into()).wrapping_sub(tokens(self.burst.into()));
        self.full_at = self.full_at.wrapping_add(larger);
        self.burst = burst;
        self.overflow();
    }
}

#[cfg(test)]
mod tests;
