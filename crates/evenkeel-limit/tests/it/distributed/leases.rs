//! The number of calls, the order of grants, and the return of unused permits.

use std::{sync::Mutex, time::Duration};

use evenkeel_limit::{
    Rate, RateLimiter,
    distributed::{Distributed, MemoryStore},
};
use evenkeel_testkit::{World, assert_took};
use futures::future::join_all;
use tokio::{
    task::yield_now,
    time::{Instant, sleep, timeout},
};

use crate::{
    distributed::every_store::{Clock, suite},
    distributed::fixtures::{Fault, FaultyStore, available_elsewhere, ms, process},
    fixtures::ByHand,
};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn the_suite_holds_in_this_process() {
    World::run(async |_| suite(Clock::Exact, |rate, burst| RateLimiter::new(rate).burst(burst)).await);
}

#[test]
fn the_suite_holds_in_memory() {
    World::run(async |_| {
        suite(Clock::Exact, |rate, burst| Distributed::new(MemoryStore::new(), "", rate).burst(burst)).await;
    });
}

#[test]
fn the_suite_holds_with_leases() {
    World::run(async |_| {
        let limit = |rate, burst| Distributed::new(MemoryStore::new(), "", rate).burst(burst).lease(2);
        suite(Clock::Real(Duration::ZERO), limit).await;
    });
}

#[test]
fn a_lease_is_one_call() {
    World::run(async |_| {
        let store = FaultyStore::new();
        let quota = process(&store, Rate::per_second(1000)).lease(64);
        for _ in 0..640 {
            assert_took!(quota.acquire(), ms(0)).unwrap();
        }
        assert_eq!(store.calls(), [(ms(0), (0, 1, 64)); 10]);
    });
}

#[test]
fn those_who_wait_at_the_same_time_share_a_call() {
    World::run(async |_| {
        let store = FaultyStore::new();
        store.always(Some(Fault::Slow(ms(5))));
        let quota = process(&store, Rate::per_second(1000));
        let all = join_all((0..500).map(|_| quota.acquire()));
        assert!(assert_took!(all, ms(5)).into_iter().all(|granted| granted.is_ok()));
        assert_eq!(store.calls(), [(ms(0), (0, 1, 500))]);
    });
}

/// One permit and one call for each, in order and on time, and two polls.
#[test]
fn a_long_queue_is_served_on_schedule() {
    World::run(async |_| {
        let store = FaultyStore::new();
        let quota = process(&store, Rate::per_second(1000)).burst(10);
        quota.acquire_many(10).await.unwrap();
        let (start, order) = (Instant::now(), Mutex::new(vec![]));
        join_all((0..3_000).map(async |who| {
            quota.acquire().await.unwrap();
            order.lock().unwrap().push((who, start.elapsed()));
        }))
        .await;
        let expected: Vec<_> = (0..3_000).map(|who| (who, ms(who + 1))).collect();
        assert_eq!(order.into_inner().unwrap(), expected);
    });
}

#[test]
fn what_is_left_of_a_lease_goes_back_after_a_second() {
    World::run(async |_| {
        let (store, rate) = (FaultyStore::new(), Rate::every(DAY));
        let quota = process(&store, rate).burst(50).lease(10);
        quota.acquire_many(3).await.unwrap();
        sleep(ms(600)).await;
        quota.acquire_many(2).await.unwrap();
        assert_eq!(available_elsewhere(&store, rate, 50).await, 40);
        sleep(ms(399)).await;
        assert_eq!(quota.snapshot().leased, 5);
        sleep(ms(2)).await;
        assert_eq!(quota.snapshot().leased, 0);
        assert_eq!(store.calls(), [(ms(0), (0, 1, 10)), (ms(1000), (5, 0, 0))]);
        assert_eq!(available_elsewhere(&store, rate, 50).await, 5);
    });
}

#[test]
fn closing_gives_back_and_dropping_does_not() {
    World::run(async |_| {
        for close in [true, false] {
            let (store, rate) = (FaultyStore::new(), Rate::every(DAY));
            let quota = process(&store, rate).burst(50).lease(10);
            quota.acquire().await.unwrap();
            if close {
                assert_took!(quota.close(), ms(0));
            }
            drop(quota);
            sleep(2 * SECOND).await;
            assert_eq!(available_elsewhere(&store, rate, 50).await, if close { 49 } else { 40 });
        }
    });
}

