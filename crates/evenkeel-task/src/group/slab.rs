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

/// How many slots are on a page.
pub(super) const PAGE: usize = 1024;

/// Slots on pages: a large one has no half of its room in reserve, and never moves.
#[derive(Debug)]
pub(super) struct Slab<T> {
    // All of them full but the last.
    pages: Vec<Vec<Slot<T>>>,
    free: Option<u32>,
    len: usize,
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self { pages: Vec::new(), free: None, len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn insert(&mut self, value: T) -> Key {
        self.len += 1;
        let Some(index) = self.free else { return self.push(value) };
        let slot = &mut self.pages[index as usize / PAGE][index as usize % PAGE];
        if let Content::Free(next) = slot.content {
            self.free = next;
        }
        slot.content = Content::Value(value);
        Key { index, generation: slot.generation }
    }

    fn push(&mut self, value: T) -> Key {
        if self.pages.last().is_none_or(|page| page.len() == PAGE) {
            // The first one grows, as most groups are small.
            let room = if self.pages.is_empty() { 0 } else { PAGE };
            self.pages.push(Vec::with_capacity(room));
        }
        let last = self.pages.len() - 1;
        let page = &mut self.pages[last];
        let index = u32::try_from(last * PAGE + page.len()).expect("fewer than 2^32 tasks are alive");
        page.push(Slot { generation: 0, content: Content::Value(value) });
        Key { index, generation: 0 }
    }

    fn slot(&mut self, key: Key) -> Option<&mut Slot<T>> {
        self.pages.get_mut(key.index as usize / PAGE)?.get_mut(key.index as usize % PAGE)
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.slot(key)? {
            Slot { generation, content: Content::Value(value) } if *generation == key.generation => {
                Some(value)
            }
            _ => None,
        }
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        let free = self.free;
        let slot = self.slot(key).filter(|slot| slot.generation == key.generation)?;
        if let Content::Free(_) = slot.content {
            return None;
        }
        slot.generation = slot.generation.wrapping_add(1);
        let content = std::mem::replace(&mut slot.content, Content::Free(free));
        self.free = Some(key.index);
        self.len -= 1;
        match content {
            Content::Value(value) => Some(value),
            Content::Free(_) => None,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flatten().filter_map(|slot| match &slot.content {
            Content::Value(value) => Some(value),
            Content::Free(_) => None,
        })
    }

    /// The values on a page, and whether there are pages behind it.
    pub(super) fn page_mut(&mut self, page: usize) -> (impl Iterator<Item = &mut T>, bool) {
        let more = page + 1 < self.pages.len();
        let slots = self.pages.get_mut(page).into_iter().flatten();
        let values = slots.filter_map(|slot| match &mut slot.content {
            Content::Value(value) => Some(value),
            Content::Free(_) => None,
        });
        (values, more)
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
            prop_assert_eq!(slab.pages.iter().map(Vec::len).sum::<usize>(), most);

            let mut expected: Vec<_> = (0..inserted.len()).filter(|index| inserted[*index].1).collect();
            expected.sort_unstable();
            let mut found: Vec<_> = slab.iter().copied().collect();
            found.sort_unstable();
            prop_assert_eq!(&found, &expected);
            let (values, more) = slab.page_mut(0);
            let mut found: Vec<_> = values.map(|value| *value).collect();
            found.sort_unstable();
            prop_assert_eq!((found, more), (expected, false));
        }
    }

    #[test]
    fn pages_are_filled_one_after_another() {
        let mut slab = Slab::new();
        let keys: Vec<_> = (0..2 * PAGE + 7).map(|value| slab.insert(value)).collect();
        assert_eq!(slab.pages.iter().map(Vec::len).collect::<Vec<_>>(), [PAGE, PAGE, 7]);
        assert_eq!(slab.pages[1].capacity(), PAGE);
        let more: Vec<_> = (0..4).map(|page| slab.page_mut(page).1).collect();
        assert_eq!(more, [true, true, false, false]);
        assert!(slab.page_mut(1).0.map(|value| *value).eq(PAGE..2 * PAGE));
        assert_eq!(slab.page_mut(3).0.count(), 0);
        assert_eq!(slab.remove(keys[PAGE + 1]), Some(PAGE + 1));
        assert_eq!(slab.remove(keys[PAGE + 1]), None);
        assert_eq!(slab.insert(5), Key { generation: 1, ..keys[PAGE + 1] });
        assert_eq!((slab.len(), slab.get_mut(keys[PAGE + 1])), (2 * PAGE + 7, None));
    }
}
