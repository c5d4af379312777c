//! Counting that starts again after a healthy period.

use std::{cell::Cell, time::Duration};

use evenkeel_retry::{Backoff, Budget, GaveUp, InvalidPolicy, Jitter, Policy};
use evenkeel_testkit::{World, assert_took};
use proptest::prelude::*;
use tokio::time::{Instant, sleep};

use crate::{Flaky, Refused, doubling, ms};

fn reconnecting() -> Policy {
    doubling().max_attempts(3).attempt_timeout(Duration::MAX).reset_after(ms(1000))
}

/// A connection that lives for these milliseconds, one time after the other, and then for none.
async fn connection(flaky: &Flaky, lives: &[u64]) -> Result<(), Refused> {
    let number = flaky.note();
    match lives.get(number as usize - 1) {
        None | Some(0) => {}
        Some(life) => sleep(ms(*life)).await,
    }
    Err(Refused(number))
}

#[test]
fn a_life_of_the_period_begins_anew_and_a_shorter_one_does_not() {
    World::run(async |_| {
        let policy = reconnecting();
        for (life, times) in [(999, vec![0, 100, 1299]), (1000, vec![0, 100, 1200, 1400])] {
            let flaky = Flaky::failing(0);
            let lives = [0, life];
            let error = policy.run(|| connection(&flaky, &lives)).await.unwrap_err();
            assert_eq!(flaky.times(), times, "after {life} ms");
            let elapsed = if life < 1000 { ms(1299) } else { ms(300) };
            assert_eq!((error.reason, error.attempts, error.elapsed), (GaveUp::Attempts, 3, elapsed));
        }
    });
}

#[test]
fn an_attempt_is_counted_as_the_first_for_the_observer() {
    World::run(async |_| {
        let (policy, flaky) = (reconnecting(), Flaky::failing(0));
        let mut seen = Vec::new();
        let call = policy.run(|| connection(&flaky, &[0, 5000, 0]));
        call.observe(|retry| seen.push((retry.attempt, retry.delay))).await.unwrap_err();
        assert_eq!(seen, [(1, ms(100)), (1, ms(100)), (2, ms(200))]);
    });
}

#[test]
fn a_loop_begins_anew_too() {
    World::run(async |_| {
        let (policy, flaky) = (reconnecting(), Flaky::failing(0));
        let mut attempts = policy.start();
        let mut numbers = Vec::new();
        let error = loop {
            let failed = attempts.attempt(connection(&flaky, &[0, 0, 1000, 0])).await.unwrap_err();
            numbers.push(attempts.attempts());
            if let Err(error) = attempts.backoff(failed).await {
                break error;
            }
        };
        assert_eq!(flaky.times(), [0, 100, 300, 1400, 1600]);
        assert_eq!((numbers, error.attempts), (vec![1, 2, 3, 2, 3], 3));
    });
}

#[test]
fn the_delays_of_every_kind_begin_anew() {
    const STEPS: &[Duration] = &[ms(7), ms(70), ms(700)];
    World::run(async |_| {
        for backoff in [
            Backoff::fixed(ms(50)),
            Backoff::linear(ms(100), ms(900)),
            Backoff::exponential(ms(100), ms(900)),
            Backoff::exponential(ms(100), ms(900)).ratio(3, 1),
            Backoff::fibonacci(ms(100), ms(900)),
            Backoff::steps(STEPS),
        ] {
            let backoff = backoff.jitter(Jitter::None);
            let policy =
                Policy::new(backoff).max_attempts(4).attempt_timeout(Duration::MAX).reset_after(ms(1000));
            let (flaky, mut delays) = (Flaky::failing(0), Vec::new());
            let call = policy.run(|| connection(&flaky, &[0, 0, 0, 1000, 0, 0]));
            call.observe(|retry| delays.push(retry.delay)).await.unwrap_err();
            assert_eq!(delays, [1, 2, 3, 1, 2, 3].map(|n| backoff.ceiling(n)), "{backoff:?}");
        }
    });
}

