//! What a budget holds, and up to when time has filled it.

use super::atomics::{AtomicU64, Ordering::Relaxed};

/// Parts of a token: what a call deposits and what a millisecond brings are whole numbers of them.
pub(crate) const UNIT: u64 = 1000;

/// Tokens in units, at most `reserve` of them; `now` is in milliseconds since it was made.
#[derive(Debug)]
pub(crate) struct Bucket {
    held: AtomicU64,
    filled: AtomicU64,
}

impl Bucket {
    pub(crate) fn full(reserve: u64) -> Self {
        Self { held: AtomicU64::new(reserve), filled: AtomicU64::new(0) }
    }

    #[inline]
    pub(crate) fn deposit(&self, units: u64, reserve: u64) {
        let mut held = self.held.load(Relaxed);
        while held < reserve {
            let more = held.saturating_add(units).min(reserve);
            match self.held.compare_exchange_weak(held, more, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(now) => held = now,
            }
        }
    }

    /// Takes a token, if there is one.
    pub(crate) fn try_take(&self, now: u64, per_second: u32, reserve: u64) -> bool {
        let mut held = self.held(now, per_second, reserve);
        while let Some(left) = held.checked_sub(UNIT) {
            match self.held.compare_exchange_weak(held, left, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(now) => held = now,
            }
        }
        false
    }

    /// What it holds, with what time has brought since it was last asked.
    ///
    /// Every millisecond is counted by one caller alone; another that comes before that one has deposited it may
    /// miss it. A clock that goes back (another runtime's, paused) brings nothing.
    pub(crate) fn held(&self, now: u64, per_second: u32, reserve: u64) -> u64 {
        let passed = now.saturating_sub(self.filled.fetch_max(now, Relaxed));
        if passed > 0 {
            self.deposit(passed.saturating_mul(per_second.into()), reserve);
        }
        self.held.load(Relaxed)
    }
}
