//! Keys and a word for each.

use std::num::NonZeroU64;

/// A hash table of a fixed size, with linear probing, in which a hand goes round.
///
/// It is allocated once. A slot takes no more than the key and the word.
#[derive(Debug)]
pub(super) struct Table<K> {
    slots: Box<[Option<(K, NonZeroU64)>]>,
    len: usize,
    hand: usize,
}

impl<K: Eq> Table<K> {
    /// For so many keys, and a third more slots.
    pub(super) fn new(keys: usize) -> Self {
        let slots = keys + keys / 3 + 1;
        Self { slots: (0..slots).map(|_| None).collect(), len: 0, hand: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The word of the key that has this hash, if `is` says that it is this one.
    pub(super) fn find(&mut self, hash: u64, is: impl Fn(&K) -> bool) -> Option<&mut NonZeroU64> {
        let mut place = self.home(hash);
        while let Some((key, _)) = &self.slots[place] {
            if is(key) {
                return self.slots[place].as_mut().map(|(_, word)| word);
            }
            place = self.behind(place);
        }
        None
    }

    /// Adds a key that is not there. There must be room.
    pub(super) fn insert(&mut self, hash: u64, key: K, word: NonZeroU64) {
        let mut place = self.home(hash);
        while self.slots[place].is_some() {
            place = self.behind(place);
        }
        self.slots[place] = Some((key, word));
        self.len += 1;
    }

    /// Lets the hand pass over so many slots, and removes those that are `stale`.
    pub(super) fn sweep(
        &mut self,
        slots: usize,
        hash: impl Fn(&K) -> u64,
        mut stale: impl FnMut(NonZeroU64) -> bool,
    ) {
        for _ in 0..slots {
            match &self.slots[self.hand] {
                // Another may have moved here.
                Some((_, word)) if stale(*word) => self.remove(self.hand, &hash),
                _ => self.hand = self.behind(self.hand),
            }
        }
    }

    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Empties a slot, and moves those up that would not be found any longer.
    fn remove(&mut self, place: usize, hash: impl Fn(&K) -> u64) {
        let mut gap = place;
        self.slots[gap] = None;
        self.len -= 1;
        let mut next = self.behind(gap);
        while let Some((key, _)) = &self.slots[next] {
            let home = self.home(hash(key));
            // Whether the gap lies between its home and its place.
            let size = self.slots.len();
            if (next + size - home) % size >= (next + size - gap) % size {
                self.slots.swap(gap, next);
                gap = next;
            }
            next = self.behind(next);
        }
    }

    /// By the upper half of the hash, of which the lower half chooses the shard.
    fn home(&self, hash: u64) -> usize {
        (((hash >> 32) * self.slots.len() as u64) >> 32) as usize
    }

    fn behind(&self, place: usize) -> usize {
        if place + 1 == self.slots.len() { 0 } else { place + 1 }
    }
}

#[cfg(test)]
mod tests;
