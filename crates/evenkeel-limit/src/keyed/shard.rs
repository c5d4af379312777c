//! Some of the keys.

use std::{num::NonZeroU64, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    coarse_clock::Pace,
    key::{Key, Missing},
    key_count::Room,
    table::Table,
};
use crate::{error::Denied, rate::Rate, rate_limiter::RateLimiter};

/// The most chains that the hand passes over in one call.
pub(super) const SWEEP: usize = 1;
/// The same for a key of another table.
const SWEEP_FOR_OTHERS: usize = 8;
/// While the reading grows by this much the hand passes over as many chains as there are, so that no bucket that was
/// full long ago seems to be full in the future.
const ROUND: u64 = 1 << 61;

/// A table of buckets that share one clock.
///
/// A bucket is the reading at which it is full, as long as nobody waits for it: an odd word. Else it is a limiter of
/// its own: an even word, which tells the place of it.
#[derive(Debug)]
pub(super) struct Shard<S> {
    terms: Terms,
    pace: Pace,
    table: Table<S>,
    limiters: Vec<Option<Own>>,
    vacant: Vec<usize>,
    /// The reading up to which the hand has kept up.
    swept: u64,
}

/// The terms of every key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// That at the first use.
    pub(super) rate: Rate,
    pub(super) burst: u32,
    pub(super) max_pause: Duration,
}

impl Terms {
    pub(super) fn limiter(self, rate: Rate) -> RateLimiter {
        RateLimiter::new(rate).burst(self.burst).max_pause(self.max_pause)
    }
}

/// The limiter of one key.
#[derive(Debug)]
struct Own {
    limiter: Arc<RateLimiter>,
    over: Over,
}

/// Why a key has a limiter of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Over {
    /// Somebody waits for it, or has waited.
    Waiters,
    /// It was given one; the key is not counted.
    Nothing,
    /// It was given one, over the bucket with this word.
    Bucket(NonZeroU64),
}

/// Who decides about a request.
pub(crate) enum Verdict {
    Granted,
    Denied(Denied),
    /// The limiter of this key.
    Ask(Arc<RateLimiter>),
    /// There is no room for another key.
    Overflow,
}

/// What to do if the permits are not there.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Else {
    Refuse,
    /// Give it a limiter to wait in.
    Wait,
    /// Give it a limiter, even if they are.
    Own,
}

/// A request for permits of a key.
#[derive(Clone, Copy)]
pub(super) struct Call {
    pub(super) now: Instant,
    pub(super) tag: u32,
    pub(super) permits: u32,
    pub(super) or: Else,
}

impl<S> Shard<S> {
    /// Allocates room for `keys`; with more, the table grows.
    pub(super) fn new(terms: Terms, keys: usize) -> Self {
        Self {
            terms,
            pace: Pace::new(terms.rate, terms.burst),
            table: Table::new(keys),
            limiters: vec![],
            vacant: vec![],
            swept: 0,
        }
    }

    /// Gives the limiters of which the rate is still to be set, when nothing is locked: that wakes others.
    pub(super) fn set_rate(&mut self, rate: Rate) -> Vec<Arc<RateLimiter>> {
        self.pace.set_rate(rate);
        // One over which another was given has it as well.
        let own = self.limiters.iter().flatten().filter(|own| own.over == Over::Waiters);
        own.map(|own| Arc::clone(&own.limiter)).collect()
    }

    /// Takes permits for a key.
    #[inline(always)]
    pub(super) fn take(
        &mut self,
        call: Call,
        key: &mut impl Key<S>,
        room: &Room,
    ) -> Result<Verdict, Missing> {
        let Call { now, tag, permits, or } = call;
        self.pace.advance(now);
        self.keep_up(key, room);
        let (now, cost) = (self.pace.reading(), self.pace.of(permits));
        let never_fits = permits > self.pace.burst();
        let Some(slot) = self.table.find(tag, key)? else {
            return if never_fits {
                Ok(Verdict::Denied(Denied::NEVER_FITS))
            } else {
                self.add(call, key, room)
            };
        };
        let word = self.table.word(slot);
        if let Some(place) = place(*word) {
            return Ok(Verdict::Ask(self.limiter(place)));
        }
        if never_fits {
            return Ok(Verdict::Denied(Denied::NEVER_FITS));
        }
        let missing = missing(*word, now);
        let wanted = missing + cost;
        if wanted <= self.pace.depth() && or != Else::Own {
            *word = full_at(now.wrapping_add(wanted));
            return Ok(Verdict::Granted);
        }
        Ok(match or {
            Else::Refuse => Verdict::Denied(Denied::busy(self.pace.until(wanted - self.pace.depth()))),
            Else::Wait | Else::Own => self.promote(slot, missing),
        })
    }

