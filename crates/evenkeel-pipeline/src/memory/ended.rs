//! The deliveries that have ended their messages.

use std::collections::{BTreeSet, VecDeque};

/// The words of bits that are kept: for 262,144 deliveries.
const WORDS: usize = 4096;

/// The most deliveries that are kept although later ones have taken the place of their bits.
const OLDER: usize = 10_000;

/// Remembers which deliveries were acked or terminated, since a settlement whose answer was lost comes once more: it is to
/// be told from the late one of another delivery of the same message. Its memory is bounded; the oldest are forgotten.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// The number of the first word.
    first: u64,
    words: VecDeque<u64>,
    older: BTreeSet<u64>,
}

impl Ended {
    pub(super) fn insert(&mut self, delivery: u64) {
        let word = delivery / 64;
        if self.words.is_empty() {
            self.first = word;
        }
        let Some(index) = word.checked_sub(self.first) else {
            self.older.insert(delivery);
            if self.older.len() > OLDER {
                self.older.pop_first();
            }
            return;
        };
        let mut index = usize::try_from(index).unwrap_or(usize::MAX - 1);
        if index >= self.words.len() {
            let gone = (index + 1).saturating_sub(WORDS);
            self.words.drain(..gone.min(self.words.len()));
            self.first += gone as u64;
            index -= gone;
            self.words.resize(index + 1, 0);
        }
        self.words[index] |= 1 << (delivery % 64);
    }

    /// Forgets a delivery.
    pub(super) fn remove(&mut self, delivery: u64) {
        let index = (delivery / 64).checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        if let Some(word) = index.and_then(|index| self.words.get_mut(index)) {
            *word &= !(1 << (delivery % 64));
        }
        self.older.remove(&delivery);
    }

    pub(super) fn contains(&self, delivery: u64) -> bool {
        let word = (delivery / 64).checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        let word = word.and_then(|index| self.words.get(index));
        word.is_some_and(|word| word & (1 << (delivery % 64)) != 0) || self.older.contains(&delivery)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn deliveries_are_known_in_any_order_and_the_memory_is_bounded() {
        let (mut ended, mut model) = (Ended::default(), BTreeSet::new());
        let numbers = [700_000, 1, 63, 64, 65, 2, 699_999, 1_200_000, 700_001, 3, 1_200_064];
        for number in numbers {
            assert!(!ended.contains(number));
            ended.insert(number);
            model.insert(number);
            assert!(ended.words.len() <= WORDS);
        }
        // Their words had to go for later ones.
        for number in [700_000, 699_999] {
            assert!(model.remove(&number));
        }
        assert!((0..1_300_000).all(|number| ended.contains(number) == model.contains(&number)));
        for number in 0..20_000 {
            ended.insert(number);
        }
        assert!(ended.older.len() <= OLDER && ended.contains(19_999) && !ended.contains(5));
    }
}