#[test]
fn the_total_time_goes_on() {
    World::run(async |_| {
        let (policy, flaky) = (reconnecting().total_timeout(ms(5000)), Flaky::failing(0));
        let error = assert_took!(policy.run(|| connection(&flaky, &[2000; 9])), ms(5000)).unwrap_err();
        assert_eq!(flaky.times(), [0, 2100, 4200]);
        assert_eq!((error.reason, error.attempts), (GaveUp::Deadline, 2), "the second began anew");
    });
}

#[test]
fn a_healthy_period_is_a_call_for_the_budget() {
    World::run(async |_| {
        // Two tokens of the reserve, and half a one for each of the two connections that break below it.
        let budget = Budget::percent(50).per_second(0).reserve(2);
        let (policy, flaky) = (reconnecting().budget(budget), Flaky::failing(0));
        let error = policy.run(|| connection(&flaky, &[1000; 99])).await.unwrap_err();
        assert_eq!((error.reason, flaky.times().len()), (GaveUp::Budget, 4));
    });
}

#[test]
fn running_out_of_time_is_a_failure_like_any_other() {
    World::run(async |_| {
        let policy = reconnecting().attempt_timeout(ms(1000));
        let calls = Cell::new(0);
        let call = policy.run(|| {
            calls.set(calls.get() + 1);
            std::future::pending::<Result<(), Refused>>()
        });
        assert!(tokio::time::timeout(ms(1100 * 20 - 1), call).await.is_err());
        assert_eq!(calls.get(), 20);
    });
}

#[test]
#[should_panic(expected = "try for ever")]
fn no_period_at_all_is_refused() {
    let _ = doubling().reset_after(Duration::ZERO);
}

#[test]
fn a_period_from_a_configuration_is_checked() {
    assert_eq!(doubling().try_reset_after(Duration::ZERO).unwrap_err(), InvalidPolicy::ResetAfter);
    let expected = format!("{:?}", doubling().reset_after(ms(5)));
    assert_eq!(format!("{:?}", doubling().try_reset_after(ms(5)).unwrap()), expected);
}

/// When the attempts begin, when the call ends, why, and how many attempts it counts.
fn model(lives: &[u64], attempts: u32, healthy: u64, deadline: u64) -> (Vec<u128>, u64, GaveUp, u32) {
    let (mut starts, mut now, mut made) = (vec![], 0, 0);
    for number in 0.. {
        starts.push(u128::from(now));
        made += 1;
        let life = lives.get(number).copied().unwrap_or(0).min(deadline - now);
        now += life;
        if life >= healthy {
            made = 1;
        }
        if now == deadline {
            return (starts, now, GaveUp::Deadline, made);
        }
        if made == attempts {
            return (starts, now, GaveUp::Attempts, made);
        }
        let delay = 100 << (made - 1);
        if now + delay >= deadline {
            return (starts, now, GaveUp::Deadline, made);
        }
        now += delay;
    }
    unreachable!("every call ends")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn the_schedule_is_the_models(
        lives in prop::collection::vec(prop_oneof![Just(0), 1..2000_u64], 0..8),
        attempts in 1..5_u32, healthy in 1..1500_u64, total in 1..9000_u64, own in 1..9000_u64,
    ) {
        World::run(async |_| {
            let policy = doubling().max_attempts(attempts).attempt_timeout(Duration::MAX)
                .total_timeout(ms(total)).reset_after(ms(healthy));
            let flaky = Flaky::failing(0);
            let start = Instant::now();
            let error = policy.run(|| connection(&flaky, &lives)).deadline(start + ms(own)).await.unwrap_err();
            let (starts, end, reason, made) = model(&lives, attempts, healthy, total.min(own));
            assert_eq!((flaky.times(), start.elapsed()), (starts, ms(end)));
            assert_eq!((error.reason, error.attempts), (reason, made));
        });
    }
}
