//! The identity of an item in hand.

/// An entry by its place and its number, since a place is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ItemKey {
    pub(crate) index: usize,
    pub(crate) number: u64,
}
