//! Values under small keys that are used again, each time with another generation.

/// Where a value is; a key of a removed value finds nothing, also when its slot has a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    index: u32,
    generation: u32,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    content: Content<T>,
}

#[derive(Debug)]
enum Content<T> {
    Value(T),
    // The next free slot.
    Free(Option<u32>),
}

#[derive(Debug)]
pub(super) struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Option<u32>,
    len: usize,
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self { slots: Vec::new(), free: None, len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn insert(&mut self, value: T) -> Key {
        self.len += 1;
        let Some(index) = self.free else {
            let index = u32::try_from(self.slots.len()).expect("fewer than 2^32 tasks are alive");
            self.slots.push(Slot { generation: 0, content: Content::Value(value) });
            return Key { index, generation: 0 };
        };
        let slot = &mut self.slots[index as usize];
        if let Content::Free(next) = slot.content {
            self.free = next;
        }
        slot.content = Content::Value(value);
        Key { index, generation: slot.generation }
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.slots.get_mut(key.index as usize)? {
            Slot { generation, content: Content::Value(value) } if *generation == key.generation => {
                Some(value)
            }
            _ => None,
        }
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        self.get_mut(key)?;
        let slot = &mut self.slots[key.index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        let content = std::mem::replace(&mut slot.content, Content::Free(self.free));
        self.free = Some(key.index);
        self.len -= 1;
        match content {
            Content::Value(value) => Some(value),
            Content::Free(_) => None,
        }
    }

    /// The values in the slots from `start` on, at most `slots` of them, and whether there are slots behind
    /// them.
    pub(super) fn range_mut(&mut self, start: usize, slots: usize) -> (impl Iterator<Item = &mut T>, bool) {
        let len = self.slots.len();
        let end = len.min(start.saturating_add(slots));
        let values = self.slots[start.min(end)..end].iter_mut().filter_map(|slot| match &mut slot.content {
            Content::Value(value) => Some(value),
            Content::Free(_) => None,
        });
        (values, end < len)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Random operations, against a list of everything that was ever inserted.
        #[test]
        fn a_key_finds_its_own_value_until_it_is_removed(
            operations in prop::collection::vec(any::<(bool, usize)>(), 1..200)
        ) {
            let mut slab = Slab::new();
            let mut inserted: Vec<(Key, bool)> = Vec::new();
            let mut most = 0;
            for (insert, pick) in operations {
                if insert || inserted.is_empty() {
                    inserted.push((slab.insert(inserted.len()), true));
                } else {
                    let index = pick % inserted.len();
                    let (key, live) = &mut inserted[index];
                    prop_assert_eq!(slab.remove(*key), live.then_some(index));
                    *live = false;
                }
                let live = inserted.iter().filter(|(_, live)| *live).count();
                most = most.max(live);
                prop_assert_eq!(slab.len(), live);
                for (index, (key, live)) in inserted.iter().enumerate() {
                    prop_assert_eq!(slab.get_mut(*key).copied(), live.then_some(index));
                }
            }
            prop_assert_eq!(slab.slots.len(), most);

            let mut expected: Vec<_> = (0..inserted.len()).filter(|index| inserted[*index].1).collect();
            let (mut found, mut start) = (Vec::new(), 0);
            loop {
                let (values, more) = slab.range_mut(start, 7);
                found.extend(values.map(|value| *value));
                start += 7;
                if !more {
                    break;
                }
            }
            found.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
            prop_assert!(slab.range_mut(start, 7).0.next().is_none());
        }
    }
}
