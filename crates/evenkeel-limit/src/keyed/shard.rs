//! A shard: a table of buckets behind one lock.
//!
//! # How it works
//!
//! Each key has a [word](super::word) in the table. An odd word is a bucket: the reading of the shard's [`CoarseClock`] at
//! which the bucket is full. Taking permits moves that reading into the future; a request fits while it is at most one
//! burst ahead of the clock. An even word is the index of a limiter of the key's own ([`KeyLimiter`]): a key is *promoted*
//! to one when a request has to wait, and takes all its permits there from then on.
//!
//! A bucket may have credits, for requests that do not look at the clock; they are settled by the next one that does.
//!
//! A bucket that is full equals one that was never used, so its key may be forgotten. There is no clean-up task. A *clock
//! hand* goes round over the chains of the table, as in the page replacement of that name, and removes the buckets that
//! are full: a chain for each new key, and more as the reading grows.
//!
//! Invariants:
//! - The hand completes a round before the reading grows by a quarter of its range. So a bucket that was full long ago
//!   never appears to be full in the future, although readings wrap around.
//! - Each counted key is counted once in the [`KeyCount`]. Overrides are not counted, unless there is a bucket under them.
//! - A promoted key is forgotten only if the shard alone holds its limiter, and that limiter is full and without waiters.
//!   No handle can appear during that check, because handles are cloned under the lock.
//!
//! No foreign code runs here: a lookup that needs some is given up, and repeated (`key.rs`). Limiters that have to wake
//! others are returned to the caller.

use std::{mem, num::NonZeroU64, sync::Arc, time::Duration};

use evenkeel_base::Slab;

use super::{
    coarse_clock::CoarseClock,
    key::{Lookup, NeedsUnlocked},
    key_count::KeyCount,
    table::Table,
    word::{self, Credits, bucket_word, limiter_index, limiter_word, missing},
};
#[cfg(feature = "inspect")]
use crate::rate_limiter::inspect::Family;
use crate::{clock::Counter, error::Denied, rate::Rate, rate_limiter::RateLimiter, sync::entry::Mode};

/// The most chains that the hand passes for a new key.
pub(super) const CHAINS_FOR_NEW_KEY: usize = 1;
/// The same for a new key of another shard.
const CHAINS_FOR_OTHER_SHARD: usize = 8;
/// The growth of the reading in which the hand completes a round.
const ROUND: u64 = 1 << 61;

/// A table of buckets that share one clock.
#[derive(Debug)]
pub(super) struct Shard<S> {
    config: Config,
    clock: CoarseClock,
    credits: Credits,
    table: Table<S>,
    limiters: Slab<KeyLimiter>,
    /// The reading up to which the hand has advanced.
    hand_reading: u64,
}

/// The settings of every key.
#[derive(Clone, Debug)]
pub(super) struct Config {
    /// The rate at the first use.
    pub(super) rate: Rate,
    pub(super) burst: u32,
    pub(super) fast: bool,
    pub(super) cpu: bool,
    pub(super) max_pause: Duration,
    /// The limiters of keys, in the dumps of evenkeel-inspect.
    #[cfg(feature = "inspect")]
    pub(super) family: Arc<Family>,
}

impl Config {
    pub(super) fn limiter(&self, rate: Rate) -> RateLimiter {
        let limiter = RateLimiter::new(rate).burst(self.burst).max_pause(self.max_pause);
        let limiter = limiter.with_cpu(self.cpu);
        #[cfg(feature = "inspect")]
        let limiter = limiter.in_family(&self.family);
        if self.fast { limiter.fast() } else { limiter }
    }
}

/// The limiter of one key.
#[derive(Debug)]
struct KeyLimiter {
    limiter: Arc<RateLimiter>,
    origin: Origin,
}

/// The reason for which a key has a limiter of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Origin {
    /// A request had to wait, or asked for the limiter.
    Promoted,
    /// An override of a key that is not counted.
    Override,
    /// An override of a key that is counted, and has this word under the override.
    OverrideOf(NonZeroU64),
}

