//! Each fault at each call, under each policy.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_limit::{
    Rate,
    distributed::{Distributed, MemoryStore, OnFailure},
};
use evenkeel_testkit::{World, took};
use proptest::prelude::*;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    distributed::every_store::{Clock, suite},
    distributed::fixtures::{Fault, FaultyStore, cause, ms, process},
    fixtures::ByHand,
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

/// Two processes make twelve requests each, and one of all calls fails.
async fn one_fault(fault: Fault, call: usize, policy: OnFailure) {
    let what = format!("{fault:?} in call {call} under {policy:?}");
    let store = FaultyStore::new();
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

    // The process recovers, returns its permits, and invents none: after a second the bucket is full.
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
            let store = FaultyStore::new();
            store.always(Some(fault));
            let quota = Distributed::new(store, "quota", Rate::per_second(10));
            assert_eq!(cause(quota.acquire().await), expected);
        });
    }
}

#[test]
fn the_suite_holds_for_a_store_that_is_slow() {
    World::run(async |_| {
        let store = FaultyStore::new();
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
        FaultyStore::new()
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

/// Waiters in another runtime go on with a worker there.
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

/// The worker was spawned in that runtime, and never polled.
#[test]
fn a_runtime_that_ends_before_the_first_call_holds_nobody_up() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let quota = Distributed::new(MemoryStore::new(), "quota", Rate::per_second(50)).burst(1);
    let mut waiting = first.block_on(async { ByHand::queued(quota.acquire()) });
    drop(first);
    assert_eq!(waiting.wakes(), 1);
    second.block_on(async {
        timeout(ms(5_000), quota.acquire()).await.unwrap().unwrap();
        assert!(waiting.poll().is_pending());
        let decided = async {
            while waiting.poll().is_pending() {
                sleep(ms(1)).await;
            }
        };
        timeout(ms(5_000), decided).await.unwrap();
    });
    assert_eq!(quota.snapshot().failures, 0);
}

#[test]
fn a_runtime_that_has_ended_is_a_failure() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let quota = |policy| {
        let quota = Distributed::new(MemoryStore::new(), "quota", Rate::per_second(50));
        quota.burst(1).on_failure(policy)
    };
    let [open, closed, share] = [OnFailure::Open, OnFailure::Closed, OnFailure::LocalShare(1)].map(quota);
    let dead = runtime().handle().clone();
    let waiting = {
        let _entered = dead.enter();
        assert!(ByHand::new(open.acquire()).poll().is_ready());
        assert!(ByHand::new(closed.acquire()).poll().is_ready());
        ByHand::queued(share.acquire())
    };
    assert!([&open, &closed, &share].iter().all(|quota| quota.snapshot().failures == 1));
    runtime().block_on(async {
        timeout(ms(5_000), share.acquire()).await.unwrap().unwrap();
        assert_eq!(waiting.wakes(), 1);
    });
}

#[derive(Clone, Debug)]
enum Event {
    Sleep(u64),
    /// One of two processes requests permits, waiting or not, and is dropped after a time.
    Ask(usize, u32, bool, u64),
    /// Takes an available permit, and returns it.
    Refund(usize),
    Fault(Option<Fault>),
}

fn event() -> impl Strategy<Value = Event> {
    let faults: Vec<_> = FAULTS.into_iter().map(Some).chain([None; 4]).collect();
    prop_oneof![
        3 => (1..120_u64).prop_map(Event::Sleep),
        8 => (0..2_usize, 1..=20_u32, any::<bool>(), 1..400_u64)
            .prop_map(|(who, permits, waits, time)| Event::Ask(who, permits, waits, time)),
        1 => (0..2_usize).prop_map(Event::Refund),
        2 => prop::sample::select(faults).prop_map(Event::Fault),
    ]
}

/// Each request is answered and counted once; without a local share no more permits are used than the store granted.
async fn disorder(policy: OnFailure, lease: u32, events: Vec<Event>) {
    let store = FaultyStore::new();
    let quota = || {
        let quota = process(&store, Rate::per_second(200)).burst(20).lease(lease);
        Arc::new(quota.timeout(ms(20)).on_failure(policy))
    };
    let (quotas, used) = ([quota(), quota()], Arc::new(Mutex::new(0)));
    let (start, mut tasks, mut answered) = (Instant::now(), vec![], 0);
    for event in events {
        match event {
            Event::Sleep(time) => sleep(ms(time)).await,
            Event::Ask(who, permits, waits, time) => {
                let (quota, used) = (Arc::clone(&quotas[who]), Arc::clone(&used));
                tasks.push(tokio::spawn(async move {
                    let answer = async {
                        match waits {
                            true => quota.acquire_many(permits).await,
                            false => quota.try_acquire_many(permits).await,
                        }
                    };
                    let answer = timeout(ms(time), answer).await;
                    if let Ok(Ok(())) = answer {
                        *used.lock().unwrap() += u64::from(permits);
                    }
                    answer.is_ok()
                }));
            }
            Event::Refund(who) => {
                answered += 1;
                if quotas[who].try_acquire().await.is_ok() {
                    quotas[who].refund(1);
                }
            }
            Event::Fault(fault) => store.always(fault),
        }
    }
    store.always(None);
    for task in tasks {
        answered += u64::from(task.await.unwrap());
    }
    if policy == OnFailure::Closed {
        let most = 20 + start.elapsed().as_millis() as u64 / 5;
        assert!(*used.lock().unwrap() <= most, "{:?} of {most}", used.lock());
    }
    // The longest pause of an outage, and the time until all permits have gone back.
    sleep(ms(1_100)).await;
    for quota in &quotas {
        timeout(ms(500), quota.acquire_many(20)).await.unwrap().unwrap();
        sleep(ms(2_500)).await;
        let snapshot = quota.snapshot();
        assert_eq!((snapshot.waiting, snapshot.leased, snapshot.store_down), (0, 0, false));
    }
    let told: u64 = quotas.iter().map(|quota| quota.snapshot().granted + quota.snapshot().refused).sum();
    assert_eq!(told, answered + 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn everybody_is_answered_whatever_happens(
        policy in prop::sample::select(vec![OnFailure::Open, OnFailure::Closed, OnFailure::LocalShare(2)]),
        lease in 1..10_u32,
        events in prop::collection::vec(event(), 1..60),
    ) {
        World::builder().allow_panics(usize::MAX).run(move |_| disorder(policy, lease, events));
    }
}
