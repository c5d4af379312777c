//! A queue whose values can leave from anywhere.
//!
//! # How it works
//!
//! The values are nodes of a [`Slab`], linked in both directions by their keys: joining at the back, leaving from
//! anywhere and looking at the front take constant time. A node that has left the queue can keep its value under its
//! key until the value is removed; such a node is linked to itself.

use std::{iter, ops::Range};

use crate::Slab;

/// No node.
const NONE: usize = usize::MAX;

/// A first-in, first-out queue; each value has a key, under which it can leave at any time.
#[derive(Debug)]
pub struct LinkedQueue<T> {
    nodes: Slab<Node<T>>,
    front: usize,
    back: usize,
    len: usize,
}

#[derive(Debug)]
struct Node<T> {
    value: T,
    prev: usize,
    next: usize,
}

impl<T> LinkedQueue<T> {
    /// Returns an empty queue; it does not allocate.
    #[must_use]
    pub const fn new() -> Self {
        Self { nodes: Slab::new(), front: NONE, back: NONE, len: 0 }
    }

    /// Returns the number of values in the queue, without those that were unlinked.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether no value is in the queue.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a value at the back, and returns its key.
    #[inline]
    pub fn push_back(&mut self, value: T) -> usize {
        let prev = self.back;
        let key = self.nodes.insert(Node { value, prev, next: NONE });
        self.set_next(prev, key);
        self.back = key;
        self.len += 1;
        key
    }

    /// Adds a value in front of one that is in the queue, and returns its key.
    ///
    /// # Panics
    ///
    /// If the other key has no value.
    pub fn insert_before(&mut self, next: usize, value: T) -> usize {
        let prev = self.node(next).prev;
        let key = self.nodes.insert(Node { value, prev, next });
        self.node_mut(next).prev = key;
        self.set_next(prev, key);
        self.len += 1;
        key
    }

    /// Returns the key of the value at the front.
    #[must_use]
    pub fn front(&self) -> Option<usize> {
        Some(self.front).filter(|key| *key != NONE)
    }

    /// Returns the key behind one that is in the queue.
    ///
    /// # Panics
    ///
    /// If the key has no value.
    #[must_use]
    pub fn next(&self, key: usize) -> Option<usize> {
        Some(self.node(key).next).filter(|next| *next != NONE)
    }

    /// Returns the value of a key.
    ///
    /// # Panics
    ///
    /// If the key has no value.
    #[must_use]
    pub fn get(&self, key: usize) -> &T {
        &self.node(key).value
    }

    /// Returns the value of a key, to be changed.
    ///
    /// # Panics
    ///
    /// If the key has no value.
    pub fn get_mut(&mut self, key: usize) -> &mut T {
        &mut self.node_mut(key).value
    }

    /// Takes a value out of the queue, but keeps it under its key; returns whether it was in the queue.
    ///
    /// # Panics
    ///
    /// If the key has no value.
    pub fn unlink(&mut self, key: usize) -> bool {
        let node = self.node_mut(key);
        let (prev, next) = (node.prev, node.next);
        if next == key {
            return false;
        }
        (node.prev, node.next) = (key, key);
        self.set_next(prev, next);
        match next {
            NONE => self.back = prev,
            _ => self.node_mut(next).prev = prev,
        }
        self.len -= 1;
        true
    }

    /// Removes a value, from within the queue or unlinked.
    ///
    /// # Panics
    ///
    /// If the key has no value.
    #[inline]
    pub fn remove(&mut self, key: usize) -> T {
        self.unlink(key);
        self.nodes.remove(key).expect(HAS_VALUE).value
    }

    /// Removes a value as [`remove`](Self::remove) does, and drops it where it is: large values are not moved.
    ///
    /// # Panics
    ///
    /// If the key has no value.
    #[inline]
    pub fn discard(&mut self, key: usize) {
        self.unlink(key);
        self.nodes.discard(key);
    }

    /// Returns the queue from front to back.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        iter::successors(self.front(), |key| self.next(*key)).map(|key| (key, self.get(key)))
    }

    /// Returns all values, also the unlinked ones, in no particular order.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.nodes.iter().map(|node| &node.value)
    }

    /// Returns the number of entries in which values are, the vacant ones included.
    #[must_use]
    pub fn entry_count(&self) -> usize {
        self.nodes.entry_count()
    }

    /// Returns the values of these entries, also the unlinked ones, in no particular order.
    pub fn values_in(&self, entries: Range<usize>) -> impl Iterator<Item = &T> {
        self.nodes.values_in(entries).map(|node| &node.value)
    }

    /// Returns all values, also the unlinked ones, to be changed, in no particular order.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.nodes.iter_mut().map(|node| &mut node.value)
    }

    fn set_next(&mut self, prev: usize, next: usize) {
        match prev {
            NONE => self.front = next,
            _ => self.node_mut(prev).next = next,
        }
    }

    fn node(&self, key: usize) -> &Node<T> {
        self.nodes.get(key).expect(HAS_VALUE)
    }

    fn node_mut(&mut self, key: usize) -> &mut Node<T> {
        self.nodes.get_mut(key).expect(HAS_VALUE)
    }
}

const HAS_VALUE: &str = "a key is used until its value is removed";

impl<T> Default for LinkedQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_inserted_in_front_of_others() {
        let mut queue = LinkedQueue::new();
        let last = queue.push_back(4);
        let third = queue.insert_before(last, 3);
        let first = queue.insert_before(third, 1);
        queue.insert_before(third, 2);
        let values = |queue: &LinkedQueue<i32>| queue.iter().map(|(_, value)| *value).collect::<Vec<_>>();
        assert_eq!((values(&queue), queue.len()), (vec![1, 2, 3, 4], 4));
        queue.remove(third);
        queue.remove(first);
        queue.remove(last);
        assert_eq!((values(&queue), queue.len()), (vec![2], 1));
    }
}
