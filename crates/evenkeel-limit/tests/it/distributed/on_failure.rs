//! The policies for a store that does not answer, to the millisecond.

use std::{sync::Arc, time::Duration};

use evenkeel_limit::{
    Rate,
    distributed::{Distributed, Error, OnFailure},
};
use evenkeel_testkit::{World, assert_took, took};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    distributed::fixtures::{Fault, FaultyStore, available_elsewhere, cause, ms, process},
    fixtures::ByHand,
};

const RATE: Rate = Rate::per_second(100);

fn with_policy(store: &Arc<FaultyStore>, policy: OnFailure) -> Distributed {
    process(store, RATE).timeout(ms(30)).on_failure(policy)
}

#[test]
fn closed_refuses_and_says_why_and_when() {
    World::run(async |_| {
        let store = FaultyStore::new();
        store.always(Some(Fault::Hang));
        let quota = with_policy(&store, OnFailure::Closed);
        let error = assert_took!(quota.acquire(), ms(30)).unwrap_err();
        assert_eq!(error.to_string(), "the store of the limit does not answer: try again in 50ms");
        assert_eq!(cause(Err(error)), "no answer within 30ms");

        store.always(Some(Fault::Error));
        sleep(ms(20)).await;
        let error = assert_took!(quota.try_acquire(), ms(0)).unwrap_err();
        assert_eq!(error.retry_after(), Some(ms(30)));
        sleep(ms(30)).await;
        assert_eq!(cause(assert_took!(quota.acquire_many(7), ms(0))), "connection refused");
        assert_eq!(store.times(), [0, 80]);
        let snapshot = quota.snapshot();
        assert_eq!((snapshot.calls, snapshot.failures, snapshot.refused), (2, 2, 3));
        assert!(snapshot.store_down);
    });
}

#[test]
fn a_dead_store_is_asked_ever_more_rarely_and_only_if_anybody_asks() {
    World::run(async |_| {
        for policy in [OnFailure::Open, OnFailure::Closed] {
            let store = FaultyStore::new();
            store.always(Some(Fault::Error));
            let quota = with_policy(&store, policy);
            for _ in 0..5_000 {
                let _ = assert_took!(quota.acquire(), ms(0));
                sleep(ms(1)).await;
            }
            assert_eq!(store.times(), [0, 50, 150, 350, 750, 1550, 2550, 3550, 4550]);
            sleep(Duration::from_secs(60)).await;
            assert_eq!(store.times().len(), 9);
        }
    });
}

#[test]
fn open_grants_everything() {
    World::run(async |_| {
        let store = FaultyStore::new();
        store.always(Some(Fault::Hang));
        let quota = with_policy(&store, OnFailure::Open).burst(5);
        assert_took!(quota.acquire(), ms(30)).unwrap();
        for _ in 0..1_000 {
            assert_took!(quota.acquire_many(5), ms(0)).unwrap();
            assert_took!(quota.try_acquire(), ms(0)).unwrap();
        }
        assert!(quota.acquire_many(6).await.is_err());
        assert_eq!(quota.snapshot().granted, 2_001);

        // The next answer of the store ends the outage.
        store.always(None);
        sleep(ms(50)).await;
        quota.acquire().await.unwrap();
        sleep(ms(1)).await;
        assert!(!quota.snapshot().store_down);
        assert_eq!(available_elsewhere(&store, RATE, 5).await, 4);
    });
}

#[test]
fn a_local_share_is_a_part_of_rate_and_burst_and_starts_empty() {
    World::run(async |_| {
        let store = FaultyStore::new();
        store.always(Some(Fault::Hang));
        let quota = with_policy(&store, OnFailure::LocalShare(4)).burst(20);
        // 25 per second.
        assert_took!(quota.acquire(), ms(30 + 40)).unwrap();
        assert_took!(quota.acquire_many(3), ms(120)).unwrap();
        let error = assert_took!(quota.try_acquire(), ms(0)).unwrap_err();
        assert_eq!(error.retry_after(), Some(ms(40)));
        // A full burst of 5, and the rest is paid off afterwards.
        assert_took!(quota.acquire_many(20), ms(200)).unwrap();
        assert_took!(quota.acquire(), ms(16 * 40)).unwrap();
        let snapshot = quota.snapshot();
        assert_eq!((snapshot.granted, snapshot.refused, snapshot.waiting), (4, 1, 0));
    });
}

#[test]
fn who_waits_for_a_share_goes_back_to_the_store_when_it_answers() {
    World::run(async |_| {
        let store = FaultyStore::new();
        store.always(Some(Fault::Error));
        let quota = Distributed::new(Arc::clone(&store), "quota", Rate::every(Duration::from_secs(60)))
            .burst(8)
            .on_failure(OnFailure::LocalShare(2));
        let mend = async {
            sleep(ms(800)).await;
            assert_eq!(quota.snapshot().waiting, 3);
            store.always(None);
        };
        let acquires = async { tokio::join!(quota.acquire(), quota.acquire_many(4), quota.acquire()) };
        // The store is called again while requests wait, at 50, 150, 350, 750 and 1550 ms.
        let ((first, second, third), ()) = assert_took!(async { tokio::join!(acquires, mend) }, ms(1550));
        assert!(first.is_ok() && second.is_ok() && third.is_ok());
        assert_eq!((quota.snapshot().waiting, quota.snapshot().granted), (0, 3));
        assert_eq!(available_elsewhere(&store, Rate::every(Duration::from_secs(60)), 8).await, 2);
    });
}

