//! The places of calls, by their addresses: an atomic word can hold the address of a place, and not the place.
//!
//! # How it works
//!
//! A table in blocks, without a lock and without an end. Where a place stands in a block is known from its address; if others
//! have taken all of the few entries there, it is looked for in the next block. Nothing is ever taken out: there are as many
//! places as there are calls in the source of a program.

use std::{panic::Location, ptr, sync::OnceLock};

/// A place in the source.
pub(super) type Place = &'static Location<'static>;

const ENTRIES: usize = 64;

/// The entries of a block that a place may have.
const TRIED: usize = 4;

/// The places that were noted.
pub(super) static PLACES: Places = Places::new();

#[derive(Debug)]
pub(super) struct Places {
    entries: [OnceLock<Place>; ENTRIES],
    more: OnceLock<Box<Places>>,
}

/// Returns the address of a place.
#[inline]
pub(super) fn address(place: Place) -> u64 {
    ptr::from_ref(place).addr() as u64
}

impl Places {
    const fn new() -> Self {
        Self { entries: [const { OnceLock::new() }; ENTRIES], more: OnceLock::new() }
    }

    /// Notes a place, and returns its address.
    pub(super) fn note(&self, place: Place) -> u64 {
        let mut block = self;
        loop {
            let mut entries = tried(address(place)).map(|entry| &block.entries[entry]);
            if entries.any(|entry| ptr::eq(*entry.get_or_init(|| place), place)) {
                return address(place);
            }
            block = block.more.get_or_init(|| Box::new(Self::new()));
        }
    }

    /// Returns the place with this address, if it was noted.
    pub(super) fn get(&self, of: u64) -> Option<Place> {
        let mut block = self;
        loop {
            let mut entries = tried(of).filter_map(|entry| block.entries[entry].get());
            if let Some(place) = entries.find(|place| address(place) == of) {
                return Some(place);
            }
            block = block.more.get()?;
        }
    }
}

/// Returns the entries of a block at which a place with this address may be.
fn tried(address: u64) -> impl Iterator<Item = usize> {
    // Fibonacci hashing (Knuth, The Art of Computer Programming, volume 3, section 6.4).
    let first = (address.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize;
    (0..TRIED).map(move |next| first.wrapping_add(next) % ENTRIES)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn more_places_than_a_block_has_are_found_again() {
        // Places that a program would have in its source.
        let places: Vec<Place> =
            (0..20 * ENTRIES).map(|_| &*Box::leak(Box::new(*Location::caller()))).collect();
        let table = Places::new();
        for place in &places {
            assert!(table.get(address(place)).is_none());
            assert_eq!(table.note(place), table.note(place));
        }
        let addresses: HashSet<_> = places.iter().map(|place| address(place)).collect();
        assert_eq!(addresses.len(), places.len());
        assert!(places.iter().all(|place| ptr::eq(table.get(address(place)).unwrap(), *place)));
        assert!(table.get(0).is_none());
    }
}
