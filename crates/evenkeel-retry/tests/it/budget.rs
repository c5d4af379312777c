//! Budgets: the bound on retries, the refill, and tokens that are returned.

use std::{
    cell::Cell,
    future::{pending, ready},
    pin::pin,
    sync::{
        Arc, Barrier,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel_retry::{Attempt, Backoff, Budget, GaveUp, Policy};
use evenkeel_testkit::World;
use proptest::prelude::*;
use tokio::time::Instant;

use crate::{Refused, ms};

fn drain(budget: &Budget) -> u64 {
    std::iter::from_fn(|| budget.try_withdraw()).map(|permit| permit.spend()).count() as u64
}

#[test]
fn a_total_outage_is_amplified_by_the_share_and_no_more() {
    World::run(async |_| {
        let calls = Cell::new(0_u32);
        let budget = Budget::percent(10).per_second(0);
        let policy = Policy::new(Backoff::none()).max_attempts(4).budget(budget);
        let mut refused = 0;
        for _ in 0..1000 {
            let error = policy
                .run(|| ready(Err::<(), _>(Refused(calls.replace(calls.get() + 1)))))
                .await
                .unwrap_err();
            assert!(error.last.is_some(), "the last error is kept");
            refused += u32::from(error.reason == GaveUp::Budget);
        }
        // The first call finds a full bucket: its tenth of a token is not kept.
        assert_eq!(calls.get(), 1000 + 100 + 10 - 1);
        assert!(refused > 900);
    });
}

#[test]
fn any_share_in_thousandths_is_exact() {
    World::run(async |_| {
        for permille in [1_u32, 3, 70, 333, 600, 700, 900, 999, 1000, 2000, 20_000] {
            let budget = Budget::permille(permille).per_second(0).reserve(10_000);
            assert_eq!(drain(&budget), 10_000);
            let calls = (10_000_000 / permille).min(10_000);
            (0..calls).for_each(|_| budget.deposit());
            let expected = u64::from(calls) * u64::from(permille) / 1000;
            assert_eq!(drain(&budget), expected, "{permille} of a thousand");
        }
    });
}

#[test]
fn time_fills_the_bucket_up_to_its_reserve() {
    World::run(async |_| {
        let budget = Budget::percent(0).per_second(2).reserve(5);
        assert_eq!(drain(&budget), 5);
        tokio::time::sleep(ms(499)).await;
        assert_eq!(drain(&budget), 0);
        tokio::time::sleep(ms(1)).await;
        assert_eq!(drain(&budget), 1);
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!(budget.snapshot().available, 5);
        assert_eq!(drain(&budget), 5);
    });
}

#[test]
fn after_any_time_of_rest_it_has_what_the_time_brought() {
    World::run(async |_| {
        let budget = Budget::percent(0).reserve(10);
        for seconds in
            [5, 9, 10, 60, 9 * 60, 10 * 60, 15 * 60, 17 * 60, 18 * 60, 30 * 60, 86_400, 30 * 86_400]
        {
            drain(&budget);
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            assert_eq!(u64::from(budget.snapshot().available), seconds.min(10), "after {seconds} s");
        }
    });
}

#[test]
fn a_clock_that_goes_back_brings_nothing() {
    let budget = Budget::percent(100).reserve(5);
    World::run(async |_| {
        assert_eq!(drain(&budget), 5);
        tokio::time::sleep(Duration::from_secs(86_400)).await;
        assert_eq!(drain(&budget), 5);
    });
    // Another runtime, whose clock was not moved.
    World::run(async |_| {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(600)).await;
            assert_eq!(drain(&budget), 0);
        }
        budget.deposit();
        assert_eq!(drain(&budget), 1);
    });
}

#[test]
fn the_largest_settings_do_not_overflow() {
    World::run(async |_| {
        for budget in [Budget::percent(u32::MAX), Budget::permille(u32::MAX)] {
            let budget = budget.per_second(u32::MAX).reserve(u32::MAX);
            for _ in 0..3 {
                budget.try_withdraw().unwrap().spend();
                budget.deposit();
                tokio::time::sleep(Duration::from_secs(1_000_000)).await;
                assert_eq!(budget.snapshot().available, u32::MAX);
            }
        }
    });
}