#[test]
fn closing_waits_for_a_call_and_gives_back_what_it_brings() {
    World::run(async |_| {
        let (store, rate) = (FaultyStore::new(), Rate::every(DAY));
        store.always(Some(Fault::Slow(ms(5))));
        let quota = process(&store, rate).burst(50).lease(10);
        let mut waiting = ByHand::queued(quota.acquire());
        yield_now().await;
        assert_took!(quota.close(), ms(10));
        assert!(waiting.poll().is_ready());
        assert_eq!(available_elsewhere(&store, rate, 50).await, 50);
        // With a store that hangs, it takes the time-out.
        store.always(Some(Fault::Hang));
        let quota = process(&store, rate).timeout(ms(30));
        let waiting = ByHand::queued(quota.acquire());
        yield_now().await;
        drop(waiting);
        assert_took!(quota.close(), ms(30));
    });
}

/// Many refused requests cost one call, until a permit is due.
#[test]
fn an_empty_bucket_is_not_asked_in_vain() {
    World::run(async |_| {
        let store = FaultyStore::new();
        let quota = process(&store, Rate::per_second(10)).burst(1);
        let start = Instant::now();
        let mut granted = vec![];
        while start.elapsed() < ms(250) {
            match quota.try_acquire().await {
                Ok(()) => granted.push(start.elapsed()),
                Err(error) => {
                    let left = ms(100 * granted.len() as u64) - start.elapsed();
                    assert_eq!(error.retry_after(), Some(left));
                }
            }
            sleep(ms(1)).await;
        }
        assert_eq!(granted, [ms(0), ms(100), ms(200)]);
        // The answer that grants the last permit says that there is no other.
        assert_eq!(store.times(), [0, 100, 200]);
    });
}

/// Another process returns permits long before any would be earned.
#[test]
fn what_others_give_back_is_noticed_within_a_second() {
    World::run(async |_| {
        let (store, rate) = (FaultyStore::new(), Rate::every(DAY));
        let (one, two) = (process(&store, rate).burst(5), process(&store, rate).burst(5));
        one.acquire_many(5).await.unwrap();
        let waits = async { timeout(10 * SECOND, two.acquire_many(2)).await };
        let gives = async {
            sleep(ms(1300)).await;
            one.refund(4);
            one.close().await;
        };
        let (got, ()) = assert_took!(async { tokio::join!(waits, gives) }, 2 * SECOND);
        assert!(got.unwrap().is_ok());
        assert_eq!(available_elsewhere(&store, rate, 5).await, 2);
    });
}

/// At most one call in ten milliseconds for each process, though a permit is earned each millisecond; none is lost.
#[test]
fn with_leases_an_empty_bucket_is_asked_less_often() {
    World::run(async |_| {
        let store = FaultyStore::new();
        let quota = process(&store, Rate::per_second(1000)).burst(100).lease(50);
        quota.acquire_many(100).await.unwrap();
        let work = async {
            for _ in 0..2_000 {
                quota.acquire().await.unwrap();
            }
        };
        assert_took!(work, 2 * SECOND);
        assert!(store.calls().len() <= 205, "{}", store.calls().len());
    });
}

/// Requests that only try are refused at once if others wait, and else after an answer; each by its own size.
#[test]
fn tries_at_the_same_time_are_answered_by_one_call() {
    World::run(async |_| {
        let store = FaultyStore::new();
        let quota = process(&store, Rate::per_second(10)).burst(8);
        store.always(Some(Fault::Slow(ms(5))));
        let tries = [5, 4, 2, 2].map(|permits| quota.try_acquire_many(permits));
        let results = assert_took!(join_all(tries), ms(5));
        let waits: Vec<_> =
            results.into_iter().map(|got| got.err().and_then(|error| error.retry_after())).collect();
        assert_eq!(waits, [None, Some(ms(100)), None, Some(ms(100))]);
        let calls: Vec<_> = store.calls().into_iter().map(|call| call.1).collect();
        assert_eq!(calls, [(0, 5, 8)]);
    });
}

/// As many tries as there are: each takes one call, and not one for each before it.
#[test]
fn no_try_waits_for_the_calls_of_others() {
    World::run(async |_| {
        let store = FaultyStore::new();
        let quota = process(&store, Rate::per_second(1000)).burst(1);
        store.always(Some(Fault::Slow(ms(90))));
        let results = assert_took!(join_all((0..20).map(|_| quota.try_acquire())), ms(90));
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        assert_eq!(store.calls().len(), 1);
    });
}

