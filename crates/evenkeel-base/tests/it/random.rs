//! Random numbers, of the system and of a seed.

use std::{collections::HashSet, thread};

use evenkeel_base::{Random, seed_random};

fn numbers() -> Vec<u64> {
    let sources = [Random::new(), Random::new(), Random::default()];
    sources.iter().flat_map(|source| (0..100).map(|index| source.number(index))).collect()
}

fn are_all_different(numbers: &[u64]) -> bool {
    numbers.iter().collect::<HashSet<_>>().len() == numbers.len()
}

#[test]
fn sources_of_the_system_differ_and_a_source_repeats_itself() {
    assert!(are_all_different(&[numbers(), numbers()].concat()));
    let source = Random::new();
    assert_eq!(source.number(7), source.number(7));
    assert_eq!(source.number(7), source.clone().number(7));
}

#[test]
fn a_seed_repeats_all_sources_of_its_thread_until_its_guard_is_dropped() {
    let seeded = |seed| {
        let guard = seed_random(seed);
        assert!(!guard.was_used());
        let numbers = numbers();
        assert!(guard.was_used());
        numbers
    };
    let (one, other) = (seeded(1), seeded(2));
    assert_eq!(one, seeded(1));
    assert!(are_all_different(&[one.clone(), other.clone(), numbers()].concat()));

    let outer = seed_random(1);
    assert_eq!(seeded(2), other);
    assert!(!outer.was_used());
    let elsewhere = thread::spawn(numbers).join();
    assert!(elsewhere.is_ok_and(|elsewhere| elsewhere != one));
    assert_eq!(numbers(), one);
}

#[test]
fn numbers_of_a_seed_are_spread_over_all_bits() {
    let _guard = seed_random(0);
    let mut ones = [0_u32; 64];
    for _ in 0..100 {
        let source = Random::new();
        for index in 0..100 {
            let number = source.number(index);
            ones.iter_mut().enumerate().for_each(|(bit, ones)| *ones += (number >> bit & 1) as u32);
        }
    }
    // Ten standard deviations.
    assert!(ones.iter().all(|ones| ones.abs_diff(5000) < 500), "{ones:?}");
}
