//! A limit for each key (P20, P21): as if each key had a limiter of its own, in bounded memory.

use std::{collections::HashMap, sync::Arc, time::Duration};

use evenkeel_limit::{Keyed, Rate, RateLimiter, Reason};
use evenkeel_testkit::{World, assert_took, cancel};
use proptest::prelude::*;
use tokio::time::{Instant, advance, sleep};

use crate::fixtures::ByHand;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[derive(Clone, Debug)]
enum Step {
    Advance(u64),
    Try(u8, u32),
    SetRate(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..3_000_000_u64).prop_map(Step::Advance),
        1 => (0..100_u64).prop_map(|n| Step::Advance(n * 1_000_000)),
        6 => (0..20_u8, 0..7_u32).prop_map(|(key, permits)| Step::Try(key, permits)),
        1 => (1..2000_u32).prop_map(Step::SetRate),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// With room for all keys, a forgotten bucket cannot be told from one that is kept.
    #[test]
    fn every_key_is_as_if_it_were_alone(steps in prop::collection::vec(step(), 1..200)) {
        World::run(async |_| {
            let mut rate = Rate::per_second(100);
            let keyed: Keyed<u8> = Keyed::new(rate).burst(5).max_keys(20);
            let mut alone: HashMap<u8, RateLimiter> = HashMap::new();
            for step in steps {
                match step {
                    Step::Advance(nanos) => advance(Duration::from_nanos(nanos)).await,
                    Step::SetRate(permits) => {
                        rate = Rate::per_second(permits);
                        keyed.set_rate(rate);
                        alone.values().for_each(|limiter| limiter.set_rate(rate));
                    }
                    Step::Try(key, permits) => {
                        let own = alone.entry(key).or_insert_with(|| RateLimiter::new(rate).burst(5));
                        let got = keyed.try_acquire_many(&key, permits);
                        let mut expected = own.try_acquire_many(permits);
                        if let (Ok(()), Err(late)) = (got, expected) {
                            assert_eq!(late.retry_after, Some(ROUNDED));
                            advance(ROUNDED).await;
                            expected = own.try_acquire_many(permits);
                        }
                        if let (Err(got), Err(expected)) = (got, expected) {
                            assert_eq!(got.reason, expected.reason);
                            let times = got.retry_after.zip(expected.retry_after);
                            assert!(times.is_none_or(|(got, own)| got.abs_diff(own) <= ROUNDED), "{times:?}");
                        } else {
                            assert_eq!(got, expected);
                        }
                    }
                }
                assert!(keyed.len() <= 20);
            }
        });
    }
}

/// Rounding errors are much smaller; one shows where it amounts to a nanosecond.
const ROUNDED: Duration = Duration::from_nanos(1);

#[test]
fn keys_have_buckets_of_their_own() {
    World::run(async |_| {
        let keyed: Keyed<String> = Keyed::per_second(10).burst(2);
        for key in ["a", "b", "c"] {
            assert_eq!((0..5).filter(|_| keyed.try_acquire(key).is_ok()).count(), 2);
            let denied = keyed.try_acquire(key).unwrap_err();
            assert_eq!((denied.reason, denied.retry_after), (Reason::Busy, Some(ms(100))));
            assert_eq!(keyed.try_acquire_many(key, 3).unwrap_err().reason, Reason::NeverFits);
        }
        assert_eq!(keyed.len(), 3);
        advance(ms(100)).await;
        assert!(keyed.try_acquire("a").is_ok());
    });
}

#[test]
fn turns_of_a_key_come_in_order_and_others_do_not_wait() {
    World::run(async |_| {
        let keyed: Keyed<u64> = Keyed::per_second(10).burst(2);
        keyed.try_acquire_many(&1, 2).unwrap();
        let start = Instant::now();
        let turn = async |key, permits| {
            keyed.acquire_many(&key, permits).await.unwrap();
            start.elapsed()
        };
        let turns = tokio::join!(turn(1, 2), turn(1, 1), turn(2, 2), turn(1, 1));
        assert_eq!(turns, (ms(200), ms(300), ms(0), ms(400)));
        let _waits = ByHand::queued(keyed.acquire(&1));
        assert_eq!(keyed.try_acquire(&1).unwrap_err().retry_after, Some(ms(200)), "behind one who waits");
        let late = keyed.acquire_by(&1, Instant::now() + ms(199)).await.unwrap_err();
        assert_eq!((late.reason, late.retry_after), (Reason::Deadline, Some(ms(200))));
        assert!(keyed.acquire_by(&1, Instant::now() + ms(200)).await.is_ok());
        assert_took!(keyed.acquire(&3), ms(0));
    });
}