/// A store that panics ends the worker, which was to return them.
#[test]
fn unused_permits_go_away_though_the_store_panics() {
    World::builder().allow_panics(3).run(async |_| {
        let store = FaultyStore::new();
        let quota = process(&store, Rate::per_second(10)).burst(8);
        quota.acquire_many(8).await.unwrap();
        store.always(Some(Fault::Panic));
        assert!(quota.acquire().await.is_err());
        sleep(ms(100)).await;
        quota.refund(5);
        assert_eq!(quota.snapshot().leased, 5);
        sleep(SECOND + ms(2)).await;
        assert_eq!(quota.snapshot().leased, 0);
    });
}

/// A lease and the permits of a request that is dropped before it sees them are more than the burst together.
#[test]
fn a_request_that_is_dropped_with_its_grant_loses_none() {
    World::run(async |_| {
        let store = FaultyStore::new();
        let quota = process(&store, Rate::per_second(10)).burst(2).lease(2);
        quota.acquire().await.unwrap();
        sleep(ms(500)).await;
        let mut waiting = Box::pin(quota.acquire_many(2));
        assert!(timeout(ms(0), &mut waiting).await.is_err());
        sleep(ms(1)).await;
        assert_eq!((quota.snapshot().leased, quota.snapshot().waiting), (1, 0));
        drop(waiting);
        assert_eq!(quota.snapshot().leased, 3);
        quota.refund(1);
        assert_eq!(quota.snapshot().leased, 3, "a refund that is nobody's");
        quota.close().await;
        assert_eq!(available_elsewhere(&store, Rate::per_second(10), 2).await, 2);
    });
}

/// The call that panics is under way when the limit is closed.
#[test]
fn a_limit_that_is_closed_keeps_no_permit_though_the_store_panics() {
    World::builder().allow_panics(2).run(async |_| {
        let store = FaultyStore::new();
        let quota = process(&store, Rate::per_second(10)).burst(8);
        quota.acquire_many(8).await.unwrap();
        store.always(Some(Fault::SlowPanic(ms(10))));
        let acquires = async { assert!(quota.acquire_many(8).await.is_err()) };
        let closes = async {
            // The call for the first half of its permits is under way.
            sleep(ms(405)).await;
            quota.refund(5);
            assert_eq!((quota.snapshot().leased, quota.snapshot().waiting), (5, 1));
            quota.close().await;
        };
        tokio::join!(acquires, closes);
        assert_eq!(quota.snapshot().leased, 0);
    });
}

#[test]
fn a_try_behind_those_who_wait_is_refused_at_once() {
    World::run(async |_| {
        let store = FaultyStore::new();
        let quota = process(&store, Rate::per_second(10)).burst(8);
        quota.acquire_many(8).await.unwrap();
        let mut waiting = Box::pin(quota.acquire_many(5));
        assert!(timeout(ms(30), &mut waiting).await.is_err());
        let calls = store.calls().len();
        let error = assert_took!(quota.try_acquire_many(2), ms(0)).unwrap_err();
        assert_eq!(error.retry_after(), Some(ms(670)));
        assert_eq!(store.calls().len(), calls);
        assert_took!(waiting, ms(470)).unwrap();
    });
}

/// A hundred permits are collected in ten calls, exactly to the millisecond.
#[test]
fn a_large_request_is_collected_in_few_calls() {
    World::run(async |_| {
        let store = FaultyStore::new();
        let quota = process(&store, Rate::per_second(100));
        quota.acquire_many(100).await.unwrap();
        assert_took!(quota.acquire_many(100), SECOND).unwrap();
        assert!(store.calls().len() <= 10, "{:?}", store.calls());
    });
}

/// When a large request leaves, the next call comes sooner.
#[test]
fn those_behind_one_who_leaves_move_up() {
    World::run(async |_| {
        let store = FaultyStore::new();
        let quota = process(&store, Rate::per_second(10)).burst(8);
        quota.acquire_many(8).await.unwrap();
        let large = async { timeout(ms(50), quota.acquire_many(8)).await.is_err() };
        let (left, small) = assert_took!(async { tokio::join!(large, quota.acquire()) }, ms(100));
        assert!(left && small.is_ok());
    });
}

/// A large request collects its permits against many small requests of another process, in few calls.
#[test]
fn a_large_request_is_not_starved() {
    World::run(async |_| {
        let store = FaultyStore::new();
        let (large, small) = (process(&store, Rate::per_second(100)), process(&store, Rate::per_second(100)));
        small.acquire_many(100).await.unwrap();
        let small = async {
            loop {
                small.acquire().await.unwrap();
            }
        };
        let large = timeout(60 * SECOND, large.acquire_many(100));
        tokio::select! { got = large => got.unwrap().unwrap(), () = small => {} }
    });
}
