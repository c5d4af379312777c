//! Some of the keys.

use std::{borrow::Borrow, collections::HashMap, hash::Hash, num::NonZeroU64, sync::Arc};

use tokio::time::Instant;

use super::{pace::Pace, table::Table};
use crate::{denied::Denied, limiter::RateLimiter, rate::Rate};

/// The most slots that the hand passes over in one call.
const SWEEP: usize = 4;
/// While the reading grows by this much the hand passes over as many slots as there are, so that no bucket that was
/// full long ago seems to be full in the future.
const ROUND: u64 = 1 << 61;

/// A table of buckets that share one clock.
///
/// A bucket is the reading at which it is full, as long as nobody waits for it: an odd word. Else it is a limiter of
/// its own: an even word, which tells the place of it.
#[derive(Debug)]
pub(super) struct Shard<K> {
    pace: Pace,
    max_keys: usize,
    table: Table<K>,
    /// Those that somebody waits for, or has waited for.
    limiters: Vec<Option<Arc<RateLimiter>>>,
    vacant: Vec<usize>,
    pub(super) overrides: HashMap<K, Arc<RateLimiter>>,
    /// The reading up to which the hand has kept up, and what it grows by for each slot.
    swept: u64,
    each: u64,
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
}

impl<K: Hash + Eq> Shard<K> {
    pub(super) fn new(rate: Rate, burst: u32, max_keys: usize) -> Self {
        let table = Table::new(max_keys);
        let each = ROUND / table.slots() as u64;
        Self {
            pace: Pace::new(rate, burst),
            max_keys,
            table,
            limiters: vec![],
            vacant: vec![],
            overrides: HashMap::new(),
            swept: 0,
            each,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Gives the limiters of which the rate is still to be set, when nothing is locked: that wakes others.
    pub(super) fn set_rate(&mut self, rate: Rate) -> Vec<Arc<RateLimiter>> {
        self.pace.set_rate(rate);
        self.limiters.iter().flatten().cloned().collect()
    }

    /// Takes permits for a key, of which the hash is given and that of others can be asked for.
    #[inline]
    pub(super) fn take<Q>(
        &mut self,
        now: Instant,
        key: &Q,
        hash: u64,
        permits: u32,
        or: Else,
        hash_of: impl Fn(&Q) -> u64,
    ) -> Verdict
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        if let Some(limiter) = self.overrides.get(key) {
            return Verdict::Ask(Arc::clone(limiter));
        }
        self.pace.advance(now);
        let swept = self.keep_up(&hash_of);
        let (now, cost) = (self.pace.reading(), self.pace.of(permits));
        let never_fits = permits > self.pace.burst();
        let Some(word) = self.table.find(hash, |other| other.borrow() == key) else {
            if never_fits {
                return Verdict::Denied(Denied::NEVER_FITS);
            }
            self.sweep(SWEEP.saturating_sub(swept), &hash_of);
            if self.table.len() >= self.max_keys {
                return Verdict::Overflow;
            }
            self.table.insert(hash, key.to_owned(), full_at(now.wrapping_add(cost)));
            return Verdict::Granted;
        };
        if let Some(place) = place(*word) {
            return Verdict::Ask(Arc::clone(self.limiters[place].as_ref().expect("the limiter of a key")));
        }
        if never_fits {
            return Verdict::Denied(Denied::NEVER_FITS);
        }
        let missing = missing(*word, now);
        match (missing + cost).checked_sub(self.pace.of(self.pace.burst())) {
            None | Some(0) => {
                *word = full_at(now.wrapping_add(missing + cost));
                Verdict::Granted
            }
            Some(lacking) if or == Else::Refuse => Verdict::Denied(Denied::busy(self.pace.until(lacking))),
            Some(_) => self.promote(key, hash, missing),
        }
    }

    /// Gives a key a limiter of its own, if it has none and there is room for another key.
    pub(super) fn limiter<Q>(&mut self, key: &Q, hash: u64, hash_of: impl Fn(&Q) -> u64) -> Verdict
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        match self.take(Instant::now(), key, hash, 0, Else::Wait, hash_of) {
            Verdict::Granted => {
                let now = self.pace.reading();
                let word = self.table.find(hash, |other| other.borrow() == key).copied();
                self.promote(key, hash, word.map_or(0, |word| missing(word, now)))
            }
            elsewhere => elsewhere,
        }
    }

    /// Gives a key that is there a limiter of its own, in which the same permits are due at the same time.
    fn promote<Q>(&mut self, key: &Q, hash: u64, missing: u64) -> Verdict
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let tokens = self.pace.tokens(missing);
        let limiter = Arc::new(RateLimiter::missing(self.pace.rate(), self.pace.burst(), tokens));
        let place = self.vacant.pop().unwrap_or(self.limiters.len());
        if place == self.limiters.len() {
            self.limiters.push(None);
        }
        self.limiters[place] = Some(Arc::clone(&limiter));
        if let Some(word) = self.table.find(hash, |other| other.borrow() == key) {
            *word = NonZeroU64::MIN.saturating_add(2 * place as u64 + 1);
        }
        Verdict::Ask(limiter)
    }

    /// Lets the hand go round as the reading grows, and gives the number of slots that it has passed over.
    fn keep_up<Q>(&mut self, hash_of: impl Fn(&Q) -> u64) -> usize
    where
        K: Borrow<Q>,
        Q: ?Sized,
    {
        let mut slots = 0;
        while self.pace.reading().wrapping_sub(self.swept) >= self.each {
            self.swept = self.swept.wrapping_add(self.each);
            slots += 1;
        }
        if slots > 0 {
            self.sweep(slots, hash_of);
        }
        slots
    }

    /// Looks at some slots, and removes the buckets that are full: they are as good as new ones.
    fn sweep<Q>(&mut self, slots: usize, hash_of: impl Fn(&Q) -> u64)
    where
        K: Borrow<Q>,
        Q: ?Sized,
    {
        let now = self.pace.reading();
        let (limiters, vacant) = (&mut self.limiters, &mut self.vacant);
        self.table.sweep(
            slots,
            |key| hash_of(key.borrow()),
            |word| {
                let Some(place) = place(word) else { return missing(word, now) == 0 };
                let unused =
                    limiters[place].take_if(|limiter| Arc::strong_count(limiter) == 1 && limiter.is_full());
                vacant.extend(unused.as_ref().map(|_| place));
                unused.is_some()
            },
        );
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
