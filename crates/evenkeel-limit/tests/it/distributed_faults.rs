//! Each fault at each call, under each policy.

use std::{sync::Arc, time::Duration};

use evenkeel_limit::{
    Rate,
    distributed::{Distributed, MemoryStore, OnFailure},
};
use evenkeel_testkit::{World, took};
use tokio::time::{Instant, sleep};

use crate::{
    distributed::{Fault, Faulty, cause, ms},
    distributed_suite::{Clock, suite},
};

const FAULTS: [Fault; 9] = [
    Fault::Error,
    Fault::Hang,
    Fault::Lose,
    Fault::Slow(ms(20)),
    Fault::Slow(ms(70)),
    Fault::TooMany,
    Fault::None,
    Fault::Never,
    Fault::Panic,
];
const POLICIES: [OnFailure; 3] = [OnFailure::Open, OnFailure::Closed, OnFailure::LocalShare(1)];

fn panics(fault: Fault) -> usize {
    usize::from(fault == Fault::Panic)
}

/// Two processes ask twelve times each, and one call of all goes wrong.
async fn one_fault(fault: Fault, call: usize, policy: OnFailure) {
    let what = format!("{fault:?} in call {call} under {policy:?}");
    let store = Faulty::new();
    store.at(call, fault);
    let quota = || {
        let quota = Distributed::new(Arc::clone(&store), "quota", Rate::per_second(1000)).burst(100);
        quota.lease(3).timeout(ms(50)).on_failure(policy)
    };
    let (one, two) = (quota(), quota());
    let start = Instant::now();
    let mut refused = 0;
    for _ in 0..12 {
        for quota in [&one, &two] {
            let (granted, waited) = took(quota.acquire()).await;
            assert!(waited <= ms(51), "{what}: {waited:?}");
            refused += u64::from(granted.is_err());
            sleep(ms(9)).await;
        }
    }
    let granted = one.snapshot().granted + two.snapshot().granted;
    assert_eq!(granted + refused, 24, "{what}");
    assert_eq!(one.snapshot().refused + two.snapshot().refused, refused, "{what}");
    assert!(refused == 0 || policy == OnFailure::Closed, "{what}");
    let fails = !matches!(fault, Fault::Slow(time) if time < ms(50));
    let failed = one.snapshot().failures + two.snapshot().failures;
    assert_eq!(failed, u64::from(fails && call < store.calls().len()), "{what}");

    // It comes back, gives back what it has, and nothing is made up: after a second the bucket is full.
    sleep(ms(100)).await;
    one.acquire().await.unwrap();
    two.acquire().await.unwrap();
    sleep(ms(1)).await;
    assert!(!one.snapshot().store_down && !two.snapshot().store_down, "{what}");
    sleep(Duration::from_secs(2)).await;
    assert_eq!((one.snapshot().leased, two.snapshot().leased), (0, 0), "{what}");
    assert!(start.elapsed() < Duration::from_secs(4), "{what}");
    one.acquire_many(100).await.unwrap();
    assert!(two.try_acquire().await.is_err(), "{what}");
}

#[test]
fn every_fault_at_every_call_under_every_policy() {
    for fault in FAULTS {
        for policy in POLICIES {
            for call in 0..8 {
                let world = World::builder().allow_panics(panics(fault));
                world.run(move |_| one_fault(fault, call, policy));
            }
        }
    }
}

#[test]
fn the_cause_is_told() {
    let causes = [
        (Fault::Error, "connection refused"),
        (Fault::Hang, "no answer within 100ms"),
        (Fault::TooMany, "an answer that does not fit the question"),
        (Fault::None, "an answer that does not fit the question"),
        (Fault::Never, "an answer that does not fit the question"),
        (Fault::Panic, "the call was cut off by a panic, or the end of its runtime"),
    ];
    for (fault, expected) in causes {
        World::builder().allow_panics(panics(fault)).run(async move |_| {
            let store = Faulty::new();
            store.always(Some(fault));
            let quota = Distributed::new(store, "quota", Rate::per_second(10));
            assert_eq!(cause(quota.acquire().await), expected);
        });
    }
}

#[test]
fn the_suite_holds_for_a_store_that_is_slow() {
    World::run(async |_| {
        let store = Faulty::new();
        store.always(Some(Fault::Slow(ms(3))));
        let mut count = 0;
        let limit = |rate, burst| {
            count += 1;
            Distributed::new(Arc::clone(&store), format!("{count}"), rate).burst(burst)
        };
        let limit = std::cell::RefCell::new(limit);
        suite(Clock::Real(Duration::ZERO), |rate, burst| limit.borrow_mut()(rate, burst)).await;
    });
}

#[test]
fn a_runtime_that_ends_in_the_middle_of_a_call_is_a_failure() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let store = {
        let _entered = first.enter();
        Faulty::new()
    };
    store.at(0, Fault::Hang);
    let quota = Arc::new(Distributed::new(Arc::clone(&store), "quota", Rate::per_second(10)).burst(2));
    let waiting = Arc::clone(&quota);
    first.spawn(async move { waiting.acquire().await });
    first.block_on(tokio::task::yield_now());
    first.block_on(tokio::task::yield_now());
    assert_eq!(store.calls().len(), 1);
    let here = Arc::clone(&quota);
    let waiting = second.spawn(async move { here.acquire().await });
    second.block_on(tokio::task::yield_now());
    drop(first);
    let end = "the call was cut off by a panic, or the end of its runtime";
    assert_eq!(cause(second.block_on(waiting).unwrap()), end);
    second.block_on(async {
        sleep(ms(50)).await;
        quota.acquire().await.unwrap();
    });
}

/// Those who wait elsewhere go on with a runner of their own.
#[test]
fn a_runtime_that_ends_between_two_calls_holds_nobody_up() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let quota = Distributed::new(MemoryStore::new(), "quota", Rate::per_second(50)).burst(1);
    let quota = Arc::new(quota);
    let here = Arc::clone(&quota);
    first.block_on(async move {
        here.acquire().await.unwrap();
        let waiting = tokio::spawn(async move { here.acquire().await });
        sleep(ms(1)).await;
        drop(waiting);
    });
    let here = Arc::clone(&quota);
    let waiting = second.spawn(async move { here.acquire().await });
    second.block_on(tokio::task::yield_now());
    assert_eq!(quota.snapshot().waiting, 2);
    drop(first);
    second.block_on(waiting).unwrap().unwrap();
    let snapshot = quota.snapshot();
    assert_eq!((snapshot.waiting, snapshot.granted, snapshot.failures), (0, 2, 0));
}
