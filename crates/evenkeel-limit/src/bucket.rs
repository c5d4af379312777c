//! How many permits there are.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    clock::{TokenClock, Tokens, tokens},
    rate::Rate,
};

/// A token bucket in the form of GCRA: its only state is the reading at which it is full again.
#[derive(Debug)]
pub(crate) struct Bucket {
    clock: TokenClock,
    burst: u32,
    full_at: Tokens,
}

impl Bucket {
    pub(crate) fn full(rate: Rate, burst: u32, now: Instant) -> Self {
        let clock = TokenClock::new(rate, now);
        let full_at = clock.reading();
        Self { clock, burst, full_at }
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
        let free = self.clock.reading().wrapping_sub(self.due(0)) >> 64;
        free.clamp(0, self.burst.into()) as u32
    }

    /// The reading from which on `permits` fit.
    pub(crate) fn due(&self, permits: u64) -> Tokens {
        self.full_at.wrapping_add(tokens(permits)).wrapping_sub(tokens(self.burst.into()))
    }

    pub(crate) fn fits(&self, permits: u32) -> bool {
        self.due(permits.into()).wrapping_sub(self.clock.reading()) <= 0
    }

    pub(crate) fn until(&self, reading: Tokens) -> Duration {
        self.clock.until(reading)
    }

    pub(crate) fn spend(&mut self, permits: u32) {
        self.full_at = self.full_at.wrapping_add(tokens(permits.into()));
    }

    /// Puts back what was spent, up to the brim.
    pub(crate) fn refund(&mut self, permits: u32) {
        let room = self.full_at.wrapping_sub(self.clock.reading()).max(0);
        self.full_at = self.full_at.wrapping_sub(room.min(tokens(permits.into())));
    }

    pub(crate) fn set_rate(&mut self, rate: Rate) {
        self.clock.set_rate(rate);
    }
}

#[cfg(test)]
mod tests;
