//! The fast path: a semaphore in one atomic word, for requests and permits that take no lock.
//!
//! # How it works
//!
//! The permits of the state are lent to the fast path while nobody waits. The word holds
//!
//! ```text
//! 63      53  52      33  32  31                 0
//! ┌─────────┬───────────┬───┬─────────────────────┐
//! │ grants  │ slots     │ C │ permits             │   C: closed
//! └─────────┴───────────┴───┴─────────────────────┘
//! ```
//!
//! A slot is the right to write one of the records of who holds permits: a bit is set while it is free. They are lent and come
//! back as permits do. Without the feature `inspect` there are none, and more bits for grants.
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
//! - A slot comes back once, by the one that has it: so adding its bit carries nothing into the next one.

use super::loom::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use crate::sync::edges::SLOTS;

/// The bit of a word that is closed: the state behind the lock counts.
const CLOSED: u64 = 1 << 32;
/// The first slot.
const SLOT: u64 = 1 << 33;
pub(super) const ALL_SLOTS: u64 = (SLOT << SLOTS) - SLOT;
/// One grant; the bits from here on count those that are not settled yet.
const GRANT: u64 = SLOT << SLOTS;
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

/// Returns the bit of a slot in a word, and in [`ALL_SLOTS`].
#[cfg(feature = "inspect")]
#[inline]
pub(super) fn bit_of(slot: u32) -> u64 {
    SLOT << slot
}

/// Returns the slot of a bit.
#[cfg(feature = "inspect")]
#[inline]
pub(super) fn slot_of(bit: u64) -> u32 {
    bit.trailing_zeros() - SLOT.trailing_zeros()
}

/// Returns the bit of the first one of slots that are free; zero if there is none.
#[cfg(feature = "inspect")]
#[inline]
pub(super) fn first_of(free: u64) -> u64 {
    free & free.wrapping_neg()
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

    /// Takes permits and a slot; `None` if there is no slot, or the state behind the lock has to decide.
    #[cfg(feature = "inspect")]
    #[inline]
    pub(super) fn take_with_slot(&self, weight: u32) -> Option<u32> {
        let mut word = self.word.load(Relaxed);
        while word & CLOSED == 0 && word as u32 >= weight && word & GRANTS != GRANTS {
            let bit = first_of(word & ALL_SLOTS);
            if bit == 0 {
                return None;
            }
            let next = word + GRANT - bit - u64::from(weight);
            match self.word.compare_exchange_weak(word, next, Acquire, Relaxed) {
                Ok(_) => return Some(slot_of(bit)),
                Err(changed) => word = changed,
            }
        }
        None
    }

    /// Puts permits back; returns `false` if the caller has to take the lock and settle.
    #[inline]
    pub(super) fn put_back(&self, weight: u32) -> bool {
        self.word.fetch_add(weight.into(), Release) & CLOSED == 0
    }

    /// Puts permits and a slot back; returns `false` if the caller has to take the lock and settle.
    #[cfg(feature = "inspect")]
    #[inline]
    pub(super) fn put_back_with_slot(&self, weight: u32, slot: u32) -> bool {
        self.word.fetch_add(bit_of(slot) + u64::from(weight), Release) & CLOSED == 0
    }

    /// Closes it, and returns its usage and its free slots. Requires the lock.
    pub(super) fn close(&self) -> (Usage, u64) {
        let word = self.word.swap(CLOSED, AcqRel);
        let permits = word as u32;
        let usage = if word & CLOSED == 0 {
            Usage::Open { available: permits, granted: word / GRANT }
        } else {
            Usage::Closed { returned: permits }
        };
        (usage, word & ALL_SLOTS)
    }

    /// Opens it with these permits and slots, and those that came back since it was closed. Requires the lock, and that it is
    /// closed.
    pub(super) fn open(&self, available: u32, slots: u64) {
        // In one step for all: the bit is subtracted, and the permits and slots are added.
        self.word.fetch_add((slots + u64::from(available)).wrapping_sub(CLOSED), Release);
    }
}