    /// Takes permits for a key that is not there.
    #[inline(never)]
    fn add(&mut self, call: Call, key: &mut impl Key<S>, room: &Room) -> Result<Verdict, Missing> {
        let Call { tag, permits, or, .. } = call;
        self.sweep(SWEEP, None, key, room);
        // Keys may all fall into one chain: only if there is no room it is worth to look at that.
        if !room.enter() && (self.sweep(0, Some(tag), key, room) == 0 || !room.enter()) {
            return Ok(Verdict::Overflow);
        }
        let Some(own) = key.own() else {
            room.leave(1);
            return Err(Missing::Key);
        };
        let word = full_at(self.pace.reading().wrapping_add(self.pace.of(permits)));
        let slot = self.table.insert(tag, own, word);
        Ok(if or == Else::Own { self.promote(slot, 0) } else { Verdict::Granted })
    }

    /// Removes some of those that are full, for a key of another table; whether there were any.
    pub(super) fn make_room(&mut self, now: Instant, key: &mut impl Key<S>, room: &Room) -> bool {
        self.pace.advance(now);
        self.keep_up(key, room);
        self.sweep(SWEEP_FOR_OTHERS, None, key, room) > 0
    }

    /// Gives a key a limiter, and gives back the one that it was given before.
    pub(super) fn set_override(
        &mut self,
        tag: u32,
        key: &mut impl Key<S>,
        limiter: &Arc<RateLimiter>,
    ) -> Result<Option<Arc<RateLimiter>>, Missing> {
        let limiter = Arc::clone(limiter);
        let Some(slot) = self.table.find(tag, key)? else {
            let own = key.own().ok_or(Missing::Key)?;
            let word = self.settle(Own { limiter, over: Over::Nothing });
            self.table.insert(tag, own, word);
            return Ok(None);
        };
        let word = *self.table.word(slot);
        let given = place(word).and_then(|place| self.limiters[place].as_mut());
        if let Some(own) = given.filter(|own| own.over != Over::Waiters) {
            return Ok(Some(std::mem::replace(&mut own.limiter, limiter)));
        }
        *self.table.word(slot) = self.settle(Own { limiter, over: Over::Bucket(word) });
        Ok(None)
    }

    /// Takes the limiter back that a key was given.
    pub(super) fn remove_override(
        &mut self,
        tag: u32,
        key: &mut impl Key<S>,
    ) -> Result<Option<Arc<RateLimiter>>, Missing> {
        let Some(slot) = self.table.find(tag, key)? else { return Ok(None) };
        let Some(place) = place(*self.table.word(slot)) else { return Ok(None) };
        let given = self.limiters[place].take_if(|own| own.over != Over::Waiters);
        let Some(Own { limiter, over }) = given else { return Ok(None) };
        self.vacant.push(place);
        match over {
            Over::Bucket(word) => *self.table.word(slot) = word,
            Over::Waiters | Over::Nothing => self.table.remove(tag, slot, key),
        }
        Ok(Some(limiter))
    }

    fn limiter(&self, place: usize) -> Arc<RateLimiter> {
        Arc::clone(&self.limiters[place].as_ref().expect("the limiter of a key").limiter)
    }

    /// Gives a key that is there a limiter of its own, in which the same permits are due at the same time.
    fn promote(&mut self, slot: usize, missing: u64) -> Verdict {
        let tokens = self.pace.tokens(missing);
        let limiter = Arc::new(self.terms.limiter(self.pace.rate()).missing(tokens));
        *self.table.word(slot) = self.settle(Own { limiter: Arc::clone(&limiter), over: Over::Waiters });
        Verdict::Ask(limiter)
    }

