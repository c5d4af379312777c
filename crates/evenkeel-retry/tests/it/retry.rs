//! `Policy::run`: attempts, verdicts and errors.

use std::{
    cell::Cell,
    collections::HashSet,
    future::{pending, ready},
    rc::Rc,
    time::Duration,
};

use evenkeel_retry::{
    Attempts, Backoff, BoxedError, BudgetPermit, GaveUp, Hedge, Policy, RetryError, Verdict,
};
use evenkeel_testkit::{World, assert_took};
use proptest::prelude::*;
use tokio::time::Instant;

use crate::{Flaky, Refused, doubling, ms};

#[test]
fn attempts_are_made_at_their_exact_times_and_none_is_slept_after_the_last() {
    World::run(async |_| {
        let flaky = Flaky::failing(u32::MAX);
        let error = assert_took!(doubling().max_attempts(4).run(|| flaky.call()), ms(700)).unwrap_err();
        assert_eq!(flaky.times(), [0, 100, 300, 700]);
        assert_eq!((error.reason, error.attempts, error.last), (GaveUp::Attempts, 4, Some(Refused(4))));
        assert_eq!(error.elapsed, ms(700));
    });
}

#[test]
fn one_attempt_needs_no_timer() {
    // A runtime without a timer: touching one would panic.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let policy = doubling().max_attempts(1);
        let gave_up = policy.run(|| ready(Err::<(), _>(Refused(1)))).await.unwrap_err();
        assert_eq!((gave_up.reason, gave_up.attempts), (GaveUp::Attempts, 1));
        assert_eq!(policy.run(|| ready(Ok::<_, Refused>(5))).await, Ok(5));
    });
}

#[test]
fn a_retry_without_delay_needs_no_timer_and_lets_others_run() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (calls, seen) = (Rc::new(Cell::new(0_u32)), Rc::new(Cell::new(Vec::new())));
        let policy = Policy::new(Backoff::none()).max_attempts(1_000_000);
        let local = tokio::task::LocalSet::new();
        let (calls2, seen2) = (calls.clone(), seen.clone());
        local.spawn_local(async move {
            while calls2.get() < 1_000_000 {
                let mut so_far = seen2.take();
                so_far.push(calls2.get());
                seen2.set(so_far);
                tokio::task::yield_now().await;
            }
        });
        let calls2 = calls.clone();
        let retried = policy.run(move || {
            calls2.set(calls2.get() + 1);
            ready(Err::<(), _>(Refused(0)))
        });
        assert_eq!(local.run_until(retried).await.unwrap_err().attempts, 1_000_000);
        let seen = seen.take();
        let longest = seen.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!(longest <= 128, "{longest} rounds without a yield");
    });
}

#[test]
fn the_operation_is_called_when_polled_and_not_before() {
    World::run(async |_| {
        let flaky = Flaky::failing(0);
        let policy = doubling();
        let call = policy.run(|| flaky.call());
        tokio::time::sleep(ms(50)).await;
        assert_eq!(flaky.times(), [0_u128; 0]);
        assert_eq!(call.await, Ok(1));
        assert_eq!(flaky.times(), [50]);
    });
}

#[test]
fn permanent_errors_end_the_call_at_once() {
    World::run(async |_| {
        let flaky = Flaky::failing(u32::MAX);
        let call = doubling().max_attempts(9).run(|| flaky.call()).when(|error| error.0 < 3).await;
        assert_eq!(flaky.times(), [0, 100, 300]);
        let error = call.unwrap_err();
        assert_eq!((error.reason, error.attempts, error.last), (GaveUp::Permanent, 3, Some(Refused(3))));
    });
}

#[test]
fn the_observer_sees_each_retry_once_with_the_delay_that_is_slept() {
    World::run(async |_| {
        let flaky = Flaky::failing(u32::MAX);
        let mut seen = Vec::new();
        let policy = doubling().max_attempts(4);
        let call = policy
            .run(|| flaky.call())
            .observe(|retry| seen.push((retry.attempt, retry.error.unwrap().0, retry.delay)));
        assert!(call.await.is_err());
        assert_eq!(seen, [(1, 1, ms(100)), (2, 2, ms(200)), (3, 3, ms(400))]);
    });
}

#[test]
fn retry_after_is_a_floor_with_a_cap() {
    World::run(async |_| {
        let policy = doubling().max_attempts(4).max_retry_after(ms(5000));
        let flaky = Flaky::failing(u32::MAX);
        let asks = [ms(5000), ms(50), ms(5001)];
        let call = policy.run(|| flaky.call()).classify(|e| Verdict::RetryAfter(asks[e.0 as usize - 1]));
        let error = call.await.unwrap_err();
        assert_eq!(flaky.times(), [0, 5000, 5200]);
        assert_eq!((error.reason, error.attempts), (GaveUp::RetryAfter(ms(5001)), 3));
    });
}

