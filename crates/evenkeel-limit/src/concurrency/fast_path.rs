//! The fast path: a semaphore in one atomic word, for requests and permits that take no lock.
//!
//! # How it works
//!
//! The permits of the state are lent to the fast path while nobody waits. The word holds
//!
//! ```text
//! 63               33  32  31                 0
//! ┌──────────────────┬───┬─────────────────────┐
//! │ grants           │ C │ permits             │   C: closed
//! └──────────────────┴───┴─────────────────────┘
//! ```
//!
//! While it is open, the permits are those that are available: a request subtracts its weight and counts the grant, in one
//! compare-exchange. While it is closed, they are those that came back since: the state behind the lock has all others.
//! A permit that goes back adds its weight in either case, in one atomic step. If it finds the word closed, its owner takes
//! the lock afterwards, so that the state takes over the weight and serves the waiters.
//!
//! Invariants:
//! - Each weight that is added is taken over once: [`FastPath::close`] empties the word in one step, and
//!   [`FastPath::open`] adds to it, since weights may come back between the two.
//! - It is closed while somebody waits, so that no request overtakes a waiter. It is always closed for an adaptive limit,
//!   which needs to know how much ran at the same time.
//! - The grants never overflow: a request that finds them full goes through the lock, which takes them over.

use super::loom::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// The bit of a word that is closed: the state behind the lock counts.
const CLOSED: u64 = 1 << 32;
/// The bits above that.
#[cfg(feature = "inspect")]
const GRANT_BITS: u32 = CLOSED.leading_zeros();
/// One grant; the bits from here on count those that are not settled yet.
const GRANT: u64 = 1 << 33;
const GRANTS: u64 = !(GRANT - 1);

#[derive(Debug)]
pub(super) struct FastPath {
    word: AtomicU64,
}

/// The use of the fast path until it was closed.
pub(super) enum Usage {
    /// It was open.
    Open { available: u32, granted: u64 },
    /// It was closed already.
    Closed { returned: u32 },
}

impl FastPath {
    /// Returns the word of a fast path that is closed.
    pub(super) const fn closed() -> u64 {
        CLOSED
    }

    /// Takes the word, since an atomic of loom cannot be made in a constant.
    pub(super) const fn new(word: AtomicU64) -> Self {
        Self { word }
    }

    /// Takes permits; returns `false` if the state behind the lock has to decide.
    #[inline]
    pub(super) fn take(&self, weight: u32) -> bool {
        let mut word = self.word.load(Relaxed);
        while word & CLOSED == 0 && word as u32 >= weight && word & GRANTS != GRANTS {
            let next = word + GRANT - u64::from(weight);
            match self.word.compare_exchange_weak(word, next, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(changed) => word = changed,
            }
        }
        false
    }

    /// Returns the word, if permits could be taken now.
    #[cfg(feature = "inspect")]
    #[inline]
    pub(super) fn offer(&self, weight: u32) -> Option<u64> {
        let word = self.word.load(Relaxed);
        // The permits, or less than zero if it is closed: one comparison for both.
        let permits = (word << GRANT_BITS) as i64 >> GRANT_BITS;
        (permits >= i64::from(weight)).then_some(word)
    }

    /// Takes permits of an offer; returns `false` if it has changed, or the grants are full.
    #[cfg(feature = "inspect")]
    #[inline]
    pub(super) fn take_offer(&self, word: u64, weight: u32) -> bool {
        // The weight is not more than the permits: so only the grants can overflow.
        let next = word.checked_add(GRANT - u64::from(weight));
        next.is_some_and(|next| self.word.compare_exchange(word, next, Acquire, Relaxed).is_ok())
    }

    /// Puts permits back; returns `false` if the caller has to take the lock and settle.
    #[inline]
    pub(super) fn put_back(&self, weight: u32) -> bool {
        self.word.fetch_add(weight.into(), Release) & CLOSED == 0
    }

    /// Closes it, and returns its usage. Requires the lock.
    pub(super) fn close(&self) -> Usage {
        let word = self.word.swap(CLOSED, AcqRel);
        let permits = word as u32;
        if word & CLOSED == 0 {
            Usage::Open { available: permits, granted: word / GRANT }
        } else {
            Usage::Closed { returned: permits }
        }
    }

    /// Opens it with these permits, and those that came back since it was closed. Requires the lock, and that it is closed.
    pub(super) fn open(&self, available: u32) {
        // In one step for both: the bit is subtracted, and the permits are added.
        self.word.fetch_add(u64::from(available).wrapping_sub(CLOSED), Release);
    }
}
