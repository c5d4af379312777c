//! Clocks that are moved by hand: one that counts tokens, over one that never goes back.
//!
//! # How it works
//!
//! A [`TokenClock`] reads the tokens that were earned so far, in units of 2^-64. A rate change changes its pace and not its
//! reading, so that nothing that was written down in readings has to be converted.
//!
//! Under one rate the reading is exact, rounded down: `base` has what whole periods and rate changes have earned, and
//! `rest` the remainder of the division, in 1/`nanos` token. Exact readings differ by multiples of 1/`nanos` token, and
//! `nanos` is less than 2^64; so rounding never merges two of them, and a token is due at the very nanosecond at which
//! the exact clock has it.
//!
//! For the fast path, which has 64 bits, the clock also speaks in *units* of a token: of these each nanosecond earns a
//! whole number.
//!
//! A pause is time that the clock counts in advance (`ahead`): its reading leaps, nothing fits until the time has
//! really passed, and nothing is earned meanwhile.
//!
//! A [`MonotonicClock`] turns instants into time that has newly passed. tokio's instants can go back: runtimes with paused
//! clocks may share a limiter with others, and a `static` outlives a test.

use std::time::Duration;

use tokio::{
    runtime::{Handle, Id},
    time::Instant,
};

use crate::rate::Rate;

/// Tokens, in units of 2^-64. Readings of a clock wrap around; only their differences have a meaning.
pub(crate) type Tokens = i128;

const FRACTION_BITS: u32 = 64;

/// The most tokens that one step of the clock earns: more than all waiters can ask for, and far from wrapping.
const STEP: u128 = 1 << 56;

pub(crate) const fn tokens(permits: u64) -> Tokens {
    (permits as Tokens) << FRACTION_BITS
}

/// A clock that reads the tokens earned so far.
#[derive(Clone, Debug)]
pub(crate) struct TokenClock {
    rate: Rate,
    /// The greatest common divisor of the permits and the nanoseconds of the rate.
    divisor: u64,
    reading: Tokens,
    /// The reading without `rest`.
    base: Tokens,
    /// The fraction of a token earned on top of `base`, in 1/`nanos` of it.
    rest: u64,
    clock: MonotonicClock,
    /// The nanoseconds that were counted before they passed.
    ahead: u64,
}

/// Counts the time that has newly passed, by clocks of several runtimes that may disagree.
///
/// A step back counts as no time. From there on the clock that lags behind counts by its own steps; of the other clocks,
/// only the time beyond the highest instant is new.
#[derive(Clone, Debug)]
pub(crate) struct MonotonicClock {
    last: Instant,
    /// Set while the clock that was read last is behind another.
    lagging: Option<LaggingClock>,
}

#[derive(Clone, Debug)]
struct LaggingClock {
    /// The highest instant of all clocks.
    highest: Instant,
    runtime: Option<Id>,
}

impl MonotonicClock {
    pub(crate) fn new(now: Instant) -> Self {
        Self { last: now, lagging: None }
    }

    /// Moves to `now`, and returns the nanoseconds that are new.
    #[inline]
    pub(crate) fn advance(&mut self, now: Instant) -> u64 {
        self.try_advance(now).unwrap_or_else(|| self.change_clocks(now))
    }

    /// Does the same in the common case; `None` if `now` is before the last instant, or another clock is ahead.
    #[inline]
    pub(crate) fn try_advance(&mut self, now: Instant) -> Option<u64> {
        let time = now.checked_duration_since(self.last).filter(|_| self.lagging.is_none())?;
        self.last = now;
        Some(nanos(time))
    }

    #[cold]
    fn change_clocks(&mut self, now: Instant) -> u64 {
        let runtime = Handle::try_current().ok().map(|runtime| runtime.id());
        let (highest, same) = match &self.lagging {
            Some(lagging) => (lagging.highest, now >= self.last && runtime == lagging.runtime),
            None => (self.last, false),
        };
        let from = if same { self.last } else { highest };
        self.last = now;
        self.lagging = (now < highest).then_some(LaggingClock { highest, runtime });
        nanos(now.saturating_duration_since(from))
    }

    /// Returns whether instants have gone back.
    pub(crate) fn is_behind(&self) -> bool {
        self.lagging.is_some()
    }

    /// Returns the instant of the last `advance`.
    pub(crate) fn now(&self) -> Instant {
        self.last
    }
}

impl TokenClock {
    pub(crate) fn new(rate: Rate, now: Instant) -> Self {
        Self {
            rate,
            divisor: divisor(rate),
            reading: 0,
            base: 0,
            rest: 0,
            clock: MonotonicClock::new(now),
            ahead: 0,
        }
    }

    pub(crate) fn rate(&self) -> Rate {
        self.rate
    }