#[test]
fn retry_after_cannot_outlast_the_attempts() {
    World::run(async |_| {
        let flaky = Flaky::failing(u32::MAX);
        let policy = doubling().max_attempts(3);
        let call = policy.run(|| flaky.call()).classify(|_| Verdict::RetryAfter(ms(1000)));
        assert_eq!(assert_took!(call, ms(2000)).unwrap_err().reason, GaveUp::Attempts);
    });
}

#[test]
fn until_wakes_the_wait_and_keeps_the_last_error() {
    World::run(async |_| {
        let flaky = Flaky::failing(u32::MAX);
        let policy = doubling().max_attempts(9);
        let call = policy.run(|| flaky.call()).until(tokio::time::sleep(ms(250)));
        let error = assert_took!(call, ms(250)).unwrap_err();
        assert_eq!(flaky.times(), [0, 100]);
        assert_eq!((error.reason, error.attempts, error.last), (GaveUp::Cancelled, 2, Some(Refused(2))));
    });
}

#[test]
fn until_does_not_cut_an_attempt_in_flight_and_allows_none_after_it() {
    World::run(async |_| {
        let policy = doubling().max_attempts(9);
        let slow = async || {
            tokio::time::sleep(ms(500)).await;
            Err::<(), _>(Refused(1))
        };
        let error = assert_took!(policy.run(slow).until(tokio::time::sleep(ms(100))), ms(500)).unwrap_err();
        assert_eq!((error.reason, error.attempts), (GaveUp::Cancelled, 1));
        let flaky = Flaky::failing(0);
        let error = policy.run(|| flaky.call()).until(ready(())).await.unwrap_err();
        assert_eq!((error.reason, error.attempts, flaky.times().len()), (GaveUp::Cancelled, 0, 0));
        assert_eq!(error.to_string(), "gave up after 0 attempts and 0ns: cancelled");
    });
}

#[test]
fn an_operation_that_is_not_safe_to_repeat_is_repeated_only_if_it_was_not_sent() {
    World::run(async |_| {
        let policy = doubling().max_attempts(9).attempt_timeout(ms(1000));
        let flaky = Flaky::failing(u32::MAX);
        let verdict = |e: &Refused| if e.0 < 3 { Verdict::NotSent } else { Verdict::Retry };
        let error = policy.run(|| flaky.call()).at_most_once().classify(verdict).await.unwrap_err();
        assert_eq!(flaky.times(), [0, 100, 300]);
        assert_eq!((error.reason, error.last), (GaveUp::AtMostOnce, Some(Refused(3))));

        let hang = || pending::<Result<(), Refused>>();
        let error = assert_took!(policy.run(hang).at_most_once(), ms(1000)).unwrap_err();
        assert_eq!((error.reason, error.attempts), (GaveUp::AtMostOnce, 1));
        let permanent = policy.run(|| ready(Err::<(), _>(Refused(1)))).at_most_once().when(|_| false);
        assert_eq!(permanent.await.unwrap_err().reason, GaveUp::Permanent);
    });
}

#[test]
fn an_operation_can_know_its_attempt() {
    World::run(async |_| {
        let policy = doubling().attempt_timeout(ms(1000)).total_timeout(ms(1500)).max_attempts(4);
        let mut seen = Vec::new();
        let call = policy.run_with(|attempt| {
            seen.push(attempt);
            assert_eq!(attempt.deadline().map(|at| at - Instant::now()), attempt.remaining());
            async {
                tokio::time::sleep(ms(300)).await;
                Err::<(), _>(Refused(1))
            }
        });
        assert_took!(call, ms(1200)).unwrap_err();
        let numbers: Vec<u32> = seen.iter().map(|attempt| attempt.number()).collect();
        assert_eq!(numbers, [1, 2, 3]);
        assert!(seen.iter().all(|attempt| attempt.key() == seen[0].key()));
        let ends: Vec<Duration> =
            seen.iter().map(|a| a.deadline().unwrap() - seen[0].deadline().unwrap()).collect();
        assert_eq!(ends, [ms(0), ms(400), ms(500)], "the third is bounded by the total time");

        let mut keys = HashSet::new();
        for _ in 0..100 {
            let call = policy.run_with(|attempt| ready(Ok::<_, Refused>(attempt.key())));
            keys.insert(call.await.unwrap());
        }
        assert_eq!(keys.len(), 100, "other calls have other keys");
        for key in keys.iter().map(ToString::to_string) {
            assert!(key.len() == 32 && key[..16] != key[16..], "{key}");
        }
    });
}

