//! The word of a key: its bucket, or the index of its limiter.
//!
//! # How it works
//!
//! ```text
//! 63                       10 9                      1   0
//! ┌──────────────────────────┬────────────────────────┬───┐
//! │ reading at which it is   │ credits                │ 1 │   a bucket
//! │ full                     │ (part of the reading   │   │
//! │                          │ unless it is `fast`)   │   │
//! ├──────────────────────────┴────────────────────────┼───┤
//! │ index + 1                                         │ 0 │   a limiter
//! └───────────────────────────────────────────────────┴───┘
//! ```
//!
//! *Credits* are permits that are granted without a look at the clock, for a [`Keyed`](crate::Keyed) that is built with
//! `fast`. A look at the clock that leaves enough permits *lends* the key a fixed number of credits: the field is that
//! number and one. Each credit that is taken lowers the field by one, down to 1. Zero means that none are lent.
//!
//! The next look at the clock *settles* them: the permits are spent as if they were taken then. That is later than they
//! were, so never more are granted than without credits; and they fit, since they fitted when they were lent.
//!
//! Invariants:
//! - A word is settled before its reading is used, and before it is moved: the functions for buckets expect that.
//! - A bucket with credits that were taken is not full, whatever its reading. So a sweep settles a bucket before it asks.

use std::num::NonZeroU64;

/// The bits of the field of credits.
const CREDIT_BITS: u32 = 9;
/// One credit.
const CREDIT: u64 = 1 << 1;
const CREDITS: u64 = (1 << (CREDIT_BITS + 1)) - CREDIT;
/// The most credits that are lent at one look at the clock, as those of a rate limiter.
const MOST: u32 = 256;

/// How the buckets of a shard lend credits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Credits {
    /// The credits that are lent at once; zero if there are none.
    lent: u32,
}

impl Credits {
    pub(super) fn new(fast: bool, burst: u32) -> Self {
        Self { lent: if fast { (burst / 16).min(MOST) } else { 0 } }
    }

    /// The bits of a word below its reading.
    pub(super) fn bits(self) -> u32 {
        if self.lent == 0 { 1 } else { 1 + CREDIT_BITS }
    }

    /// Whether buckets have credits, so that they have to be settled.
    #[inline]
    pub(super) fn are_lent(self) -> bool {
        self.lent > 0
    }

    /// Lends credits to a settled bucket, of which `available` is free and a permit costs `cost`; if there are as many.
    #[inline(always)]
    pub(super) fn lend(self, word: &mut NonZeroU64, available: u64, cost: u64) {
        if self.are_lent() && available >= u64::from(self.lent) * cost {
            *word |= (u64::from(self.lent) + 1) * CREDIT;
        }
    }

    /// Spends the credits of a bucket that were taken, as if that were now.
    #[inline(always)]
    pub(super) fn settle(self, word: &mut NonZeroU64, now: u64, cost: u64) {
        if self.are_lent() {
            self.settle_lent(word, now, cost);
        }
    }

    #[inline(never)]
    fn settle_lent(self, word: &mut NonZeroU64, now: u64, cost: u64) {
        let field = word.get() & CREDITS;
        if field == 0 || limiter_index(*word).is_some() {
            return;
        }
        let used = u64::from(self.lent) + 1 - field / CREDIT;
        let settled = bucket_word(word.get() - 1 - field);
        *word = match used {
            0 => settled,
            used => bucket_word(now.wrapping_add(missing(settled, now)).wrapping_add(used * cost)),
        };
    }
}

/// Takes a credit of a bucket, where buckets have them; returns whether there was one.
#[inline]
pub(super) fn take_credit(word: &mut NonZeroU64) -> bool {
    let bits = word.get();
    let has_credits = bits & 1 == 1 && bits & CREDITS > CREDIT;
    if has_credits {
        *word = bucket_word(bits - CREDIT);
    }
    has_credits
}

/// The word of a bucket without credits that is full at a reading, which is even.
#[inline]
pub(super) fn bucket_word(reading: u64) -> NonZeroU64 {
    NonZeroU64::MIN | reading
}

/// The growth of the reading until a settled bucket is full.
#[inline]
pub(super) fn missing(word: NonZeroU64, now: u64) -> u64 {
    ((word.get() - 1).wrapping_sub(now) as i64).max(0) as u64
}

/// The word of the limiter with an index.
pub(super) fn limiter_word(index: usize) -> NonZeroU64 {
    NonZeroU64::MIN.saturating_add(2 * index as u64 + 1)
}

/// The index of the limiter, if the word is one.
#[inline]
pub(super) fn limiter_index(word: NonZeroU64) -> Option<usize> {
    word.get().is_multiple_of(2).then(|| (word.get() / 2 - 1) as usize)
}
