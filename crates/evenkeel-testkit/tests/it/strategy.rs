//! Strategies for property tests.

use std::time::Duration;

use evenkeel_testkit::{
    World, assert_took,
    net::{Fault, MemNet, Toxics},
    strategy::{interleaving, latency, script, toxics},
};
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

    #[test]
    fn a_script_takes_the_time_it_says_and_leaves_the_link_healed(script in script(5, SECOND)) {
        prop_assert!(script.len() <= 5);
        prop_assert!(script.iter().all(|(after, _)| *after <= SECOND));
        let time = script.iter().map(|(after, _)| *after).sum();
        World::run(async |_| {
            let net = MemNet::new();
            let _listener = net.listen("a.test:1").unwrap();
            assert_took!(net.link("a.test:1").play(&script), time);
            assert!(assert_took!(net.connect("a.test:1"), Duration::ZERO).is_ok());
        });
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

#[test]
fn toxics_are_of_many_kinds_and_shrink_to_none() {
    let strategy = toxics(SECOND);
    let (mut kinds, all) = (Vec::new(), some(&strategy));
    for toxics in &all {
        kinds.push(format!("{toxics:?}").replace(|char: char| char.is_ascii_digit() || char == '.', ""));
    }
    kinds.sort();
    kinds.dedup();
    assert!(kinds.len() >= 9, "{kinds:#?}");
    let mut tree = strategy.new_tree(&mut TestRunner::deterministic()).unwrap();
    while tree.simplify() {}
    assert_eq!(tree.current(), Toxics::new());
}

#[test]
fn scripts_have_every_fault_and_shrink_to_nothing() {
    let strategy = script(8, SECOND);
    let faults = some(&strategy).concat();
    let partition = Fault::Toxics(Toxics::new().partition());
    for fault in [partition, Fault::Cut, Fault::Reset, Fault::Heal, Fault::Refuse(2)] {
        assert!(faults.iter().any(|(_, drawn)| *drawn == fault), "{fault:?}");
    }
    assert!(faults.iter().any(|(_, fault)| matches!(fault, Fault::ConnectDelay(delay) if !delay.is_zero())));
    let mut tree = strategy.new_tree(&mut TestRunner::deterministic()).unwrap();
    while tree.simplify() {}
    assert_eq!(tree.current(), []);
}