#[test]
fn a_snapshot_counts_what_was_allowed_and_what_was_not() {
    World::run(async |_| {
        let counts = |budget: &Budget| {
            let seen = budget.snapshot();
            (seen.available, seen.granted, seen.refused)
        };
        let budget = Budget::percent(0).per_second(0).reserve(2);
        assert_eq!(counts(&budget), (2, 0, 0));
        let permit = budget.try_withdraw().unwrap();
        assert_eq!(counts(&budget), (1, 1, 0));
        drop(permit);
        assert_eq!(counts(&budget), (2, 0, 0), "it never began");
        let policy = Policy::new(Backoff::none()).max_attempts(9).budget(budget.clone());
        policy.run(|| ready(Err::<(), _>(Refused(1)))).await.unwrap_err();
        assert_eq!(counts(&budget), (0, 2, 1));
    });
}

#[test]
fn no_share_and_no_time_means_no_retry_once_the_reserve_is_gone() {
    World::run(async |_| {
        let budget = Budget::percent(0).per_second(0).reserve(1);
        assert_eq!(drain(&budget), 1);
        (0..1000).for_each(|_| budget.deposit());
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(drain(&budget), 0);
    });
}

#[test]
fn a_retry_that_never_begins_gives_its_token_back() {
    World::run(async |_| {
        let budget = Budget::percent(0).per_second(0).reserve(3);
        let policy = Policy::fixed(ms(1000)).budget(budget.clone());
        let call = policy.run(|| ready(Err::<(), _>(Refused(1))));
        assert!(tokio::time::timeout(ms(500), call).await.is_err());
        assert_eq!(budget.snapshot().available, 3, "cancelled during the wait");

        let calls = Cell::new(0);
        let call = policy.run(async || match calls.replace(calls.get() + 1) {
            0 => Err(Refused(0)),
            _ => pending::<Result<(), _>>().await,
        });
        assert!(tokio::time::timeout(ms(1500), call).await.is_err());
        assert_eq!(budget.snapshot().available, 2, "cancelled during the retry");
    });
}

#[test]
fn a_call_that_was_cancelled_keeps_no_token() {
    World::run(async |_| {
        let budget = Budget::percent(0).per_second(0).reserve(3);
        let policy = Policy::fixed(ms(20)).budget(budget.clone());
        let mut call = pin!(policy.run(async || Err::<(), _>(Refused(0))).until(tokio::time::sleep(ms(10))));
        assert_eq!(call.as_mut().await.unwrap_err().reason, GaveUp::Cancelled);
        assert_eq!(budget.snapshot().available, 3, "although the future is still there");
    });
}

#[test]
fn each_call_deposits_once_whatever_its_first_poll_finds() {
    World::run(async |_| {
        let budget = Budget::percent(100).per_second(0).reserve(20);
        (0..15).for_each(|_| budget.try_withdraw().unwrap().spend());
        let policy = Policy::fixed(ms(10)).max_attempts(1).budget(budget.clone());
        let later = Instant::now() + ms(1000);
        let succeed = async || Ok::<_, Refused>(());
        policy.run(succeed).await.unwrap();
        assert_eq!(budget.snapshot().available, 6);
        policy.run(succeed).deadline(later).await.unwrap();
        assert_eq!(budget.snapshot().available, 7, "with a deadline");
        let described = async |attempt: Attempt| (attempt.number() == 1).then_some(()).ok_or(Refused(0));
        policy.run_with(described).await.unwrap();
        assert_eq!(budget.snapshot().available, 8, "described");
        let slow = async || {
            tokio::time::sleep(ms(5)).await;
            Ok::<_, Refused>(())
        };
        policy.run(slow).await.unwrap();
        assert_eq!(budget.snapshot().available, 9, "pending");
        let error = policy.run(async || Err::<(), _>(Refused(1))).await.unwrap_err();
        assert_eq!((error.attempts, budget.snapshot().available), (1, 10), "failed");
        let error = policy.run(succeed).until(ready(())).await.unwrap_err();
        assert_eq!((error.attempts, budget.snapshot().available), (0, 10), "cancelled before it began");
        let error = policy.run(succeed).deadline(Instant::now()).await.unwrap_err();
        assert_eq!((error.attempts, budget.snapshot().available), (0, 10), "late before it began");
    });
}