#[test]
fn calls_that_wait_alike_have_keys_of_their_own() {
    World::run(async |_| {
        let policy = doubling().seed(7);
        let mut keys = HashSet::new();
        for _ in 0..100 {
            let fail = |attempt: evenkeel_retry::Attempt| {
                keys.insert(attempt.key());
                ready(Err::<(), _>(Refused(1)))
            };
            policy.run_with(fail).await.unwrap_err();
        }
        assert_eq!(keys.len(), 100);
    });
}

#[test]
fn an_attempt_without_limits_has_no_deadline() {
    World::run(async |_| {
        let policy = doubling().attempt_timeout(Duration::MAX);
        let attempt = policy.start().next_attempt();
        assert_eq!((attempt.number(), attempt.deadline(), attempt.remaining()), (1, None, None));
    });
}

#[test]
fn what_an_attempt_held_is_free_during_the_wait() {
    World::run(async |_| {
        let held = Rc::new(());
        let mut observed = Vec::new();
        let policy = doubling().max_attempts(2);
        let call = policy
            .run(|| {
                let held = held.clone();
                async move {
                    tokio::time::sleep(ms(10)).await;
                    drop(held);
                    Err::<(), _>(Refused(1))
                }
            })
            .observe(|_| observed.push(Rc::strong_count(&held)));
        assert!(call.await.is_err());
        assert_eq!(observed, [1]);
    });
}

#[test]
fn unseeded_calls_differ_and_seeded_ones_do_not() {
    World::run(async |_| {
        let policy = Policy::exponential(ms(1000), ms(60_000)).max_attempts(2);
        let mut delays = HashSet::new();
        let mut seeded = HashSet::new();
        for _ in 0..20 {
            let fail = || ready(Err::<(), _>(Refused(0)));
            let _ = policy.run(fail).observe(|retry| delays.extend([retry.delay])).await;
            let _ = policy.clone().seed(7).run(fail).observe(|retry| seeded.extend([retry.delay])).await;
        }
        assert!(delays.len() > 15, "{delays:?}");
        assert_eq!(seeded.len(), 1);
    });
}

#[test]
#[should_panic(expected = "polled after it was ready")]
fn polling_again_after_the_end_is_refused() {
    World::run(async |_| {
        let policy = doubling();
        let mut call = std::pin::pin!(policy.run(|| ready(Ok::<_, Refused>(1))));
        call.as_mut().await.unwrap();
        let _ = call.await;
    });
}

#[test]
fn the_future_is_send_when_the_operation_is() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    let policy = doubling();
    drop(send(policy.run(pending::<Result<(), Refused>>).when(|_| true).observe(|_| {})));
    let mut attempts = policy.start();
    drop(send(attempts.attempt(pending::<Result<(), Refused>>())));
}

#[test]
fn what_is_shared_can_be() {
    fn shared<T: Send + Sync>() {}
    shared::<Policy>();
    shared::<Hedge>();
    shared::<Attempts<'_>>();
    shared::<BudgetPermit>();
    shared::<RetryError<BoxedError>>();
}

#[test]
fn durations_without_end_do_not_overflow() {
    World::run(async |_| {
        let policy = Policy::fixed(Duration::MAX).attempt_timeout(Duration::MAX).total_timeout(Duration::MAX);
        let call = policy.run(|| ready(Err::<(), _>(Refused(0))));
        assert!(tokio::time::timeout(Duration::from_secs(86_400 * 365), call).await.is_err());
        let asks = policy.max_retry_after(Duration::MAX);
        let call =
            asks.run(|| ready(Err::<(), _>(Refused(0)))).classify(|_| Verdict::RetryAfter(Duration::MAX));
        assert!(tokio::time::timeout(ms(1), call).await.is_err());
    });
}

proptest! {
    /// The model: attempt k starts when all earlier attempts and delays are over.
    #[test]
    fn the_schedule_is_the_sum_of_its_parts(
        failures in 0..8_u32, attempts in 1..8_u32, initial in 0..500_u64, cap in 500..2000_u64, busy in 0..300_u64,
    ) {
        World::run(async |_| {
            let policy = Policy::new(Backoff::exponential(ms(initial), ms(cap)).jitter(evenkeel_retry::Jitter::None))
                .max_attempts(attempts);
            let flaky = Flaky::failing(failures);
            let outcome = policy.run(async || { let result = flaky.call().await; tokio::time::sleep(ms(busy)).await; result }).await;
            let made = attempts.min(failures + 1);
            let mut expected = vec![0_u128];
            for n in 1..made {
                let delay = (u128::from(initial) << (n - 1)).min(u128::from(cap));
                expected.push(expected.last().unwrap() + u128::from(busy) + delay);
            }
            assert_eq!(flaky.times(), expected);
            assert_eq!(outcome.is_ok(), failures < attempts);
        });
    }
}
