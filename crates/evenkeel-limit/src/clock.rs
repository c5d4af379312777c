//! Time, counted in tokens.

use std::time::Duration;

use tokio::{
    runtime::{Handle, Id},
    time::Instant,
};

use crate::rate::Rate;

/// Tokens, in units of 2^-64. Readings of a clock wrap around, and only their differences mean something.
pub(crate) type Tokens = i128;

const FRACTION_BITS: u32 = 64;

/// What one step of the clock can earn at most: more than all that can wait for it, and far from wrapping.
const STEP: u128 = 1 << 56;

pub(crate) const fn tokens(permits: u64) -> Tokens {
    (permits as Tokens) << FRACTION_BITS
}

/// A clock that reads the tokens earned so far.
///
/// A change of the rate changes its pace and not its reading, so that nothing that was written down in
/// readings has to be rewritten.
///
/// Under one rate the reading is the exact one rounded down: the rest of each division is kept. A token is
/// then due at the very nanosecond at which the exact clock has it, because distances between exact readings
/// are multiples of 1/`nanos` token, and `nanos` is less than 2^64.
#[derive(Debug)]
pub(crate) struct TokenClock {
    rate: Rate,
    reading: Tokens,
    /// The reading without `rest`.
    base: Tokens,
    /// The part of a token earned on top of `base`, in 1/`nanos` of it.
    rest: u64,
    last: Instant,
    highest: Instant,
    /// The runtime that was read last, if `last` is less than `highest`.
    behind: Option<Id>,
}

impl TokenClock {
    pub(crate) fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, reading: 0, base: 0, rest: 0, last: now, highest: now, behind: None }
    }

    pub(crate) fn rate(&self) -> Rate {
        self.rate
    }

    /// Moves on to `now`.
    ///
    /// Instants go back where runtimes share a limiter of which one has a paused clock. That earns nothing.
    /// From there on the clock that is behind counts by its own steps; to the others, only what lies beyond
    /// the highest instant is new.
    pub(crate) fn advance(&mut self, now: Instant) {
        let mut from = self.last;
        if now < self.last || self.last < self.highest {
            let runtime = Handle::try_current().ok().map(|runtime| runtime.id());
            if now < self.last || runtime != self.behind {
                from = self.highest;
            }
            self.behind = runtime;
        }
        self.last = now;
        self.highest = self.highest.max(now);
        let nanos = now.saturating_duration_since(from).as_nanos().min(u128::from(u64::MAX));
        let earned = nanos * u128::from(self.rate.permits()) + u128::from(self.rest);
        let per = u128::from(self.rate.nanos());
        let whole = (earned / per).min(STEP) as u64;
        self.base = self.base.wrapping_add(tokens(whole));
        self.rest = (earned % per) as u64;
        let part = (u128::from(self.rest) << FRACTION_BITS) / per;
        self.reading = self.base.wrapping_add(part as Tokens);
    }

    pub(crate) fn reading(&self) -> Tokens {
        self.reading
    }

    /// The time until the clock reads `target`, zero if it does already.
    pub(crate) fn until(&self, target: Tokens) -> Duration {
        let missing = u128::try_from(target.wrapping_sub(self.base)).unwrap_or(0);
        let per = u128::from(self.rate.nanos());
        let (whole, part) = (missing >> FRACTION_BITS, missing & u128::from(u64::MAX));
        let earned = whole.saturating_mul(per).saturating_add((part * per).div_ceil(1 << FRACTION_BITS));
        let nanos = earned.saturating_sub(self.rest.into()).div_ceil(self.rate.permits().into());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Changes the pace from the last instant on.
    pub(crate) fn set_rate(&mut self, rate: Rate) {
        // Rounded up: 2^-64 token too few would cost a whole tick of the timer.
        let part = (u128::from(self.rest) << FRACTION_BITS).div_ceil(u128::from(self.rate.nanos()));
        self.base = self.base.wrapping_add(part as Tokens);
        self.reading = self.base;
        self.rest = 0;
        self.rate = rate;
    }
}