    /// Gives the word that tells the place of a limiter.
    fn settle(&mut self, own: Own) -> NonZeroU64 {
        let place = self.vacant.pop().unwrap_or(self.limiters.len());
        if place == self.limiters.len() {
            self.limiters.push(None);
        }
        self.limiters[place] = Some(own);
        NonZeroU64::MIN.saturating_add(2 * place as u64 + 1)
    }

    /// Lets the hand go round as the reading grows.
    #[inline]
    fn keep_up(&mut self, key: &mut impl Key<S>, room: &Room) -> usize {
        let grown = self.pace.reading().wrapping_sub(self.swept);
        // Whether that is less than each chain's part of a round, without a division.
        let is_early = (grown >> u32::BITS) * (self.table.chains() as u64) < ROUND >> u32::BITS;
        if is_early { 0 } else { self.catch_up(grown, key, room) }
    }

    #[inline(never)]
    fn catch_up(&mut self, grown: u64, key: &mut impl Key<S>, room: &Room) -> usize {
        let each = ROUND / self.table.chains() as u64;
        let chains = grown / each;
        self.swept = self.swept.wrapping_add(chains * each);
        self.sweep(chains as usize, None, key, room);
        chains as usize
    }

    /// Looks at some chains, and at that of a tag, and removes the buckets that are full: they are as good as new ones.
    fn sweep(&mut self, chains: usize, tag: Option<u32>, key: &mut impl Key<S>, room: &Room) -> usize {
        let now = self.pace.reading();
        let Self { table, limiters, vacant, .. } = self;
        let mut uncounted = 0;
        let mut stale = |word: NonZeroU64| is_stale(word, now, limiters, vacant, &mut uncounted);
        let mut removed = table.sweep(chains, key, &mut stale);
        if let Some(tag) = tag {
            removed += table.sweep_chain(tag, key, &mut stale);
        }
        room.leave(removed + uncounted);
        removed + uncounted
    }
}

/// Whether a bucket is full; if so, its limiter is removed. One over which a limiter was given is not there any longer,
/// and that of the key stays.
#[inline(always)]
fn is_stale(
    word: NonZeroU64,
    now: u64,
    limiters: &mut [Option<Own>],
    vacant: &mut Vec<usize>,
    uncounted: &mut usize,
) -> bool {
    match place(word) {
        None => missing(word, now) == 0,
        Some(place) => is_own_stale(place, now, limiters, vacant, uncounted),
    }
}

/// The same for one that has a limiter.
#[inline(never)]
fn is_own_stale(
    place: usize,
    now: u64,
    limiters: &mut [Option<Own>],
    vacant: &mut Vec<usize>,
    uncounted: &mut usize,
) -> bool {
    let Some(own) = &mut limiters[place] else { return false };
    match own.over {
        Over::Nothing => false,
        Over::Waiters => {
            let unused = Arc::strong_count(&own.limiter) == 1 && own.limiter.is_unused();
            if unused {
                limiters[place] = None;
                vacant.push(place);
            }
            unused
        }
        Over::Bucket(word) => {
            if is_stale(word, now, limiters, vacant, uncounted)
                && let Some(own) = &mut limiters[place]
            {
                own.over = Over::Nothing;
                *uncounted += 1;
            }
            false
        }
    }
}

/// The word of a bucket that is full at a reading, which is even.
fn full_at(reading: u64) -> NonZeroU64 {
    NonZeroU64::MIN | reading
}

/// How much of a reading is earned until it is full.
fn missing(word: NonZeroU64, now: u64) -> u64 {
    ((word.get() - 1).wrapping_sub(now) as i64).max(0) as u64
}

/// The place of the limiter that the word tells.
fn place(word: NonZeroU64) -> Option<usize> {
    word.get().is_multiple_of(2).then(|| (word.get() / 2 - 1) as usize)
}

#[cfg(test)]
mod tests;
