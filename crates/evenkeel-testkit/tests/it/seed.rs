//! Randomness of a test can be replayed.

use evenkeel_base::Random;
use evenkeel_testkit::World;

use crate::{is_child, run_child};

#[test]
fn the_builder_sets_the_seed() {
    assert_eq!(World::builder().seed(42).run(async |world| world.seed()), 42);
}

#[test]
fn worlds_have_different_seeds() {
    let seed = || World::run(async |world| world.seed());
    assert_ne!(seed(), seed());
}

#[test]
fn a_test_that_fails_prints_its_seed_and_the_environment_replays_it() {
    if is_child() {
        return World::run(async |world| assert_eq!(world.seed(), 0, "the seed"));
    }
    let run = |seed| {
        let test = "seed::a_test_that_fails_prints_its_seed_and_the_environment_replays_it";
        let output = run_child(test, &[("EVENKEEL_SEED", seed)]);
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    assert!(run("0").0);
    let (passed, printed) = run("18446744073709551615");
    assert!(!passed && printed.contains("replay with EVENKEEL_SEED=18446744073709551615"), "{printed}");
    assert!(printed.contains("it does not reach `select!` without `biased;`"), "{printed}");
    let (passed, printed) = run("five");
    assert!(!passed && printed.contains("EVENKEEL_SEED is not a number below 2^64: \"five\""), "{printed}");
}

#[test]
fn the_seed_reaches_the_random_numbers_of_our_crates() {
    let drawn = |seed| World::builder().seed(seed).run(async |_| [(); 3].map(|()| Random::new().number(0)));
    assert_eq!(drawn(1), drawn(1));
    assert_ne!(drawn(1), drawn(2));
    let fresh = || World::run(async |_| Random::new().number(0));
    assert_ne!(fresh(), fresh());
}

#[test]
fn a_test_whose_code_has_drawn_a_random_number_prints_the_seed() {
    if is_child() {
        return World::run(async |_| panic!("drew {}", Random::new().number(0)));
    }
    let test = "seed::a_test_whose_code_has_drawn_a_random_number_prints_the_seed";
    let output = run_child(test, &[("EVENKEEL_SEED", "7")]);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success() && printed.contains("replay with EVENKEEL_SEED=7"), "{printed}");
}

#[test]
fn a_test_that_does_not_use_its_seed_does_not_print_it() {
    if is_child() {
        return World::run(async |_| panic!("for another reason"));
    }
    let output = run_child("seed::a_test_that_does_not_use_its_seed_does_not_print_it", &[]);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success() && printed.contains("for another reason"), "{printed}");
    assert!(!printed.contains("EVENKEEL_SEED"), "{printed}");
}
