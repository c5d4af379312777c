//! What a budget holds, in one atomic word.

use super::atomics::{AtomicU64, Ordering::Relaxed};

/// Parts of a token: a deposit of one thousandth is exact to 0.02 %.
pub(crate) const UNIT: u64 = 1 << 22;
/// The word of a bucket: what it holds in units in the upper bits, the millisecond of its last refill in the lower.
const TICK_BITS: u32 = 20;
const TICK_MASK: u64 = (1 << TICK_BITS) - 1;
/// The most tokens that the upper bits can hold.
pub(crate) const MOST: u64 = (1 << (64 - TICK_BITS)) / UNIT - 1;

/// Tokens in units, at most `reserve` of them; `now` is in milliseconds since it was made.
#[derive(Debug)]
pub(crate) struct Bucket(AtomicU64);

impl Bucket {
    pub(crate) fn full(reserve: u64) -> Self {
        Self(AtomicU64::new(reserve << TICK_BITS))
    }

    #[inline]
    pub(crate) fn deposit(&self, units: u64, reserve: u64) {
        let mut word = self.0.load(Relaxed);
        loop {
            let held = word >> TICK_BITS;
            if held >= reserve {
                return;
            }
            let filled = (held + units).min(reserve);
            let new = filled << TICK_BITS | word & TICK_MASK;
            match self.0.compare_exchange_weak(word, new, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
    }

    /// Takes a token, if there is one.
    pub(crate) fn try_take(&self, now: u64, per_second: u32, reserve: u64) -> bool {
        let mut word = self.0.load(Relaxed);
        loop {
            let (held, tick) = refilled(word, now, per_second, reserve);
            let Some(left) = held.checked_sub(UNIT) else { return false };
            match self.0.compare_exchange_weak(word, left << TICK_BITS | tick, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
    }

    pub(crate) fn held(&self, now: u64, per_second: u32, reserve: u64) -> u64 {
        refilled(self.0.load(Relaxed), now, per_second, reserve).0
    }
}

/// What a word holds now, and its new tick.
///
/// The tick wraps after 17 minutes, and half of its range is the past: a bucket that nobody asked for so long may
/// miss time, and a clock that goes back (another runtime's, paused) brings none.
fn refilled(word: u64, now: u64, per_second: u32, reserve: u64) -> (u64, u64) {
    let (held, tick) = (word >> TICK_BITS, word & TICK_MASK);
    let now = now & TICK_MASK;
    let passed = now.wrapping_sub(tick) & TICK_MASK;
    let passed = if passed > TICK_MASK / 2 { 0 } else { passed };
    let gained = u128::from(passed) * u128::from(per_second) * u128::from(UNIT) / 1000;
    if gained == 0 {
        return (held, tick);
    }
    let filled = u128::from(held).saturating_add(gained).min(u128::from(reserve));
    (u64::try_from(filled).unwrap_or(reserve).max(held), now)
}
