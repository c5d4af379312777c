//! Values under small keys that are used again, on pages of 1024 slots.
//!
//! It differs from the slab of evenkeel-base in its pages: a large group is aborted page by page, with the lock released
//! between, and no insert copies all values or reserves twice the room.

use std::mem;
#[cfg(feature = "inspect")]
use std::ops::Range;

#[derive(Debug)]
enum Slot<T> {
    Value(T),
    // The next free slot.
    Free(Option<u32>),
}

impl<T> Slot<T> {
    fn into_value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Free(_) => None,
        }
    }

    fn value_mut(&mut self) -> Option<&mut T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Free(_) => None,
        }
    }
}

/// The number of slots of a page.
const PAGE: usize = 1024;

#[derive(Debug)]
pub(crate) struct PagedSlab<T> {
    // All of them are full but the last.
    pages: Vec<Vec<Slot<T>>>,
    free: Option<u32>,
    // The number of values.
    #[cfg(feature = "inspect")]
    live: usize,
}

impl<T> Default for PagedSlab<T> {
    fn default() -> Self {
        Self {
            pages: Vec::new(),
            free: None,
            #[cfg(feature = "inspect")]
            live: 0,
        }
    }
}

impl<T> PagedSlab<T> {
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        #[cfg(feature = "inspect")]
        {
            self.live += 1;
        }
        let Some(index) = self.free else { return self.push(value) };
        let slot = &mut self.pages[index as usize / PAGE][index as usize % PAGE];
        if let Slot::Free(next) = *slot {
            self.free = next;
        }
        *slot = Slot::Value(value);
        index
    }

    fn push(&mut self, value: T) -> u32 {
        if self.pages.last().is_none_or(|page| page.len() == PAGE) {
            // The first page grows, as most groups are small.
            let room = if self.pages.is_empty() { 0 } else { PAGE };
            self.pages.push(Vec::with_capacity(room));
        }
        let last = self.pages.len() - 1;
        let page = &mut self.pages[last];
        let index = u32::try_from(last * PAGE + page.len()).expect("fewer than 2^32 values");
        page.push(Slot::Value(value));
        index
    }

    fn slot(&mut self, index: u32) -> Option<&mut Slot<T>> {
        self.pages.get_mut(index as usize / PAGE)?.get_mut(index as usize % PAGE)
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.slot(index)?.value_mut()
    }

    pub(crate) fn remove(&mut self, index: u32) -> Option<T> {
        let free = self.free;
        let slot = self.slot(index)?;
        if let Slot::Free(_) = slot {
            return None;
        }
        let slot = mem::replace(slot, Slot::Free(free));
        self.free = Some(index);
        #[cfg(feature = "inspect")]
        {
            self.live -= 1;
        }
        slot.into_value()
    }

    /// Removes and returns all values of the first page that is not empty.
    ///
    /// Nothing may be inserted after that: the keys of the page are not used again.
    pub(crate) fn take_page(&mut self) -> Option<impl Iterator<Item = T> + use<T>> {
        self.free = None;
        let page = self.pages.iter_mut().find(|page| !page.is_empty())?;
        Some(mem::take(page).into_iter().filter_map(Slot::into_value))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flatten().filter_map(|slot| match slot {
            Slot::Value(value) => Some(value),
            Slot::Free(_) => None,
        })
    }

    /// Returns the values in these slots.
    #[cfg(feature = "inspect")]
    pub(crate) fn values_in(&self, slots: Range<usize>) -> impl Iterator<Item = &T> {
        slots.filter_map(|slot| match self.pages.get(slot / PAGE)?.get(slot % PAGE)? {
            Slot::Value(value) => Some(value),
            Slot::Free(_) => None,
        })
    }

    /// Returns the number of values, while no page was taken.
    #[cfg(feature = "inspect")]
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// Returns the number of slots, the free ones included.
    #[cfg(feature = "inspect")]
    pub(crate) fn slot_count(&self) -> usize {
        self.pages.last().map_or(0, |last| (self.pages.len() - 1) * PAGE + last.len())
    }

    pub(crate) fn page_count(&self) -> usize {
        self.pages.len()
    }

    pub(crate) fn page_mut(&mut self, page: usize) -> impl Iterator<Item = &mut T> {
        self.pages.get_mut(page).into_iter().flatten().filter_map(Slot::value_mut)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Random operations, against a list of what is in it.
        #[test]
        fn a_number_finds_its_own_value_until_it_is_removed(
            operations in prop::collection::vec(any::<(bool, usize)>(), 1..200)
        ) {
            let mut slab = PagedSlab::default();
            let mut live: Vec<(u32, usize)> = Vec::new();
            let mut most = 0;
            for (value, (insert, pick)) in operations.into_iter().enumerate() {
                if insert || live.is_empty() {
                    let index = slab.insert(value);
                    prop_assert!(live.iter().all(|(other, _)| *other != index));
                    live.push((index, value));
                } else {
                    let (index, value) = live.swap_remove(pick % live.len());
                    prop_assert_eq!(slab.remove(index), Some(value));
                    prop_assert_eq!((slab.remove(index), slab.get_mut(index)), (None, None));
                }
                most = most.max(live.len());
                for (index, value) in &mut live {
                    prop_assert_eq!(slab.get_mut(*index), Some(value));
                }
            }
            prop_assert_eq!(slab.pages.iter().map(Vec::len).sum::<usize>(), most);

            let mut expected: Vec<_> = live.into_iter().map(|(_, value)| value).collect();
            expected.sort_unstable();
            let mut found: Vec<_> = slab.iter().copied().collect();
            found.sort_unstable();
            prop_assert_eq!(&found, &expected);
            let mut found: Vec<_> = slab.page_mut(0).map(|value| *value).collect();
            found.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn pages_are_filled_one_after_another() {
        let mut slab = PagedSlab::default();
        let keys: Vec<_> = (0..2 * PAGE + 7).map(|value| slab.insert(value)).collect();
        assert_eq!(slab.pages.iter().map(Vec::len).collect::<Vec<_>>(), [PAGE, PAGE, 7]);
        assert_eq!(slab.pages[1].capacity(), PAGE);
        assert!(slab.page_mut(1).map(|value| *value).eq(PAGE..2 * PAGE));
        assert_eq!((slab.page_count(), slab.page_mut(3).count()), (3, 0));
        assert_eq!(slab.remove(keys[PAGE + 1]), Some(PAGE + 1));
        assert_eq!(slab.insert(5), keys[PAGE + 1]);

        assert!(slab.take_page().unwrap().eq(0..PAGE));
        assert_eq!((slab.remove(keys[1]), slab.remove(keys[2 * PAGE])), (None, Some(2 * PAGE)));
        assert_eq!(slab.take_page().unwrap().count(), PAGE);
        assert!(slab.take_page().unwrap().eq(2 * PAGE + 1..2 * PAGE + 7));
        assert!(slab.take_page().is_none());
    }
}
