//! The settings of a pool, and their changes while it is in use.

use std::sync::atomic::Ordering::SeqCst;

use evenkeel_pool::{BuildError, GetError, Lease, Order};
use evenkeel_testkit::{World, assert_took};
use tokio::time::{Instant, sleep, timeout};

use crate::scripted::{Act, assert_sound, assert_whole, ms, pool, pool_with, secs, take};

#[test]
fn the_order_of_idle_objects_is_set() {
    World::run(async |_| {
        for (order, expected) in [(Order::Lifo, [2, 2, 2]), (Order::Fifo, [0, 1, 2])] {
            let (pool, _) = pool_with(3, |builder| builder.order(order));
            take(&pool, 3).await.into_iter().for_each(drop);
            for id in expected {
                assert_eq!(pool.get().await.unwrap().id, id, "{order:?}");
            }
        }
    });
}

/// A caller with a deadline of its own, among others, ends at its very deadline, and the others at theirs.
#[test]
fn each_caller_ends_at_its_deadline() {
    World::run(async |world| {
        let (pool, _) = pool_with(1, |builder| builder.acquire_timeout(ms(50)));
        let lease = pool.get().await.unwrap();
        let mut callers = Vec::new();
        for (n, own) in [Some(70), None, Some(20), Some(0), None, Some(20), Some(500)].into_iter().enumerate()
        {
            sleep(ms(1)).await;
            let begin = Instant::now();
            let (pool, deadline) = (pool.clone(), own.map(|own| begin + ms(own)));
            callers.push(tokio::spawn(async move {
                let result = match deadline {
                    Some(deadline) => pool.get_by(deadline).await,
                    None => pool.get().await,
                };
                let Err(GetError::Timeout(why)) = result else { panic!("{n}: {result:?}") };
                assert_eq!((begin.elapsed(), why.waited), (ms(own.unwrap_or(50)), begin.elapsed()), "{n}");
            }));
        }
        for caller in callers {
            caller.await.unwrap();
        }
        assert_eq!((world.elapsed(), pool.snapshot().timeouts), (ms(507), 7));
        // A deadline that has passed leaves an idle object to be taken.
        drop(lease);
        assert!(pool.get_by(Instant::now() - ms(1)).await.is_ok());
    });
}

/// The deadline of a caller that was called in vain, and waits again, still counts.
#[test]
fn a_deadline_holds_after_a_call_in_vain() {
    World::run(async |_| {
        let (pool, script) = pool_with(1, |builder| builder.acquire_timeout(ms(50)).check_timeout(secs(9)));
        let lease = pool.get().await.unwrap();
        script.check.next(Act::Hang);
        let (result, ()) = tokio::join!(async { assert_took!(pool.get(), ms(50)) }, async {
            sleep(ms(30)).await;
            drop(lease);
        });
        assert!(matches!(result, Err(GetError::Timeout(_))));
    });
}

/// Waiters in a runtime that is driven end in time, whether or not that of the first waiter is.
#[test]
fn no_runtime_depends_on_another() {
    let (pool, _) = pool_with(1, |builder| builder.acquire_timeout(ms(50)));
    let still = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let lease = still.block_on(pool.get()).unwrap();
    assert!(still.block_on(async { timeout(ms(1), pool.get()).await }).is_err());
    World::run(async |_| {
        assert!(matches!(assert_took!(pool.get(), ms(50)), Err(GetError::Timeout(_))));
    });
    drop(lease);
}

#[test]
fn an_object_used_a_moment_ago_is_not_checked() {
    World::run(async |_| {
        let (pool, script) = pool_with(1, |builder| builder.validate_after(secs(1)));
        drop(pool.get().await.unwrap());
        script.check.set(Act::FAIL);
        for (pause, id) in [(ms(0), 0), (ms(999), 0), (ms(999), 0), (ms(1000), 1), (ms(10), 1)] {
            sleep(pause).await;
            let lease = pool.get().await.unwrap();
            assert_eq!(lease.id, id, "{pause:?}");
            // The time of use is not idle time.
            sleep(secs(5)).await;
        }
    });
}

#[test]
fn creations_at_a_time_are_limited() {
    World::run(async |world| {
        let (pool, script) = pool_with(8, |builder| builder.max_creating(2));
        script.create.set(Act::Slow(ms(10)));
        let callers: Vec<_> = (0..6)
            .map(|_| {
                let pool = pool.clone();
                tokio::spawn(async move { (pool.get().await.unwrap(), Instant::now()) })
            })
            .collect();
        world.settle().await;
        assert_eq!((pool.snapshot().creating, script.running.load(SeqCst)), (2, 2));
        let begin = Instant::now();
        let mut times = Vec::new();
        for caller in callers {
            times.push(caller.await.unwrap());
        }
        let times: Vec<_> = times.iter().map(|(_, at)| (*at - begin).as_millis()).collect();
        assert_eq!(times, [10, 10, 20, 20, 30, 30]);
    });
}

#[test]
fn a_pool_is_warmed() {
    World::run(async |_| {
        let (pool, script) = pool(4);
        script.create.set(Act::Slow(ms(10)));
        let held = pool.get().await.unwrap();
        assert_eq!(assert_took!(pool.warm(3), ms(10)), 3);
        assert_eq!((pool.snapshot().idle, pool.snapshot().in_use), (2, 1));
        assert_eq!(assert_took!(pool.warm(2), ms(0)), 3);
        script.create.set(Act::Fail(ms(10)));
        assert_eq!(assert_took!(pool.warm(9), ms(10)), 3, "no more than there is room for, and that failed");
        script.create.set(Act::Ready);
        assert!(timeout(ms(0), pool.warm(9)).await.is_err(), "it waits for its pause");
        sleep(secs(1)).await;
        assert_eq!((pool.snapshot().size, script.creations.load(SeqCst)), (4, 5));
        drop(held);
        assert_whole(&pool, &script).await;
    });
}

