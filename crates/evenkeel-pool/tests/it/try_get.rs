//! Objects that are taken without a wait.

use std::sync::atomic::Ordering::SeqCst;

use evenkeel_testkit::World;
use tokio::time::{sleep, timeout};

use crate::scripted::{Act, assert_sound, assert_whole, ms, pool, take};

/// Also a caller that finds an idle object waits behind the callers that came before it.
#[test]
fn try_get_does_not_overtake() {
    World::run(async |world| {
        let (pool, _) = pool(1);
        let lease = pool.get().await.unwrap();
        let waiter = tokio::spawn({
            let pool = pool.clone();
            async move { pool.get().await.unwrap().id }
        });
        world.settle().await;
        drop(lease);
        assert!(pool.try_get().is_none(), "an object is idle, but it is the waiter's");
        assert_eq!(waiter.await.unwrap(), 0);
        assert!(pool.try_get().is_some());
    });
}

#[test]
fn try_get_waits_for_nothing() {
    World::run(async |world| {
        let (pool, script) = pool(2);
        assert!(pool.try_get().is_none());
        assert_eq!(script.creations.load(SeqCst), 0, "it creates nothing");

        drop(take(&pool, 2).await);
        script.check.next(Act::FAIL);
        assert_eq!(pool.try_get().unwrap().id, 0, "the unfit one is passed over");
        assert_eq!(pool.snapshot().discarded, 1);

        script.check.next(Act::Slow(ms(5)));
        assert!(pool.try_get().is_none());
        assert_eq!((pool.snapshot().checking, pool.snapshot().in_use), (1, 0));
        sleep(ms(5)).await;
        world.settle().await;
        assert_eq!(pool.try_get().unwrap().id, 0, "it has passed its check in the background");
        assert_sound(&pool, &script);
    });
}

/// Two objects come back while one caller waits: the second one is there for anybody, once the caller has the first.
#[test]
fn an_object_that_no_waiter_needs_is_there_for_try_get() {
    World::run(async |_| {
        let (pool, script) = pool(2);
        let leases = take(&pool, 2).await;
        let mut get = Box::pin(pool.get());
        assert!(timeout(ms(0), &mut get).await.is_err());
        drop(leases);
        assert!(pool.try_get().is_none(), "a caller waits");
        let first = get.await.unwrap();
        assert_eq!((pool.snapshot().idle, pool.snapshot().waiting), (1, 0));
        let second = pool.try_get().expect("nobody waits for it");
        drop((first, second));
        assert_whole(&pool, &script).await;
    });
}
