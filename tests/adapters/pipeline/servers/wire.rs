//! Items as bytes.

use evenkeel_tck::pipeline::Item;

/// The bytes for one of an item's size: what a server adds to a message is small beside it.
pub(crate) const UNIT: usize = 64;

pub(crate) fn encode(item: Item) -> Vec<u8> {
    let Item { number, part, key, size } = item;
    let mut bytes = format!("{number} {part} {key} {size} ").into_bytes();
    bytes.resize(bytes.len().max(size * UNIT), b'.');
    bytes
}

/// Reads an item.
///
/// # Panics
/// If these are not the bytes of one.
pub(crate) fn read(bytes: &[u8]) -> Item {
    let text = String::from_utf8_lossy(bytes);
    let mut numbers = text.split(' ').map(|number| number.parse::<usize>());
    let mut next = || match numbers.next() {
        Some(Ok(number)) => number,
        other => panic!("no number of an item: {other:?}"),
    };
    let (number, part, key, size) = (next() as u32, next() as u32, next() as u32, next());
    Item { number, part, key, size }
}