/// It waits for the creations of others, goes on where only a few may be created at a time, and ends with one that fails.
#[test]
fn a_pool_is_warmed_beside_others() {
    World::run(async |world| {
        let (pool, script) = pool_with(8, |builder| builder.max_creating(2));
        script.create.set(Act::Slow(ms(10)));
        assert_eq!(assert_took!(pool.warm(5), ms(30)), 5, "two, two and one");
        assert_eq!(script.peak.load(SeqCst), 5);

        let (pool, script) = pool_with(8, |builder| builder.min_idle(3).max_creating(1));
        script.create.set(Act::Slow(ms(10)));
        world.settle().await;
        assert_eq!(pool.snapshot().creating, 1, "by the pool itself");
        assert_eq!(assert_took!(pool.warm(2), ms(20)), 2);
        let (both, four) = tokio::join!(pool.warm(4), pool.warm(4));
        assert_eq!((both, four, script.creations.load(SeqCst)), (4, 4, 4));

        script.create.set(Act::Fail(ms(10)));
        drop(take(&pool, 4).await);
        pool.retire_all();
        let began = Instant::now();
        assert_eq!(pool.warm(4).await, 0);
        assert!(began.elapsed() <= secs(2), "{:?}", began.elapsed());
        let failed = pool.snapshot().create_failures;
        assert!((1..=3).contains(&failed), "{failed}");

        // Its creation is cut, and so is that of the pool.
        script.create.set(Act::Hang);
        let (warmed, closed) = tokio::join!(pool.warm(4), async {
            sleep(secs(3)).await;
            pool.close(ms(0)).await
        });
        assert_eq!((warmed, closed.stragglers.len()), (0, 0));
        assert_eq!(pool.warm(4).await, 0, "a closed pool creates nothing");
    });
}

/// After any sequence of sizes no more objects are in use than the size at the time of the grant.
#[test]
fn a_pool_is_resized() {
    World::run(async |world| {
        let (pool, script) = pool(10);
        assert_eq!(pool.resize(0), Err(BuildError::ZeroMax));
        pool.resize(5).unwrap();
        let mut leases = take(&pool, 5).await;
        assert!(timeout(ms(1), pool.get()).await.is_err(), "deadpool would lend ten");
        pool.resize(2).unwrap();
        pool.resize(4).unwrap();
        leases.truncate(4);
        assert_eq!((pool.snapshot().size, pool.snapshot().idle), (4, 0), "the fifth is too many");
        let waiting = tokio::spawn({
            let pool = pool.clone();
            async move { pool.get().await.unwrap() }
        });
        world.settle().await;
        pool.resize(5).unwrap();
        leases.push(assert_took!(waiting, ms(0)).unwrap());
        pool.resize(3).unwrap();
        leases.truncate(3);
        assert_eq!((pool.snapshot().size, pool.snapshot().in_use), (3, 3));
        drop(leases);
        pool.resize(1).unwrap();
        assert_eq!((pool.snapshot().size, script.live.load(SeqCst)), (1, 1));
        // A creation under way may be too many as well.
        pool.resize(2).unwrap();
        let lease = pool.get().await.unwrap();
        script.create.set(Act::Slow(ms(5)));
        let late = timeout(ms(1), pool.get()).await;
        assert!(late.is_err() && pool.snapshot().creating == 1);
        pool.resize(1).unwrap();
        sleep(ms(5)).await;
        assert_eq!((pool.snapshot().size, pool.snapshot().discarded), (1, 6));
        drop(lease);
        assert_eq!((pool.snapshot().idle, script.live.load(SeqCst)), (1, 1));
    });
}

#[test]
fn all_objects_are_retired() {
    World::run(async |world| {
        let (pool, script) = pool(4);
        let mut leases = take(&pool, 2).await;
        drop(leases.pop());
        script.create.set(Act::Slow(ms(5)));
        script.check.next(Act::Slow(ms(5)));
        let checking = timeout(ms(1), pool.get()).await;
        let creating = timeout(ms(1), pool.get()).await;
        assert!(checking.is_err() && creating.is_err());
        assert_eq!((pool.snapshot().checking, pool.snapshot().creating), (1, 1));
        pool.retire_all();
        // The caller gets neither of the two, but one that is made afterwards.
        let lease = assert_took!(pool.get(), ms(4 + 5)).unwrap();
        assert_eq!(lease.id, 3);
        drop(lease);
        drop(leases);
        world.settle().await;
        assert_eq!((pool.snapshot().idle, pool.snapshot().size, pool.snapshot().discarded), (1, 1, 3));
        pool.retire_all();
        assert_eq!((pool.snapshot().size, script.live.load(SeqCst)), (0, 0));
        script.create.set(Act::Ready);
        assert_whole(&pool, &script).await;
    });
}

#[test]
fn a_label_is_told_and_ends_with_its_lease() {
    World::run(async |_| {
        let (pool, script) = pool_with(1, |builder| builder.acquire_timeout(secs(1)));
        let lease = pool.get().await.unwrap();
        Lease::label(&lease, "report");
        let Err(GetError::Timeout(why)) = pool.get().await else { panic!("there is one object") };
        let text = why.to_string();
        assert!(text.contains("held by report at ") && text.ends_with("for 1s"), "{text}");
        drop(lease);
        let _lease = pool.get().await.unwrap();
        assert_eq!(pool.holders()[0].label, None);
        assert_sound(&pool, &script);
    });
}
