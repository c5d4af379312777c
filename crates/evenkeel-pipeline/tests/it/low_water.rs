//! The low-water mark against a set of all positions that are not settled.

use std::collections::BTreeSet;

use evenkeel_pipeline::LowWaterMark;
use proptest::prelude::*;

proptest! {
    #[test]
    fn the_mark_is_the_first_position_of_a_set_of_the_unsettled(
        start in 0_u64..100,
        steps in proptest::collection::vec((any::<bool>(), 0_u64..3, any::<prop::sample::Index>()), 1..200),
    ) {
        let mut mark = LowWaterMark::new(start);
        // The model: what was begun and is not settled, and the position behind all that was begun.
        let (mut open, mut next, mut stored) = (BTreeSet::new(), start, start);
        for (begins, gap, which) in steps {
            if begins || open.is_empty() {
                let position = next + gap;
                mark.begin(position);
                open.insert(position);
                next = position + 1;
            } else {
                let position = *which.get(&open.iter().copied().collect::<Vec<_>>());
                open.remove(&position);
                let moved = mark.settle(position);
                let expected = open.first().copied().unwrap_or(next);
                prop_assert_eq!(moved, (expected > stored).then_some(expected));
                stored = stored.max(expected);
            }
            prop_assert_eq!(mark.get(), stored);
            prop_assert_eq!(mark.in_hand(), open.len());
            // A crash here reads again all that is not settled.
            prop_assert!(open.iter().all(|position| *position >= mark.get()));
        }
    }
}

#[test]
fn deliveries_of_one_position_are_settled_each_and_others_change_nothing() {
    let mut mark = LowWaterMark::new(5);
    mark.begin(5);
    mark.begin(5);
    mark.begin(7);
    assert_eq!(mark.settle(6), None);
    assert_eq!(mark.settle(5), None);
    assert_eq!(mark.settle(5), Some(7));
    assert_eq!(mark.settle(5), None);
    // It is below the mark: done.
    mark.begin(6);
    assert_eq!((mark.in_hand(), mark.settle(7)), (1, Some(8)));
    mark.begin(u64::MAX);
    assert_eq!((mark.settle(u64::MAX), mark.get()), (Some(u64::MAX), u64::MAX));
}