#[test]
fn a_permanent_error_and_a_deadline_take_no_token() {
    World::run(async |_| {
        let budget = Budget::percent(0).per_second(0).reserve(1);
        let policy = Policy::fixed(ms(1000)).total_timeout(ms(1000)).budget(budget.clone());
        let fail = || ready(Err::<(), _>(Refused(1)));
        assert_eq!(policy.run(fail).when(|_| false).await.unwrap_err().reason, GaveUp::Permanent);
        assert_eq!(policy.run(fail).await.unwrap_err().reason, GaveUp::Deadline);
        assert_eq!(budget.snapshot().available, 1);
    });
}

#[test]
fn clones_of_a_static_policy_share_its_bucket() {
    static POLICY: Policy =
        Policy::new(Backoff::none()).max_attempts(2).budget(Budget::percent(0).per_second(0).reserve(1));
    World::run(async |_| {
        let fail = || ready(Err::<(), _>(Refused(1)));
        let cloned = POLICY.clone();
        assert_eq!(cloned.run(fail).await.unwrap_err().reason, GaveUp::Attempts);
        assert_eq!(POLICY.run(fail).await.unwrap_err().reason, GaveUp::Budget);
        assert_eq!(cloned.run(fail).await.unwrap_err().reason, GaveUp::Budget);
    });
}

#[test]
fn threads_never_take_more_than_there_is() {
    for _ in 0..20 {
        let budget = Budget::percent(100).per_second(0).reserve(1000);
        let (taken, barrier) = (AtomicU32::new(0), Arc::new(Barrier::new(4)));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    barrier.wait();
                    for round in 0..1000 {
                        match budget.try_withdraw() {
                            Some(permit) if round % 2 == 0 => {
                                taken.fetch_add(1, Relaxed);
                                permit.spend();
                            }
                            other => drop(other),
                        }
                    }
                });
            }
        });
        assert_eq!(u64::from(taken.into_inner()) + drain(&budget), 1000);
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Deposit(u16),
    Withdraw,
    WithdrawAndDrop,
    Wait(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..50_u16).prop_map(Step::Deposit),
        Just(Step::Withdraw),
        Just(Step::WithdrawAndDrop),
        (0..3000_u32).prop_map(Step::Wait)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    /// The model: an exact bucket in rational numbers (thousandths of a token).
    #[test]
    fn it_is_the_exact_bucket(
        permille in 0..3000_u32, per_second in 0..5_u32, reserve in 1..50_u32,
        steps in prop::collection::vec(step(), 0..100),
    ) {
        World::run(async |_| {
            let budget = Budget::permille(permille).per_second(per_second).reserve(reserve);
            let full = u64::from(reserve) * 1000;
            let (mut exact, mut granted, mut refused) = (full, 0, 0);
            for step in steps {
                // The first use starts its clock.
                let got = u64::from(budget.snapshot().available);
                assert_eq!(got, exact / 1000);
                match step {
                    Step::Deposit(calls) => for _ in 0..calls {
                        budget.deposit();
                        exact = (exact + u64::from(permille)).min(full);
                    },
                    Step::Wait(millis) => {
                        tokio::time::sleep(ms(u64::from(millis))).await;
                        exact = (exact + u64::from(per_second) * u64::from(millis)).min(full);
                    }
                    Step::Withdraw | Step::WithdrawAndDrop => match (budget.try_withdraw(), step) {
                        (Some(permit), Step::Withdraw) => {
                            permit.spend();
                            exact -= 1000;
                            granted += 1;
                        }
                        (got, _) => {
                            assert_eq!(got.is_some(), exact >= 1000);
                            refused += u64::from(got.is_none());
                        }
                    }
                }
            }
            let seen = budget.snapshot();
            assert_eq!((u64::from(seen.available), seen.granted, seen.refused), (exact / 1000, granted, refused));
        });
    }
}
