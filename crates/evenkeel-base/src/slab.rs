//! Values under small keys that are used again.

use std::{mem, ops::Range};

/// The entries that stay allocated while there is no value.
const SPARE: usize = 64;

/// No entry.
const NONE: usize = usize::MAX;

/// A vector of values and vacant entries; the vacant ones form a list, through which their keys are used again.
///
/// The entries are freed, but for a few, when the last value is removed.
#[derive(Debug)]
pub struct Slab<T> {
    entries: Vec<Entry<T>>,
    vacant: usize,
    len: usize,
}

#[derive(Debug)]
enum Entry<T> {
    Value(T),
    Vacant { next: usize },
}

impl<T> Slab<T> {
    /// Returns a slab without values; it does not allocate.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Vec::new(), vacant: NONE, len: 0 }
    }

    /// Returns the number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a value, and returns its key.
    #[inline]
    pub fn insert(&mut self, value: T) -> usize {
        self.len += 1;
        if let Some(entry) = self.entries.get_mut(self.vacant) {
            let key = self.vacant;
            if let Entry::Vacant { next } = mem::replace(entry, Entry::Value(value)) {
                self.vacant = next;
            }
            key
        } else {
            self.entries.push(Entry::Value(value));
            self.entries.len() - 1
        }
    }

    /// Returns the value of a key.
    #[must_use]
    pub fn get(&self, key: usize) -> Option<&T> {
        self.entries.get(key)?.value()
    }

    /// Returns the value of a key, to be changed.
    pub fn get_mut(&mut self, key: usize) -> Option<&mut T> {
        match self.entries.get_mut(key)? {
            Entry::Value(value) => Some(value),
            Entry::Vacant { .. } => None,
        }
    }

    /// Removes the value of a key.
    #[inline]
    pub fn remove(&mut self, key: usize) -> Option<T> {
        let entry = self.entries.get_mut(key)?;
        let value = match mem::replace(entry, Entry::Vacant { next: self.vacant }) {
            Entry::Value(value) => value,
            vacant => {
                *entry = vacant;
                return None;
            }
        };
        self.vacated(key);
        Some(value)
    }

    /// Removes the value of a key, if it has one, and drops it where it is: large values are not moved.
    #[inline]
    pub fn discard(&mut self, key: usize) {
        if let Some(entry @ Entry::Value(_)) = self.entries.get_mut(key) {
            *entry = Entry::Vacant { next: self.vacant };
            self.vacated(key);
        }
    }

    #[inline]
    fn vacated(&mut self, key: usize) {
        self.vacant = key;
        self.len -= 1;
        if self.len == 0 {
            self.entries.clear();
            self.entries.shrink_to(SPARE);
            self.vacant = NONE;
        }
    }

    /// Returns all values, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().filter_map(Entry::value)
    }

    /// Returns the number of entries, the vacant ones included.
    #[must_use]
    pub fn entry_count(&self) -> usize {
        self.entries.len()
    }

    /// Returns the values of these entries: all of a slab, a part at a time.
    pub fn values_in(&self, entries: Range<usize>) -> impl Iterator<Item = &T> {
        let end = entries.end.min(self.entries.len());
        self.entries.get(entries.start..end).unwrap_or_default().iter().filter_map(Entry::value)
    }

    /// Returns all values with their keys, in no particular order.
    pub fn iter_keyed(&self) -> impl Iterator<Item = (usize, &T)> {
        self.entries.iter().enumerate().filter_map(|(key, entry)| Some((key, entry.value()?)))
    }

    /// Returns all values with their keys, to be changed, in no particular order.
    pub fn iter_keyed_mut(&mut self) -> impl Iterator<Item = (usize, &mut T)> {
        self.entries.iter_mut().enumerate().filter_map(|(key, entry)| match entry {
            Entry::Value(value) => Some((key, value)),
            Entry::Vacant { .. } => None,
        })
    }

    /// Takes all values, in no particular order.
    pub fn into_values(self) -> impl Iterator<Item = T> {
        self.entries.into_iter().filter_map(|entry| match entry {
            Entry::Value(value) => Some(value),
            Entry::Vacant { .. } => None,
        })
    }

    /// Returns all values, to be changed, in no particular order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.iter_mut().filter_map(|entry| match entry {
            Entry::Value(value) => Some(value),
            Entry::Vacant { .. } => None,
        })
    }
}

impl<T> Entry<T> {
    fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Vacant { .. } => None,
        }
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_crowd_is_freed_behind_it() {
        let mut slab = Slab::new();
        let keys: Vec<_> = (0..10_000).map(|value| slab.insert(value)).collect();
        for key in keys {
            slab.remove(key);
        }
        assert!(slab.entries.capacity() <= SPARE);
    }
}