#[test]
fn what_is_in_hand_is_granted_under_every_policy() {
    World::run(async |_| {
        for policy in [OnFailure::Open, OnFailure::Closed, OnFailure::LocalShare(2)] {
            let store = FaultyStore::new();
            let quota = with_policy(&store, policy).lease(10);
            quota.acquire_many(3).await.unwrap();
            store.always(Some(Fault::Hang));
            for _ in 0..7 {
                assert_took!(quota.acquire(), ms(0)).unwrap();
            }
            let (_, waited) = took(quota.acquire()).await;
            assert!(waited >= ms(30));
        }
    });
}

#[test]
fn an_outage_adds_no_more_than_a_burst() {
    World::run(async |_| {
        for (policy, processes) in [(OnFailure::Closed, 3), (OnFailure::LocalShare(3), 3)] {
            let store = FaultyStore::new();
            let all: Vec<_> = (0..processes).map(|_| with_policy(&store, policy).burst(30)).collect();
            let start = Instant::now();
            let end = start + Duration::from_secs(10);
            let work = async |quota: &Distributed| {
                let mut granted = 0;
                while Instant::now() < end {
                    match quota.acquire().await {
                        Ok(()) => granted += 1,
                        Err(_) => sleep(ms(1)).await,
                    }
                }
                granted
            };
            let outage = async {
                sleep(ms(2_000)).await;
                store.always(Some(Fault::Hang));
                sleep(ms(5_000)).await;
                store.always(None);
                sleep_until(end).await;
            };
            let works = futures::future::join_all(all.iter().map(work));
            let (granted, ()) = tokio::join!(works, outage);
            let total: u32 = granted.iter().sum();
            let most = 30 + 10 * 100 + 30;
            assert!(total <= most, "{policy:?}: {total}");
            // With the local share the rate goes on.
            let least = if policy == OnFailure::Closed { 300 } else { 900 };
            assert!(total >= least, "{policy:?}: {total}");
        }
    });
}

#[test]
fn after_a_long_rest_the_first_one_finds_the_store_again() {
    World::run(async |_| {
        for policy in [OnFailure::Closed, OnFailure::LocalShare(4)] {
            let store = FaultyStore::new();
            store.at(0, Fault::Error);
            let quota = with_policy(&store, policy);
            if policy == OnFailure::Closed {
                assert!(matches!(quota.acquire().await, Err(Error::Unavailable { .. })));
            } else {
                assert_took!(quota.acquire(), ms(40)).unwrap();
            }
            sleep(Duration::from_secs(3600)).await;
            assert_took!(quota.acquire_many(50), ms(0)).unwrap();
            sleep(ms(1)).await;
            assert!(!quota.snapshot().store_down);
        }
    });
}

/// Waiters keep their places when an outage begins and when it ends.
#[test]
fn nobody_overtakes_at_the_end_of_an_outage() {
    World::run(async |_| {
        let store = FaultyStore::new();
        store.always(Some(Fault::Error));
        let quota = Distributed::new(Arc::clone(&store), "quota", Rate::every(Duration::from_secs(60)))
            .burst(8)
            .on_failure(OnFailure::LocalShare(2));
        let mut waiting = ByHand::queued(quota.acquire());
        sleep(ms(1)).await;
        assert!(waiting.poll().is_pending());
        store.always(None);
        sleep(ms(50)).await;
        assert!(!quota.snapshot().store_down);
        assert!(ByHand::new(quota.acquire()).poll().is_pending());
        assert!(waiting.poll().is_ready());
    });
}

/// The local share serves during a call that hangs, and by the clock: a late grant costs no rate.
#[test]
fn a_share_keeps_its_rate_while_the_store_hangs() {
    World::run(async |_| {
        let store = FaultyStore::new();
        store.always(Some(Fault::Hang));
        let quota = process(&store, Rate::per_second(3_000)).on_failure(OnFailure::LocalShare(2)).burst(2);
        let all = futures::future::join_all((0..3_000).map(|_| quota.acquire()));
        let granted = assert_took!(all, ms(100 + 2_000));
        assert!(granted.iter().all(Result::is_ok));
        // 15 permits were earned in the last 10 ms, and 1 fits.
        sleep(ms(10)).await;
        assert!(quota.try_acquire().await.is_ok() && quota.try_acquire().await.is_err());
    });
}

/// A dropped waiter takes nothing of the local share, and returned permits go to the share.
#[test]
fn a_share_is_left_as_if_nobody_had_come() {
    World::run(async |_| {
        let store = FaultyStore::new();
        store.always(Some(Fault::Error));
        let quota = with_policy(&store, OnFailure::LocalShare(10)).burst(10);
        // 10 per second, one at a time.
        let mut large = ByHand::queued(quota.acquire_many(10));
        let mut small = ByHand::queued(quota.acquire());
        sleep(ms(99)).await;
        assert!(large.poll().is_pending() && small.poll().is_pending());
        drop(large);
        sleep(ms(2)).await;
        // Granted, and dropped before it was observed.
        assert_eq!(small.wakes(), 1);
        drop(small);
        assert_took!(quota.acquire(), ms(0)).unwrap();
        quota.refund(5);
        assert_took!(quota.acquire(), ms(0)).unwrap();
        assert_took!(quota.acquire(), ms(100)).unwrap();
        assert_eq!(quota.snapshot().leased, 0);
    });
}