    /// Moves to `now`.
    pub(crate) fn advance(&mut self, now: Instant) {
        let nanos = self.clock.advance(now);
        let counted = nanos.min(self.ahead);
        self.ahead -= counted;
        self.earn(nanos - counted);
    }

    /// Counts the next `time` now, so that it earns nothing when it passes.
    pub(crate) fn anticipate(&mut self, time: Duration) {
        let more = nanos(time).saturating_sub(self.ahead);
        self.ahead += more;
        self.earn(more);
    }

    /// Returns whether instants have gone back.
    pub(crate) fn is_behind(&self) -> bool {
        self.clock.is_behind()
    }

    /// Returns the units that a nanosecond earns, and the units of a token.
    pub(crate) fn units(&self) -> (u64, u64) {
        (u64::from(self.rate.permits()) / self.divisor, self.rate.nanos() / self.divisor)
    }

    /// Returns the units until the clock reads `target`, if they are a whole number.
    pub(crate) fn units_until(&self, target: Tokens) -> Option<i128> {
        let (_, cost) = self.units();
        let missing = target.wrapping_sub(self.base);
        let (whole, fraction) = (missing >> FRACTION_BITS, missing as u64);
        let part = (u128::from(fraction) * u128::from(cost)).div_ceil(1 << FRACTION_BITS) as u64;
        let is_whole = part < cost && fraction_of(part, cost) == u128::from(fraction);
        let units = whole.checked_mul(cost.into())?.checked_add(part.into())?;
        is_whole.then(|| units - i128::from(self.rest / self.divisor))
    }

    /// Returns the reading of the clock after it has earned `units` more.
    pub(crate) fn reading_after(&self, units: u64) -> Tokens {
        let (_, cost) = self.units();
        let units = u128::from(units) + u128::from(self.rest / self.divisor);
        let (whole, part) = ((units / u128::from(cost)) as u64, (units % u128::from(cost)) as u64);
        self.base.wrapping_add(tokens(whole)).wrapping_add(fraction_of(part, cost) as Tokens)
    }

    /// Returns whether a pause is in force.
    pub(crate) fn is_ahead(&self) -> bool {
        self.ahead > 0
    }

    /// Returns the time that was counted and has not passed.
    pub(crate) fn ahead(&self) -> Duration {
        Duration::from_nanos(self.ahead)
    }

    /// Returns the instant of the last `advance`.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    fn earn(&mut self, nanos: u64) {
        let (permits, per) = (u64::from(self.rate.permits()), self.rate.nanos());
        // In 64 bits where it fits, which is several times as fast.
        let small = nanos.checked_mul(permits).and_then(|earned| earned.checked_add(self.rest));
        let (whole, rest) = match small {
            Some(earned) => ((earned / per).min(STEP as u64), earned % per),
            None => {
                let earned = u128::from(nanos) * u128::from(permits) + u128::from(self.rest);
                let per = u128::from(per);
                ((earned / per).min(STEP) as u64, (earned % per) as u64)
            }
        };
        self.base = self.base.wrapping_add(tokens(whole));
        self.rest = rest;
        let part = fraction_of(self.rest, self.rate.nanos());
        self.reading = self.base.wrapping_add(part as Tokens);
    }

    pub(crate) fn reading(&self) -> Tokens {
        self.reading
    }

    /// Returns the time until the clock reads `target` and no pause is in force; zero if that is so already.
    pub(crate) fn until(&self, target: Tokens) -> Duration {
        let missing = u128::try_from(target.wrapping_sub(self.base)).unwrap_or(0);
        let per = u128::from(self.rate.nanos());
        let (whole, part) = (missing >> FRACTION_BITS, missing & u128::from(u64::MAX));
        let earned = whole.saturating_mul(per).saturating_add((part * per).div_ceil(1 << FRACTION_BITS));
        let nanos = earned.saturating_sub(self.rest.into()).div_ceil(self.rate.permits().into())
            + u128::from(self.ahead);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Changes the pace from the last `advance` on, or from the end of a pause.
    pub(crate) fn set_rate(&mut self, rate: Rate) {
        // Rounded up, since 2^-64 token too few would cost a whole tick of the timer.
        let part = (u128::from(self.rest) << FRACTION_BITS).div_ceil(u128::from(self.rate.nanos()));
        self.base = self.base.wrapping_add(part as Tokens);
        self.reading = self.base;
        self.rest = 0;
        self.rate = rate;
        self.divisor = divisor(rate);
    }
}

/// Returns a time in nanoseconds, at most 584 years.
fn nanos(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1_000_000_000).saturating_add(time.subsec_nanos().into())
}

/// Returns `part` of `whole`, rounded down to 2^-64.
fn fraction_of(part: u64, whole: u64) -> u128 {
    (u128::from(part) << FRACTION_BITS) / u128::from(whole)
}

fn divisor(rate: Rate) -> u64 {
    let (mut a, mut b) = (rate.nanos(), u64::from(rate.permits()));
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}
