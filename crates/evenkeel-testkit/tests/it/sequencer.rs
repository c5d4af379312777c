//! Interleavings: set by the test, or chosen by a seed.

use std::collections::HashSet;

use evenkeel_testkit::{
    World, assert_polls, assert_timeline,
    probe::meter,
    sequencer::{Sequencer, yield_everywhere},
};
use tokio::time::{sleep, timeout};

use crate::{MS, SECOND, panic_of};

#[test]
fn steps_of_several_tasks_are_in_order() {
    World::run(async |world| {
        let seq = Sequencer::new();
        let task = |steps: &'static [usize]| {
            let (seq, record) = (seq.clone(), world.record().clone());
            tokio::spawn(async move {
                for step in steps {
                    let _turn = seq.at(*step).await;
                    record.note(format!("{step} begins"));
                    sleep(SECOND).await;
                    record.note(format!("{step} ends"));
                }
            })
        };
        for task in [task(&[2, 3]), task(&[1, 4]), task(&[0])] {
            task.await.unwrap();
        }
        assert_timeline!(world.record(), [
            0 s "0 begins", 1 s "0 ends", 1 s "1 begins", 2 s "1 ends", 2 s "2 begins", 3 s "2 ends",
            3 s "3 begins", 4 s "3 ends", 4 s "4 begins", 5 s "4 ends",
        ]);
    });
}

#[test]
fn a_step_waits_with_two_polls() {
    World::run(async |_| {
        let seq = Sequencer::new();
        tokio::join!(async { drop(assert_polls!(seq.at(1), == 2)) }, async {
            drop(assert_polls!(seq.at(0), == 1));
        });
        assert_polls!(seq.at(2), == 1);
    });
}

#[test]
fn a_step_is_taken_once() {
    let again = panic_of(|| {
        World::run(async |_| {
            let seq = Sequencer::new();
            drop(seq.at(0).await);
            drop(seq.at(0).await);
        });
    });
    assert_eq!(again, "step 0 is taken twice");
    let present = panic_of(|| {
        World::run(async |_| {
            let seq = Sequencer::new();
            let _turn = seq.at(0).await;
            drop(seq.at(0).await);
        });
    });
    assert_eq!(present, "step 0 is taken twice");
    let waiting = panic_of(|| {
        World::run(async |_| {
            let seq = Sequencer::new();
            tokio::join!(seq.at(5), seq.at(5));
        });
    });
    assert_eq!(waiting, "step 5 is taken twice");
}

#[test]
fn a_step_that_nobody_waits_for_any_more_is_free() {
    World::run(async |_| {
        let seq = Sequencer::new();
        assert!(timeout(MS, seq.at(1)).await.is_err());
        let (first, second) = tokio::join!(seq.at(1), async { drop(seq.at(0).await) });
        drop((first, second));
        drop(seq.at(2).await);
    });
}

#[test]
fn a_step_that_is_missing_is_a_deadlock() {
    let message = panic_of(|| World::run(async |_| drop(Sequencer::new().at(1).await)));
    assert!(message.starts_with("deadlock: "), "{message}");
}

#[test]
fn each_poll_is_put_off_as_the_seed_says() {
    let polls = |seed| World::run(async |_| meter(yield_everywhere(async {}, seed)).await.1.polls);
    let all: Vec<u64> = (0..100).map(polls).collect();
    assert_eq!(all, (0..100).map(polls).collect::<Vec<_>>());
    assert_eq!(all.into_iter().collect::<HashSet<_>>(), HashSet::from([2, 3, 4]));
}

#[test]
fn the_time_and_the_output_are_those_of_the_future() {
    World::run(async |world| {
        let slow = async {
            sleep(SECOND).await;
            42
        };
        assert_eq!(yield_everywhere(slow, world.seed()).await, 42);
        assert_eq!(world.elapsed(), SECOND);
    });
}

#[test]
fn seeds_find_the_interleaving_that_loses_an_update() {
    let lost = |seed: u64| {
        World::run(async |_| {
            let count = std::cell::Cell::new(0);
            let add = async |seed| {
                let read = count.get();
                yield_everywhere(async {}, seed).await;
                count.set(read + 1);
            };
            tokio::join!(yield_everywhere(add(seed), seed), yield_everywhere(add(seed + 1), seed + 1));
            count.get() < 2
        })
    };
    let found = (0..50).filter(|seed| lost(*seed)).count();
    assert!((1..50).contains(&found), "{found}");
}