/// The result of a request.
pub(crate) enum Decision {
    Granted,
    Denied(Denied),
    /// This limiter decides: that of the key, or the overflow.
    Limiter(Arc<RateLimiter>),
}

/// A request for permits of a key.
#[derive(Clone, Copy)]
pub(super) struct Request {
    pub(super) tag: u32,
    pub(super) permits: u32,
    /// `None` asks for the limiter of the key, even if there are permits.
    pub(super) mode: Option<Mode>,
}

impl Request {
    /// Whether the request can do with a credit of its key.
    #[inline]
    pub(super) fn may_take_credit(self) -> bool {
        self.permits == 1 && self.mode.is_some()
    }
}

impl<S> Shard<S> {
    /// Allocates room for `keys`; with more, the table grows.
    pub(super) fn new(config: Config, keys: usize, counter: Option<Counter>) -> Self {
        let credits = Credits::new(config.fast, config.burst);
        Self {
            clock: CoarseClock::new(config.rate, config.burst, credits.bits(), counter),
            config,
            credits,
            table: Table::new(keys),
            limiters: Slab::new(),
            hand_reading: 0,
        }
    }

    /// Changes the rate of all buckets, and returns the limiters whose rate the caller has to change without the lock:
    /// that wakes waiters.
    pub(super) fn set_rate(&mut self, rate: Rate) -> Vec<Arc<RateLimiter>> {
        self.clock.set_rate(rate);
        // A promoted limiter under an override keeps its index, and is still here.
        let promoted = self.limiters.iter().filter(|own| own.origin == Origin::Promoted);
        promoted.map(|own| Arc::clone(&own.limiter)).collect()
    }

    /// Grants a request by a credit of its key, without a look at the clock, or else decides it as `decide_now` does.
    #[inline(always)]
    pub(super) fn decide_fast(
        &mut self,
        request: Request,
        key: &mut impl Lookup<S>,
        count: &KeyCount,
    ) -> Result<Option<Decision>, NeedsUnlocked> {
        if self.credits.are_lent()
            && request.may_take_credit()
            && let Some(slot) = self.table.find(request.tag, key)?
            && word::take_credit(self.table.word(slot))
        {
            return Ok(Some(Decision::Granted));
        }
        self.decide_now(request, key, count)
    }

    /// Reads the clock, and decides a request as `decide` does.
    #[inline(never)]
    fn decide_now(
        &mut self,
        request: Request,
        key: &mut impl Lookup<S>,
        count: &KeyCount,
    ) -> Result<Option<Decision>, NeedsUnlocked> {
        self.decide(CoarseClock::advance_to_now, request, key, count)
    }

    /// Decides a request at the ticks of the counter as `decide` does.
    #[inline(never)]
    pub(super) fn decide_at_ticks(
        &mut self,
        ticks: u64,
        request: Request,
        key: &mut impl Lookup<S>,
        count: &KeyCount,
    ) -> Result<Option<Decision>, NeedsUnlocked> {
        self.decide(|clock| clock.advance_to_ticks(ticks), request, key, count)
    }

    /// Advances the clock, and decides a request; `None` if its key is new and there is no room for it.
    #[inline(always)]
    pub(super) fn decide(
        &mut self,
        advance: impl FnOnce(&mut CoarseClock),
        request: Request,
        key: &mut impl Lookup<S>,
        count: &KeyCount,
    ) -> Result<Option<Decision>, NeedsUnlocked> {
        let Request { tag, permits, mode } = request;
        advance(&mut self.clock);
        self.advance_hand(key, count);
        let (now, cost) = (self.clock.reading(), self.clock.cost(permits));
        let never_fits = permits > self.clock.burst();
        let Some(slot) = self.table.find(tag, key)? else {
            return if never_fits {
                Ok(Some(Decision::Denied(Denied::NEVER_FITS)))
            } else {
                self.decide_new_key(request, key, count)
            };
        };
        let word = self.table.word(slot);
        if let Some(index) = limiter_index(*word) {
            return Ok(Some(Decision::Limiter(self.limiter(index))));
        }
        if never_fits {
            return Ok(Some(Decision::Denied(Denied::NEVER_FITS)));
        }
        self.credits.settle(word, now, self.clock.cost(1));
        let missing = missing(*word, now);
        let wanted = missing + cost;
        if wanted <= self.clock.depth() && mode.is_some() {
            *word = bucket_word(now.wrapping_add(wanted));
            self.credits.lend(word, self.clock.depth() - wanted, self.clock.cost(1));
            return Ok(Some(Decision::Granted));
        }
        Ok(Some(match mode {
            Some(Mode::Try) => Decision::Denied(Denied::busy(self.clock.until(wanted - self.clock.depth()))),
            Some(Mode::Wait) | None => self.promote(slot, missing),
        }))
    }

