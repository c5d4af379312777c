//! The token bucket of a budget, without a lock.
//!
//! # How it works
//!
//! Two atomics: `held`, the tokens, and `filled`, the millisecond up to which time has been turned into tokens. Tokens are
//! counted in thousandths ([`UNIT`]), so that a share of a call and one millisecond of time are whole numbers, and nothing
//! is rounded away.
//!
//! A deposit and a withdrawal each change `held` by one compare-and-swap loop. A refill first moves `filled` forward with
//! `fetch_max`: of several threads that see the same millisecond, only one gets a difference above zero, and deposits it.
//!
//! Invariants: `held` never exceeds the reserve, never goes below zero, and no millisecond is deposited twice.
//!
//! Race: between the `fetch_max` of one thread and its deposit, another thread may find the bucket still empty, and
//! refuse. That errs on the safe side, and the deposit is not lost. `Relaxed` is enough, since no other memory is
//! published with the counts. The loom tests run this file in every interleaving.

use super::loom::{AtomicU64, Ordering::Relaxed};

/// Thousandths of a token: the deposit of a call and the refill of a millisecond are whole numbers of them.
pub(crate) const UNIT: u64 = 1000;

/// Tokens in units, at most `reserve` of them; `now` is in milliseconds since the bucket was made.
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

    /// Takes a token; false if there is none.
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

    /// Refills by the time that has passed, and returns the units in the bucket.
    ///
    /// Each millisecond is counted by one caller alone; another caller may look before it is deposited, and miss it. A
    /// clock that goes back (another runtime's, paused) adds nothing.
    pub(crate) fn held(&self, now: u64, per_second: u32, reserve: u64) -> u64 {
        // `fetch_max` gives each millisecond to exactly one caller.
        let passed = now.saturating_sub(self.filled.fetch_max(now, Relaxed));
        if passed > 0 {
            self.deposit(passed.saturating_mul(per_second.into()), reserve);
        }
        self.held.load(Relaxed)
    }
}
