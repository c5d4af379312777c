//! The table, compared with a map.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{super::key::PlainKey, *};

/// Few tags, so that many keys share a chain and a tag.
fn tag(key: u8) -> u32 {
    u32::from(key / 16) << 28
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn is_a_map(
        room in 0..50_usize,
        steps in prop::collection::vec((any::<u8>(), 0..6_usize, 0..8_u64, any::<bool>()), 1..300),
    ) {
        let (mut table, mut map) = (Table::new(room), BTreeMap::new());
        let find = |table: &mut Table<u8>, key: u8| {
            let slot = table.find(tag(key), &mut PlainKey(&key)).expect("a plain key");
            slot.map(|slot| (slot, table.word(slot).get()))
        };
        for (key, sweep, stale, removes) in steps {
            let found = find(&mut table, key);
            prop_assert_eq!(found.map(|(_, word)| word), map.get(&key).copied());
            match found {
                None => {
                    let word = u64::from(key % 8) + 1;
                    table.insert(tag(key), key, NonZeroU64::new(word).unwrap());
                    map.insert(key, word);
                }
                Some((slot, _)) if removes => {
                    table.remove(tag(key), slot, &mut PlainKey(&key));
                    map.remove(&key);
                }
                Some(_) => {}
            }
            let is_stale = |word: &mut NonZeroU64| word.get() == stale;
            let mut removed = table.sweep(sweep, &mut PlainKey(&key), is_stale);
            removed += table.sweep_chain(tag(key), &mut PlainKey(&key), is_stale);
            let before = map.len();
            map.retain(|&key, _| find(&mut table, key).is_some());
            prop_assert_eq!(map.len(), before - removed);
        }
        // A full round of the hand passes all keys.
        prop_assert_eq!(table.sweep(table.chains(), &mut PlainKey(&0_u8), |_| true), map.len());
    }
}

/// The number of keys does not change how many others a search passes.
#[test]
fn chains_stay_short() {
    let mut table = Table::new(0);
    for key in 0..10_000_u32 {
        let tag = key.wrapping_mul(0x9e37_79b9);
        table.insert(tag, key, NonZeroU64::MIN);
        assert!(table.slots.len() <= 4 * table.chains.len());
        assert!(table.slots.capacity() <= key as usize * 9 / 8 + 5);
    }
}
