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
#[derive(Clone, Debug)]
pub(crate) struct TokenClock {
    rate: Rate,
    /// What permits and nanoseconds of the rate can both be divided by.
    divisor: u64,
    reading: Tokens,
    /// The reading without `rest`.
    base: Tokens,
    /// The part of a token earned on top of `base`, in 1/`nanos` of it.
    rest: u64,
    clock: MonotonicClock,
    /// Nanoseconds that were counted before they passed.
    ahead: u64,
}

/// How much time has newly passed, by clocks that may disagree.
///
/// Instants go back where runtimes share a limiter of which one has a paused clock. That counts for nothing. From
/// there on the clock that is behind counts by its own steps; of the others, only what lies beyond the highest
/// instant is new.
#[derive(Clone, Debug)]
pub(crate) struct MonotonicClock {
    last: Instant,
    lagging: Option<LaggingClock>,
}

/// A clock that was read last, and is behind another.
#[derive(Clone, Debug)]
struct LaggingClock {
    /// The highest instant of all.
    highest: Instant,
    runtime: Option<Id>,
}

impl MonotonicClock {
    pub(crate) fn new(now: Instant) -> Self {
        Self { last: now, lagging: None }
    }

    /// Moves on to `now`, and gives the nanoseconds that are new.
    #[inline]
    pub(crate) fn advance(&mut self, now: Instant) -> u64 {
        self.try_advance(now).unwrap_or_else(|| self.change_clocks(now))
    }

    /// The same for a clock that goes on; `None` if it does not, or another is ahead.
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

    /// Whether instants have gone back.
    pub(crate) fn is_behind(&self) -> bool {
        self.lagging.is_some()
    }

    /// The instant to which it was moved.
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

    /// Moves on to `now`.
    pub(crate) fn advance(&mut self, now: Instant) {
        let nanos = self.clock.advance(now);
        let counted = nanos.min(self.ahead);
        self.ahead -= counted;
        self.earn(nanos - counted);
    }

    /// Counts the next `time` now; it earns nothing when it passes.
    pub(crate) fn anticipate(&mut self, time: Duration) {
        let more = nanos(time).saturating_sub(self.ahead);
        self.ahead += more;
        self.earn(more);
    }

    /// Whether instants have gone back.
    pub(crate) fn is_behind(&self) -> bool {
        self.clock.is_behind()
    }

    /// The parts of a token that each nanosecond earns, and of which a token has so many: the fewest that make
    /// both whole numbers.
    pub(crate) fn parts(&self) -> (u64, u64) {
        (u64::from(self.rate.permits()) / self.divisor, self.rate.nanos() / self.divisor)
    }

    /// The parts until the clock reads `target`, if that is a whole number.
    pub(crate) fn parts_until(&self, target: Tokens) -> Option<i128> {
        let (_, cost) = self.parts();
        let missing = target.wrapping_sub(self.base);
        let (whole, fraction) = (missing >> FRACTION_BITS, missing as u64);
        let part = (u128::from(fraction) * u128::from(cost)).div_ceil(1 << FRACTION_BITS) as u64;
        let is_whole = part < cost && fraction_of(part, cost) == u128::from(fraction);
        let parts = whole.checked_mul(cost.into())?.checked_add(part.into())?;
        is_whole.then(|| parts - i128::from(self.rest / self.divisor))
    }

    /// What it reads when it has earned so many parts more.
    pub(crate) fn reading_after(&self, parts: u64) -> Tokens {
        let (_, cost) = self.parts();
        let parts = u128::from(parts) + u128::from(self.rest / self.divisor);
        let (whole, part) = ((parts / u128::from(cost)) as u64, (parts % u128::from(cost)) as u64);
        self.base.wrapping_add(tokens(whole)).wrapping_add(fraction_of(part, cost) as Tokens)
    }

    /// Whether it has counted time that has not passed.
    pub(crate) fn is_ahead(&self) -> bool {
        self.ahead > 0
    }

    /// The time that it has counted and that has not passed.
    pub(crate) fn ahead(&self) -> Duration {
        Duration::from_nanos(self.ahead)
    }

    /// The instant to which it was moved.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    fn earn(&mut self, nanos: u64) {
        let (permits, per) = (u64::from(self.rate.permits()), self.rate.nanos());
        // The same in 64 bits, where it fits: that is several times as fast.
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

    /// The time until the clock reads `target` and is not ahead, zero if that is so already.
    pub(crate) fn until(&self, target: Tokens) -> Duration {
        let missing = u128::try_from(target.wrapping_sub(self.base)).unwrap_or(0);
        let per = u128::from(self.rate.nanos());
        let (whole, part) = (missing >> FRACTION_BITS, missing & u128::from(u64::MAX));
        let earned = whole.saturating_mul(per).saturating_add((part * per).div_ceil(1 << FRACTION_BITS));
        let nanos = earned.saturating_sub(self.rest.into()).div_ceil(self.rate.permits().into())
            + u128::from(self.ahead);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Changes the pace from the last instant on, or from the one up to which it has counted.
    pub(crate) fn set_rate(&mut self, rate: Rate) {
        // Rounded up: 2^-64 token too few would cost a whole tick of the timer.
        let part = (u128::from(self.rest) << FRACTION_BITS).div_ceil(u128::from(self.rate.nanos()));
        self.base = self.base.wrapping_add(part as Tokens);
        self.reading = self.base;
        self.rest = 0;
        self.rate = rate;
        self.divisor = divisor(rate);
    }
}

/// Whole nanoseconds, at most 584 years of them.
fn nanos(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1_000_000_000).saturating_add(time.subsec_nanos().into())
}

/// `part` of `whole`, rounded down to 2^-64.
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
