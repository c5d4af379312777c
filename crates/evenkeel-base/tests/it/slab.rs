//! The slab against a model.

use evenkeel_base::Slab;
use proptest::prelude::*;

proptest! {
    /// Random operations, against a list of the values that are in it.
    #[test]
    fn a_key_finds_its_own_value_until_it_is_removed(
        operations in prop::collection::vec(any::<(bool, usize)>(), 1..200)
    ) {
        let mut slab = Slab::new();
        let mut live: Vec<(usize, usize)> = Vec::new();
        let mut most = 0;
        for (value, (insert, pick)) in operations.into_iter().enumerate() {
            if insert || live.is_empty() {
                let key = slab.insert(value);
                prop_assert!(live.iter().all(|(other, _)| *other != key));
                    prop_assert!(key < most.max(live.len() + 1), "keys are used again");
                live.push((key, value));
            } else {
                let (key, value) = live.swap_remove(pick % live.len());
                if pick % 3 == 0 {
                    slab.discard(key);
                } else {
                    prop_assert_eq!(slab.remove(key), Some(value));
                }
                slab.discard(key);
                prop_assert_eq!(slab.remove(key), None);
                    prop_assert_eq!(slab.get(key), None);
                    prop_assert_eq!(slab.get_mut(key), None);
            }
            most = if live.is_empty() { 0 } else { most.max(live.len()) };
            prop_assert_eq!((slab.len(), slab.is_empty()), (live.len(), live.is_empty()));
            for (key, value) in &mut live {
                prop_assert_eq!(slab.get(*key), Some(&*value));
                prop_assert_eq!(slab.get_mut(*key), Some(value));
            }
        }
        let mut expected: Vec<_> = live.into_iter().map(|(_, value)| value).collect();
        expected.sort_unstable();
        let mut found: Vec<_> = slab.iter().copied().collect();
        found.sort_unstable();
        prop_assert_eq!(&found, &expected);
        found = slab.iter_mut().map(|value| *value).collect();
        found.sort_unstable();
        prop_assert_eq!(found, expected);
    }
}