#[test]
fn a_full_bucket_is_forgotten_and_one_that_is_not_is_kept() {
    World::run(async |_| {
        let keyed: Keyed<&str> = Keyed::per_second(1).burst(1).max_keys(1000);
        keyed.try_acquire(&"foo").unwrap();
        advance(ms(200)).await;
        keyed.try_acquire(&"bar").unwrap();
        advance(ms(600)).await;
        keyed.try_acquire(&"baz").unwrap();
        advance(ms(201)).await;
        // New keys move the clock hand; the promoted keys stay.
        let keys: Vec<String> = (0..500).map(|i| format!("key {i}")).collect();
        for key in &keys {
            keyed.try_acquire(&key.leak_for_test()).unwrap();
        }
        assert_eq!(keyed.len(), 502, "all but foo");
        assert!(keyed.try_acquire(&"bar").is_err() && keyed.try_acquire(&"baz").is_err());
        advance(ms(1000)).await;
        for i in 500..1000 {
            keyed.try_acquire(&format!("key {i}").leak_for_test()).unwrap();
        }
        assert_eq!(keyed.len(), 500, "all but the new ones are full");
    });
}

trait Leak {
    fn leak_for_test(&self) -> &'static str;
}

impl Leak for String {
    fn leak_for_test(&self) -> &'static str {
        Box::leak(self.clone().into_boxed_str())
    }
}

#[test]
fn a_key_that_was_waited_for_is_forgotten_as_well() {
    World::run(async |_| {
        let keyed: Keyed<u64> = Keyed::per_second(1000).burst(1).max_keys(100);
        for round in 0..20 {
            for key in 0..100 {
                let key = 1000 * round + key;
                keyed.acquire(&key).await;
                keyed.acquire(&key).await;
            }
            assert!(keyed.len() <= 100);
        }
        assert!(keyed.try_acquire(&1).is_ok(), "there is room again");
    });
}

#[test]
fn one_shot_keys_stay_within_the_room_and_share_the_overflow() {
    World::run(async |_| {
        let keyed: Keyed<u64> = Keyed::per_second(1).burst(10).max_keys(100);
        assert!((0..100).all(|key| keyed.try_acquire(&key).is_ok()));
        let overflow = (100..100_000).filter(|key| keyed.try_acquire(key).is_ok()).count();
        assert_eq!((overflow, keyed.len()), (10, 100));
        assert_eq!(keyed.try_acquire(&100).unwrap_err().retry_after, Some(ms(1000)));
        assert!(keyed.try_acquire(&5).is_ok(), "those who are known are not affected");
        let first = async {
            keyed.acquire(&200).await;
            Instant::now()
        };
        let second = async {
            keyed.acquire(&201).await;
            Instant::now()
        };
        let (first, second) = assert_took!(async { tokio::join!(first, second) }, ms(2000));
        assert_eq!(second - first, ms(1000), "one queue for all of them");
        sleep(Duration::from_secs(10)).await;
        assert!((1000..1050).all(|key| keyed.try_acquire(&key).is_ok()), "room has come back");
    });
}

#[test]
fn a_million_keys_stay_within_the_room() {
    World::run(async |_| {
        let keyed: Keyed<u64> = Keyed::per_second(1000).burst(2).max_keys(5_000);
        for key in 0..300_000 {
            let _may_overflow = keyed.try_acquire(&key);
            if key % 1000 == 0 {
                assert!(keyed.len() <= 5_000);
                advance(Duration::from_micros(500)).await;
            }
        }
    });
}

#[test]
fn a_new_rate_counts_for_all_keys_and_for_those_who_wait() {
    World::run(async |_| {
        let keyed: Keyed<u64> = Keyed::per_second(1).burst(1);
        keyed.try_acquire(&1).unwrap();
        keyed.try_acquire(&2).unwrap();
        let waiter = ByHand::queued(keyed.acquire(&2));
        advance(ms(500)).await;
        keyed.set_rate(Rate::per_second(10));
        assert_eq!(keyed.try_acquire(&1).unwrap_err().retry_after, Some(ms(50)));
        sleep(ms(50)).await;
        assert_eq!((waiter.wakes(), keyed.try_acquire(&1)), (1, Ok(())));
    });
}

#[test]
fn an_override_is_another_limiter() {
    World::run(async |_| {
        let keyed: Keyed<u64> = Keyed::per_second(1).burst(1).max_keys(1);
        keyed.override_key(7, RateLimiter::per_second(1000).burst(50));
        keyed.set_rate(Rate::per_second(2));
        assert_eq!((0..100).filter(|_| keyed.try_acquire(&7).is_ok()).count(), 50);
        assert_eq!(keyed.try_acquire(&7).unwrap_err().retry_after, Some(ms(1)));
        assert!(keyed.is_empty());
        assert!(keyed.remove_override(&7) && keyed.try_acquire(&7).is_ok());
        assert_eq!(keyed.try_acquire(&7).unwrap_err().retry_after, Some(ms(500)));
    });
}

