//! A hash table of keys and a word for each, with a clock hand.

use std::num::NonZeroU64;

use super::key::{Comparison, Lookup, NeedsUnlocked};

/// The end of a chain.
const END: u32 = u32::MAX;
/// The fewest chains.
const MIN_CHAINS: usize = 4;

/// A hash table with chains, over which a clock hand goes round.
///
/// A slot stores a part of the hash of its key, its *tag*. The tag determines the chain, and tells most keys apart. So to
/// find, move and remove entries takes no hash, and mostly no comparison either: [`Lookup::compare`] alone may run code of
/// a key's type.
#[derive(Debug)]
pub(super) struct Table<S> {
    /// The first slot of each chain.
    chains: Box<[u32]>,
    slots: Vec<Slot<S>>,
    /// The first of the vacant slots, which form a chain as well.
    vacant: u32,
    /// The chain to look at next.
    hand: usize,
}

#[derive(Debug)]
struct Slot<S> {
    entry: Option<(S, NonZeroU64)>,
    tag: u32,
    next: u32,
}

impl<S> Table<S> {
    /// Allocates room for `keys`; with more, it grows.
    pub(super) fn new(keys: usize) -> Self {
        let chains = (keys / 2).max(MIN_CHAINS);
        Self { chains: vec![END; chains].into(), slots: Vec::with_capacity(keys), vacant: END, hand: 0 }
    }

    /// The number of chains.
    pub(super) fn chains(&self) -> usize {
        self.chains.len()
    }

    /// Returns the slot of a key, if the key is stored.
    #[inline]
    pub(super) fn find(&self, tag: u32, key: &mut impl Lookup<S>) -> Result<Option<usize>, NeedsUnlocked> {
        key.begin();
        let (mut at, mut unknown) = (self.chains[self.chain(tag)], false);
        while let Some(Slot { entry: Some((stored, _)), tag: other, next }) = self.slots.get(at as usize) {
            if *other == tag {
                match key.compare(stored) {
                    Comparison::Same => return Ok(Some(at as usize)),
                    Comparison::Different => {}
                    Comparison::Unknown => unknown = true,
                }
            }
            at = *next;
        }
        if unknown { Err(NeedsUnlocked::Comparison) } else { Ok(None) }
    }

    /// Returns the word in a slot that has been found.
    #[inline(always)]
    pub(super) fn word(&mut self, slot: usize) -> &mut NonZeroU64 {
        match &mut self.slots[slot].entry {
            Some((_, word)) => word,
            None => unreachable!("the slot of a key"),
        }
    }

    /// Adds a key that is not stored.
    pub(super) fn insert(&mut self, tag: u32, key: S, word: NonZeroU64) -> usize {
        let entry = Some((key, word));
        let slot = match self.vacant {
            END => {
                if self.slots.len() == self.slots.capacity() {
                    // Grows by an eighth and not by doubling, so that a key costs at most an eighth more than it needs.
                    self.slots.reserve_exact(self.slots.len() / 8 + 4);
                }
                self.slots.push(Slot { entry, tag, next: END });
                self.slots.len() - 1
            }
            vacant => {
                let slot = &mut self.slots[vacant as usize];
                self.vacant = slot.next;
                (slot.entry, slot.tag) = (entry, tag);
                vacant as usize
            }
        };
        if self.slots.len() > 4 * self.chains.len() {
            self.add_chains();
        } else {
            self.link(slot);
        }
        slot
    }

    /// Moves the hand over `chains`, and removes the entries whose word is `stale`, which may change it; `key` drops them.
    pub(super) fn sweep(
        &mut self,
        chains: usize,
        key: &mut impl Lookup<S>,
        mut stale: impl FnMut(&mut NonZeroU64) -> bool,
    ) -> usize {
        let mut removed = 0;
        for _ in 0..chains.min(self.chains.len()) {
            removed += self.sweep_one(self.hand, key, &mut stale);
            self.hand = if self.hand + 1 == self.chains.len() { 0 } else { self.hand + 1 };
        }
        removed
    }

    /// The same for the chain of a tag.
    pub(super) fn sweep_chain(
        &mut self,
        tag: u32,
        key: &mut impl Lookup<S>,
        mut stale: impl FnMut(&mut NonZeroU64) -> bool,
    ) -> usize {
        self.sweep_one(self.chain(tag), key, &mut stale)
    }

    /// Removes a key.
    pub(super) fn remove(&mut self, tag: u32, slot: usize, key: &mut impl Lookup<S>) {
        let (chain, mut before, mut at) = (self.chain(tag), END, self.chains[self.chain(tag)]);
        while at as usize != slot {
            (before, at) = (at, self.slots[at as usize].next);
        }
        self.unlink(chain, before, at, key);
    }

    #[inline]
    fn sweep_one(
        &mut self,
        chain: usize,
        key: &mut impl Lookup<S>,
        stale: &mut impl FnMut(&mut NonZeroU64) -> bool,
    ) -> usize {
        let (mut before, mut at, mut removed) = (END, self.chains[chain], 0);
        while let Some(Slot { entry: Some((_, word)), next, .. }) = self.slots.get_mut(at as usize) {
            let next = *next;
            if stale(word) {
                self.unlink(chain, before, at, key);
                removed += 1;
            } else {
                before = at;
            }
            at = next;
        }
        removed
    }

    /// Removes the slot behind `before` from a chain.
    fn unlink(&mut self, chain: usize, before: u32, at: u32, key: &mut impl Lookup<S>) {
        let slot = &mut self.slots[at as usize];
        let (entry, next) = (slot.entry.take(), slot.next);
        slot.next = self.vacant;
        self.vacant = at;
        match before {
            END => self.chains[chain] = next,
            before => self.slots[before as usize].next = next,
        }
        if let Some((stored, _)) = entry {
            key.discard(stored);
        }
    }

    fn link(&mut self, slot: usize) {
        let chain = self.chain(self.slots[slot].tag);
        self.slots[slot].next = self.chains[chain];
        self.chains[chain] = slot as u32;
    }

    /// Doubles the number of chains, so that they stay short.
    #[cold]
    fn add_chains(&mut self) {
        self.chains = vec![END; 2 * self.chains.len()].into();
        self.hand = 0;
        for slot in 0..self.slots.len() {
            if self.slots[slot].entry.is_some() {
                self.link(slot);
            }
        }
    }

    fn chain(&self, tag: u32) -> usize {
        ((u64::from(tag) * self.chains.len() as u64) >> 32) as usize
    }
}

#[cfg(test)]
mod tests;