    /// Decides a request for a key without a bucket.
    #[inline(never)]
    fn decide_new_key(
        &mut self,
        request: Request,
        key: &mut impl Lookup<S>,
        count: &KeyCount,
    ) -> Result<Option<Decision>, NeedsUnlocked> {
        let Request { tag, permits, mode, .. } = request;
        self.sweep(CHAINS_FOR_NEW_KEY, None, key, count);
        // Without this chain an attack with keys that all fall into it would find no room, however many of them are full.
        if !count.try_add() && (self.sweep(0, Some(tag), key, count) == 0 || !count.try_add()) {
            return Ok(None);
        }
        let Some(stored) = key.to_store() else {
            count.subtract(1);
            return Err(NeedsUnlocked::StoredKey);
        };
        let cost = self.clock.cost(permits);
        let mut word = bucket_word(self.clock.reading().wrapping_add(cost));
        if mode.is_some() {
            self.credits.lend(&mut word, self.clock.depth() - cost, self.clock.cost(1));
        }
        let slot = self.table.insert(tag, stored, word);
        Ok(Some(if mode.is_some() { Decision::Granted } else { self.promote(slot, 0) }))
    }

    /// Removes some full buckets, for a key of another shard; returns whether there were any.
    pub(super) fn make_room(&mut self, key: &mut impl Lookup<S>, count: &KeyCount) -> bool {
        self.clock.advance_to_now();
        self.advance_hand(key, count);
        self.sweep(CHAINS_FOR_OTHER_SHARD, None, key, count) > 0
    }

    /// Sets the override of a key, and returns the previous one.
    pub(super) fn set_override(
        &mut self,
        tag: u32,
        key: &mut impl Lookup<S>,
        limiter: &Arc<RateLimiter>,
    ) -> Result<Option<Arc<RateLimiter>>, NeedsUnlocked> {
        let limiter = Arc::clone(limiter);
        self.clock.advance_to_now();
        let Some(slot) = self.table.find(tag, key)? else {
            let stored = key.to_store().ok_or(NeedsUnlocked::StoredKey)?;
            let word = self.insert_limiter(KeyLimiter { limiter, origin: Origin::Override });
            self.table.insert(tag, stored, word);
            return Ok(None);
        };
        let word = self.table.word(slot);
        self.credits.settle(word, self.clock.reading(), self.clock.cost(1));
        let word = *word;
        let own = limiter_index(word).and_then(|index| self.limiters.get_mut(index));
        if let Some(own) = own.filter(|own| own.origin != Origin::Promoted) {
            return Ok(Some(mem::replace(&mut own.limiter, limiter)));
        }
        *self.table.word(slot) =
            self.insert_limiter(KeyLimiter { limiter, origin: Origin::OverrideOf(word) });
        Ok(None)
    }

    /// Removes the override of a key, and returns it.
    pub(super) fn remove_override(
        &mut self,
        tag: u32,
        key: &mut impl Lookup<S>,
    ) -> Result<Option<Arc<RateLimiter>>, NeedsUnlocked> {
        let Some(slot) = self.table.find(tag, key)? else { return Ok(None) };
        let Some(index) = limiter_index(*self.table.word(slot)) else { return Ok(None) };
        if self.limiters.get(index).is_none_or(|own| own.origin == Origin::Promoted) {
            return Ok(None);
        }
        let Some(KeyLimiter { limiter, origin }) = self.limiters.remove(index) else { return Ok(None) };
        match origin {
            Origin::OverrideOf(word) => *self.table.word(slot) = word,
            Origin::Promoted | Origin::Override => self.table.remove(tag, slot, key),
        }
        Ok(Some(limiter))
    }

