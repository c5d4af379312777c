//! The table, against a map.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Few homes, so that many meet.
fn hash(key: u8) -> u64 {
    u64::from(key / 16) << 60
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn is_a_map(steps in prop::collection::vec((any::<u8>(), 0..6_usize, 0..8_u64), 1..300)) {
        let (mut table, mut map) = (Table::new(40), BTreeMap::new());
        for (key, sweep, stale) in steps {
            let found = table.find(hash(key), |other| *other == key).map(|word| word.get());
            prop_assert_eq!(found, map.get(&key).copied());
            if found.is_none() && table.len() < 40 {
                let word = u64::from(key % 8) + 1;
                table.insert(hash(key), key, NonZeroU64::new(word).unwrap());
                map.insert(key, word);
            }
            let mut removed = 0;
            table.sweep(sweep, |&key| hash(key), |word| {
                let is_stale = word.get() == stale;
                removed += usize::from(is_stale);
                is_stale
            });
            let before = map.len();
            map.retain(|&key, _| table.find(hash(key), |other| *other == key).is_some());
            prop_assert_eq!((table.len(), map.len()), (map.len(), before - removed));
        }
        // The hand comes to all of them.
        table.sweep(2 * table.slots(), |&key| hash(key), |_| true);
        prop_assert_eq!(table.len(), 0);
    }
}
