//! Strategies for property tests.

use std::time::Duration;

use evenkeel_testkit::strategy::{interleaving, latency};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

use crate::{MS, SECOND};

proptest! {
    #[test]
    fn latencies_are_whole_milliseconds_up_to_the_most(latency in latency(SECOND)) {
        prop_assert!(latency <= SECOND);
        prop_assert_eq!(latency.subsec_nanos() % 1_000_000, 0);
    }

    #[test]
    fn interleavings_keep_the_order_of_each_task(order in interleaving(&[2, 0, 3])) {
        prop_assert_eq!(order.iter().map(Vec::len).collect::<Vec<_>>(), [2, 0, 3]);
        prop_assert!(order.iter().all(|steps| steps.is_sorted()));
        let mut all = order.concat();
        all.sort_unstable();
        prop_assert_eq!(all, [0, 1, 2, 3, 4]);
    }
}

fn some<T>(strategy: &impl Strategy<Value = T>) -> Vec<T> {
    let mut runner = TestRunner::deterministic();
    (0..200).map(|_| strategy.new_tree(&mut runner).expect("a value").current()).collect()
}

#[test]
fn latencies_are_short_and_long_and_none() {
    let latencies = some(&latency(SECOND));
    assert!(latencies.contains(&Duration::ZERO) && latencies.iter().any(|latency| *latency > 500 * MS));
    assert!(latencies.iter().filter(|latency| **latency <= 10 * MS).count() > 50);
}

#[test]
fn interleavings_are_many_and_shrink_to_one_task_after_the_other() {
    let strategy = interleaving(&[2, 2]);
    let mut orders = some(&strategy);
    orders.sort();
    orders.dedup();
    assert_eq!(orders.len(), 6);
    let mut tree = strategy.new_tree(&mut TestRunner::deterministic()).unwrap();
    while tree.simplify() {}
    assert_eq!(tree.current(), [[0, 1], [2, 3]]);
}
