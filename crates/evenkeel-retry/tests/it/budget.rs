use std::{
    cell::Cell,
    future::{pending, ready},
    sync::{
        Arc, Barrier,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel_retry::{Backoff, Budget, GaveUp, Policy};
use evenkeel_testkit::World;
use proptest::prelude::*;

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
fn any_share_is_exact_to_a_thousandth() {
    World::run(async |_| {
        for permille in [1_u32, 3, 70, 333, 600, 700, 900, 999, 1000, 2000, 20_000] {
            let budget = Budget::permille(permille).per_second(0).reserve(50_000);
            assert_eq!(drain(&budget), 50_000);
            let calls = (50_000_000 / permille).min(50_000);
            (0..calls).for_each(|_| budget.deposit());
            let expected = u64::from(calls) * u64::from(permille) / 1000;
            let got = drain(&budget);
            assert!(got <= expected && (expected - got) * 1000 <= expected.max(1000), "{got} of {expected}");
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
        assert_eq!(budget.available(), 5);
        assert_eq!(drain(&budget), 5);
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
        assert_eq!(budget.available(), 3, "cancelled during the wait");

        let calls = Cell::new(0);
        let call = policy.run(async || match calls.replace(calls.get() + 1) {
            0 => Err(Refused(0)),
            _ => pending::<Result<(), _>>().await,
        });
        assert!(tokio::time::timeout(ms(1500), call).await.is_err());
        assert_eq!(budget.available(), 2, "cancelled during the retry");
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
        assert_eq!(budget.available(), 1);
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
    /// The model: an exact bucket in rational numbers (thousandths of thousandths of a token).
    #[test]
    fn never_more_than_the_exact_bucket_and_hardly_less(
        permille in 0..3000_u32, per_second in 0..5_u32, reserve in 1..50_u32,
        steps in prop::collection::vec(step(), 0..100),
    ) {
        World::run(async |_| {
            let budget = Budget::permille(permille).per_second(per_second).reserve(reserve);
            let full = u64::from(reserve) * 1_000_000;
            let (mut exact, mut spent_calls) = (full, 0_u64);
            drop(budget.try_withdraw()); // starts its clock
            for step in steps {
                match step {
                    Step::Deposit(calls) => for _ in 0..calls {
                        budget.deposit();
                        exact = (exact + u64::from(permille) * 1000).min(full);
                        spent_calls += 1;
                    },
                    Step::Wait(millis) => {
                        tokio::time::sleep(ms(u64::from(millis))).await;
                        exact = (exact + u64::from(per_second) * u64::from(millis) * 1000).min(full);
                    }
                    Step::Withdraw | Step::WithdrawAndDrop => {
                        let got = budget.try_withdraw();
                        // Each deposit may be short of a 4-millionth of a token.
                        let slack = spent_calls + 200;
                        if got.is_some() { assert!(exact >= 1_000_000, "over-granted at {exact}"); }
                        else { assert!(exact < 1_000_000 + slack, "withheld at {exact}"); }
                        if let (Some(permit), Step::Withdraw) = (got, step) {
                            permit.spend();
                            exact -= 1_000_000;
                        }
                    }
                }
            }
        });
    }
}
