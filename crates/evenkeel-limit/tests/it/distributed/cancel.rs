//! Futures that are dropped during a call of the store.

use std::{sync::Arc, time::Duration};

use evenkeel_limit::{
    Rate,
    distributed::{Distributed, OnFailure},
};
use evenkeel_testkit::{assert_took, cancel};
use tokio::{task::yield_now, time::sleep};

use crate::distributed::fixtures::{Fault, FaultyStore, available_elsewhere, ms, process};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// No permit is lost at any point of cancellation: those in the store and those that were granted add up to the burst.
#[test]
fn cuts_lose_nothing() {
    let setup = async || {
        let store = FaultyStore::new();
        store.always(Some(Fault::Slow(ms(5))));
        let quota = process(&store, Rate::every(DAY)).burst(10).lease(2);
        let shared = Arc::new((quota, Arc::clone(&store)));
        let other = Arc::clone(&shared);
        // Another request waits, too.
        tokio::spawn(async move { other.0.acquire().await });
        yield_now().await;
        shared
    };
    let all_there = async |shared: Arc<(Distributed, Arc<FaultyStore>)>| {
        let (quota, store) = &*shared;
        sleep(2 * SECOND).await;
        let snapshot = quota.snapshot();
        assert_eq!((snapshot.waiting, snapshot.leased), (0, 0));
        store.always(None);
        // A permit takes a day; less than a tenth of one was earned meanwhile.
        assert_eq!(
            available_elsewhere(store, Rate::every(DAY), 10).await,
            9 - (snapshot.granted as u32 - 1) * 3
        );
    };
    let many = async |shared: Arc<(Distributed, Arc<FaultyStore>)>| shared.0.acquire_many(3).await.unwrap();
    assert_eq!(cancel::every_point(setup, many, all_there).points(), 1);
    let tries =
        async |shared: Arc<(Distributed, Arc<FaultyStore>)>| shared.0.try_acquire_many(3).await.unwrap();
    assert_eq!(cancel::every_point(setup, tries, all_there).points(), 1);
}

/// The limit is closed at every point of cancellation, and keeps no permit.
#[test]
fn close_is_done_when_it_is_begun() {
    let setup = async || {
        let store = FaultyStore::new();
        let quota = process(&store, Rate::every(DAY)).burst(10).lease(5);
        quota.acquire().await.unwrap();
        store.always(Some(Fault::Slow(ms(5))));
        Arc::new((quota, store))
    };
    let close = async |shared: Arc<(Distributed, Arc<FaultyStore>)>| shared.0.close().await;
    let cuts = cancel::every_point(setup, close, async |shared| {
        sleep(SECOND).await;
        let (quota, store) = &*shared;
        assert_eq!(quota.snapshot().leased, 0);
        store.always(None);
        assert_eq!(available_elsewhere(store, Rate::every(DAY), 10).await, 9);
    });
    assert_eq!(cuts.points(), 1);
}

/// Waits for permits, with a store that hangs, and for the local share.
#[test]
fn cuts_leave_the_way_free() {
    for fault in [None, Some(Fault::Hang)] {
        let setup = move || async move {
            let store = FaultyStore::new();
            let quota = process(&store, Rate::per_second(10)).burst(1).on_failure(OnFailure::LocalShare(2));
            quota.acquire().await.unwrap();
            store.always(fault);
            Arc::new((quota, store))
        };
        let acquire = async |shared: Arc<(Distributed, Arc<FaultyStore>)>| shared.0.acquire().await.unwrap();
        let cuts = cancel::every_point(setup, acquire, async |shared| {
            shared.1.always(None);
            sleep(2 * SECOND).await;
            assert_eq!(shared.0.snapshot().waiting, 0);
            // This request may end the outage.
            shared.0.acquire().await.unwrap();
            sleep(2 * SECOND).await;
            assert_took!(shared.0.acquire(), ms(0)).unwrap();
            assert_took!(shared.0.acquire(), ms(100)).unwrap();
        });
        assert_eq!(cuts.points(), 1);
    }
}