    fn limiter(&self, index: usize) -> Arc<RateLimiter> {
        Arc::clone(&self.limiters.get(index).expect("the limiter of a key").limiter)
    }

    /// Replaces the bucket of a key by a limiter in which the same permits are due at the same time.
    fn promote(&mut self, slot: usize, missing: u64) -> Decision {
        let tokens = self.clock.tokens(missing);
        let limiter = Arc::new(self.config.limiter(self.clock.rate()).missing(tokens));
        let own = KeyLimiter { limiter: Arc::clone(&limiter), origin: Origin::Promoted };
        *self.table.word(slot) = self.insert_limiter(own);
        Decision::Limiter(limiter)
    }

    /// Adds a limiter, and returns the word of its index.
    fn insert_limiter(&mut self, own: KeyLimiter) -> NonZeroU64 {
        limiter_word(self.limiters.insert(own))
    }

    /// Advances the hand as the reading grows, and returns the number of chains that it passed.
    #[inline]
    fn advance_hand(&mut self, key: &mut impl Lookup<S>, count: &KeyCount) -> usize {
        let growth = self.clock.reading().wrapping_sub(self.hand_reading);
        // Whether that is less than one chain's part of a round, without a division.
        let is_early = (growth >> u32::BITS) * (self.table.chains() as u64) < ROUND >> u32::BITS;
        if is_early { 0 } else { self.pass_due_chains(growth, key, count) }
    }

    #[inline(never)]
    fn pass_due_chains(&mut self, growth: u64, key: &mut impl Lookup<S>, count: &KeyCount) -> usize {
        let each = ROUND / self.table.chains() as u64;
        let chains = growth / each;
        self.hand_reading = self.hand_reading.wrapping_add(chains * each);
        self.sweep(chains as usize, None, key, count);
        chains as usize
    }

    /// Removes the full buckets of the next `chains`, and of the chain of a tag; returns how many keys are uncounted.
    fn sweep(
        &mut self,
        chains: usize,
        tag: Option<u32>,
        key: &mut impl Lookup<S>,
        count: &KeyCount,
    ) -> usize {
        let (now, cost) = (self.clock.reading(), self.clock.cost(1));
        let Self { table, limiters, credits, .. } = self;
        let mut uncounted = 0;
        let mut is_stale = |word: &mut NonZeroU64| {
            credits.settle(word, now, cost);
            is_stale(*word, now, limiters, &mut uncounted)
        };
        let mut removed = table.sweep(chains, key, &mut is_stale);
        if let Some(tag) = tag {
            removed += table.sweep_chain(tag, key, &mut is_stale);
        }
        count.subtract(removed + uncounted);
        removed + uncounted
    }
}

/// Whether the key of a word may be removed: its bucket is full. Removes the limiter of such a key, and the full bucket
/// under an override, whose key stays and is no longer counted.
#[inline(always)]
fn is_stale(word: NonZeroU64, now: u64, limiters: &mut Slab<KeyLimiter>, uncounted: &mut usize) -> bool {
    match limiter_index(word) {
        None => missing(word, now) == 0,
        Some(index) => is_limiter_stale(index, now, limiters, uncounted),
    }
}

/// The same for a word that is the index of a limiter.
#[inline(never)]
fn is_limiter_stale(index: usize, now: u64, limiters: &mut Slab<KeyLimiter>, uncounted: &mut usize) -> bool {
    let Some(own) = limiters.get(index) else { return false };
    match own.origin {
        Origin::Override => false,
        Origin::Promoted => {
            let is_unused = Arc::strong_count(&own.limiter) == 1 && own.limiter.core().is_unused();
            if is_unused {
                limiters.remove(index);
            }
            is_unused
        }
        Origin::OverrideOf(word) => {
            if is_stale(word, now, limiters, uncounted)
                && let Some(own) = limiters.get_mut(index)
            {
                own.origin = Origin::Override;
                *uncounted += 1;
            }
            false
        }
    }
}

#[cfg(test)]
mod tests;