#[test]
fn the_limiter_of_a_key_is_its_bucket() {
    World::run(async |_| {
        let keyed: Keyed<u64> = Keyed::per_second(10).burst(3).max_keys(2);
        keyed.try_acquire(&1).unwrap();
        let own = keyed.limiter(&1);
        assert_eq!((own.snapshot().available, own.snapshot().rate), (2, Some(Rate::per_second(10))));
        own.try_acquire_many(2).unwrap();
        assert_eq!(keyed.try_acquire(&1).unwrap_err().retry_after, Some(ms(100)));
        assert!(Arc::ptr_eq(&own, &keyed.limiter(&1)));
        own.penalize(ms(1000));
        own.set_rate(Rate::per_second(1));
        keyed.set_rate(Rate::per_second(20));
        assert_eq!(own.snapshot().rate, Some(Rate::per_second(20)));
        assert_took!(keyed.acquire(&1), ms(1000));

        let new = keyed.limiter(&2);
        assert_eq!((keyed.len(), new.snapshot().available), (2, 3));
        // Without room these two keys share the overflow.
        assert!(
            Arc::ptr_eq(&keyed.limiter(&3), &keyed.limiter(&4)) && !Arc::ptr_eq(&new, &keyed.limiter(&3))
        );
        own.set_burst(1000);
        sleep(Duration::from_secs(100)).await;
        assert!(Arc::ptr_eq(&own, &keyed.limiter(&1)), "as long as somebody has it");
        drop((own, new));
        for key in 10..20 {
            keyed.try_acquire(&key).unwrap();
            sleep(ms(1000)).await;
        }
        assert_eq!(keyed.limiter(&1).snapshot().burst, 3, "forgotten, with what was changed");

        keyed.override_key(7, RateLimiter::unlimited());
        assert_eq!(keyed.limiter(&7).snapshot().rate, None);
    });
}

#[test]
fn the_limiter_of_a_key_says_how_much_fits() {
    World::run(async |_| {
        let keyed: Keyed<u64> = Keyed::per_second(10).burst(3);
        let own = keyed.limiter(&1);
        own.set_burst(10);
        own.refund(10);
        assert_eq!(keyed.try_acquire_many(&1, 11).unwrap_err().reason, Reason::NeverFits);
        assert_eq!(keyed.try_acquire_many(&1, 10), Ok(()));
        assert_eq!(keyed.try_acquire_many(&2, 4).unwrap_err().reason, Reason::NeverFits);
        assert_eq!(keyed.len(), 1);
    });
}

#[test]
fn a_long_idle_key_is_full_whatever_the_rate() {
    World::run(async |_| {
        let keyed: Keyed<u64> = Keyed::new(Rate::per_second(u32::MAX)).burst(3).max_keys(2);
        for _ in 0..50 {
            assert!(keyed.try_acquire_many(&1, 3).is_ok());
            advance(Duration::from_secs(3)).await;
        }
        keyed.set_rate(Rate::per(1, Duration::from_secs(365 * 86_400)));
        assert!(keyed.try_acquire_many(&1, 3).is_ok());
        assert!(keyed.try_acquire(&1).is_err());
    });
}

#[test]
fn every_wait_can_be_dropped() {
    let contended = async || {
        let keyed: Arc<Keyed<u64>> = Arc::new(Keyed::per_second(100).burst(1));
        keyed.try_acquire(&1).unwrap();
        keyed
    };
    let as_if_new = async |keyed: Arc<Keyed<u64>>| {
        keyed.acquire(&1).await;
        assert_took!(keyed.acquire(&1), ms(10));
    };
    let acquire = async |keyed: Arc<Keyed<u64>>| keyed.acquire(&1).await;
    assert_eq!(cancel::every_point(contended, acquire, as_if_new).points(), 1);
    let many = async |keyed: Arc<Keyed<u64>>| keyed.acquire_many(&1, 1).await.unwrap();
    assert_eq!(cancel::every_point(contended, many, as_if_new).points(), 1);
    let by = async |keyed: Arc<Keyed<u64>>| keyed.acquire_by(&1, Instant::now() + ms(50)).await.unwrap();
    assert_eq!(cancel::every_point(contended, by, as_if_new).points(), 1);
}

#[test]
fn zero_is_refused() {
    use std::panic::catch_unwind;
    assert!(catch_unwind(|| Keyed::<u8>::per_second(1).burst(0)).is_err());
    assert!(catch_unwind(|| Keyed::<u8>::per_second(1).max_keys(0)).is_err());
}
