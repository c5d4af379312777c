//! Order within a key: the keys of the items, and the items that wait for the one before them.
//!
//! # How it works
//!
//! A user's `Hash`, `Eq` and `Drop` do not run under the lock. So there are two halves: [`KeyIndex`], from a key to a
//! number, belongs to the source and is used by the one that polls it; [`KeyQueues`], from this number to the items that wait, is
//! behind the lock. Only the first half gives numbers to keys. So a number whose key has no item stays as it is
//! until the first half forgets the key, which it does when there are more keys without items than with.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// The fewest keys without items that are worth a clean-up.
const MIN_IDLE: usize = 8;

/// From an item to the number of its key.
pub(crate) trait KeyIndex<I> {
    /// Returns the number of the key of an item; an item without a key waits for none.
    fn number(&mut self, item: &I) -> Option<usize>;

    /// Forgets the keys with these numbers, which are in ascending order.
    fn forget(&mut self, numbers: Vec<usize>);
}

pub(crate) struct Keys<K, F> {
    key: F,
    numbers: HashMap<K, usize>,
    /// Numbers that have no key.
    free: Vec<usize>,
}

impl<K, F> Keys<K, F> {
    pub(crate) fn new(key: F) -> Self {
        Self { key, numbers: HashMap::new(), free: Vec::new() }
    }
}

impl<I, K: Hash + Eq, F: FnMut(&I) -> Option<K>> KeyIndex<I> for Keys<K, F> {
    fn number(&mut self, item: &I) -> Option<usize> {
        let key = (self.key)(item)?;
        // Each number below the sum has a key or is free.
        let next = self.numbers.len() + self.free.len();
        let free = &mut self.free;
        Some(*self.numbers.entry(key).or_insert_with(|| free.pop().unwrap_or(next)))
    }

    fn forget(&mut self, numbers: Vec<usize>) {
        self.numbers.retain(|_, number| numbers.binary_search(number).is_err());
        self.free.extend(numbers);
    }
}

/// The items that wait for the one before them with the same key.
#[derive(Debug)]
pub(super) struct KeyQueues<J> {
    queues: Vec<KeyQueue<J>>,
    /// The keys that have an item, and those that have none and are not forgotten yet.
    busy: usize,
    idle: usize,
}

#[derive(Debug)]
enum KeyQueue<J> {
    /// The number has no key.
    Free,
    /// The key has no item.
    Idle,
    /// An item of the key was passed on and has not ended; these wait for it.
    Busy(VecDeque<J>),
}

impl<J> KeyQueues<J> {
    pub(super) const fn new() -> Self {
        Self { queues: Vec::new(), busy: 0, idle: 0 }
    }

    /// Returns the item if it need not wait.
    pub(super) fn enter(&mut self, key: usize, item: J) -> Option<J> {
        while self.queues.len() <= key {
            self.queues.push(KeyQueue::Free);
        }
        let queue = &mut self.queues[key];
        match queue {
            KeyQueue::Busy(waiting) => {
                waiting.push_back(item);
                return None;
            }
            KeyQueue::Idle => self.idle -= 1,
            KeyQueue::Free => {}
        }
        *queue = KeyQueue::Busy(VecDeque::new());
        self.busy += 1;
        Some(item)
    }

    /// Notes that an item of this key has ended, and returns the next one.
    pub(super) fn leave(&mut self, key: usize) -> Option<J> {
        let queue = self.queues.get_mut(key)?;
        if let KeyQueue::Busy(waiting) = queue {
            if let Some(next) = waiting.pop_front() {
                return Some(next);
            }
            *queue = KeyQueue::Idle;
            self.busy -= 1;
            self.idle += 1;
        }
        None
    }

    /// Returns the numbers of the keys to forget, in ascending order, if there are enough of them.
    pub(super) fn take_idle(&mut self) -> Option<Vec<usize>> {
        if self.idle < self.busy.max(MIN_IDLE) {
            return None;
        }
        let mut numbers = Vec::with_capacity(self.idle);
        for (number, queue) in self.queues.iter_mut().enumerate() {
            if matches!(queue, KeyQueue::Idle) {
                *queue = KeyQueue::Free;
                numbers.push(number);
            }
        }
        self.idle = 0;
        Some(numbers)
    }

    /// Takes all items that wait.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = J> + use<J> {
        let queues = std::mem::take(&mut self.queues);
        (self.busy, self.idle) = (0, 0);
        queues.into_iter().flat_map(|queue| match queue {
            KeyQueue::Busy(waiting) => waiting,
            KeyQueue::Free | KeyQueue::Idle => VecDeque::new(),
        })
    }
}
