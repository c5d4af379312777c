//! The end of a pool: closed, or dropped.

use std::{
    mem,
    sync::{Arc, atomic::Ordering::SeqCst},
    task::{Context, Waker},
};

use evenkeel_pool::{GetError, Lease, Snapshot};
use evenkeel_testkit::{World, assert_took};
use tokio::time::{Instant, sleep, timeout};

use crate::scripted::{Act, assert_sound, ms, pool, secs, take};

#[test]
fn an_unused_pool_closes_at_once() {
    World::run(async |_| {
        let (pool, script) = pool(2);
        drop(take(&pool, 2).await);
        assert!(assert_took!(pool.close(secs(9)), ms(0)).stragglers.is_empty());
        assert_eq!(script.live.load(SeqCst), 0);
        assert!(matches!(assert_took!(pool.get(), ms(0)), Err(GetError::Closed)));
        assert!(pool.try_get().is_none());
        assert_sound(&pool, &script);
    });
}

/// Waiters fail at once; holders finish; closing ends when the last object is back.
#[test]
fn closing_waits_for_those_who_have_an_object() {
    World::run(async |world| {
        let (pool, script) = pool(2);
        let mut leases = take(&pool, 2).await;
        let waiter = tokio::spawn({
            let pool = pool.clone();
            async move { (pool.get().await.map(drop), Instant::now()) }
        });
        world.settle().await;
        let start = Instant::now();
        let (a, mut b) = (leases.remove(0), leases.remove(0));
        tokio::spawn(async move {
            sleep(ms(10)).await;
            drop(a);
            sleep(ms(10)).await;
            b.unfit = true;
            drop(Lease::detach(b));
        });
        let closed = assert_took!(pool.close(secs(1)), ms(20));
        assert!(closed.stragglers.is_empty());
        let (outcome, at) = waiter.await.unwrap();
        assert!(matches!(outcome, Err(GetError::Closed)));
        assert_eq!(at, start);
        assert_eq!((script.live.load(SeqCst), pool.snapshot().size), (0, 0));
        assert_sound(&pool, &script);
    });
}

/// At the deadline the late holders are returned, the longest first; their objects still work, and are dropped at the end.
#[test]
fn stragglers_are_listed() {
    World::run(async |_| {
        let (pool, script) = pool(3);
        let first = line!() + 1;
        let a = pool.get().await.unwrap();
        sleep(ms(5)).await;
        let b = pool.get().await.unwrap();
        let stragglers = assert_took!(pool.close(ms(20)), ms(20)).stragglers;
        let seen: Vec<_> =
            stragglers.iter().map(|holder| (holder.place.line() - first, holder.held_for)).collect();
        assert_eq!(seen, [(0, ms(25)), (2, ms(20))]);
        assert_eq!(stragglers[0].place.file(), file!());

        assert_eq!(a.id, 0);
        drop(a);
        assert_eq!((script.live.load(SeqCst), pool.snapshot().idle), (1, 0));
        // It can be called again, by several callers at a time.
        let back = async {
            sleep(ms(7)).await;
            drop(b);
        };
        let (x, y, ()) =
            assert_took!(async { tokio::join!(pool.close(secs(1)), pool.close(secs(2)), back) }, ms(7));
        assert!(x.stragglers.is_empty() && y.stragglers.is_empty());
        assert_eq!(script.live.load(SeqCst), 0);
    });
}

/// Creations and checks under way are aborted, and nothing of them is left.
#[test]
fn closing_ends_what_is_under_way() {
    World::run(async |world| {
        let (pool, script) = pool(3);
        drop(take(&pool, 1).await);
        script.check.set(Act::Hang);
        script.create.set(Act::Hang);
        let callers: Vec<_> = (0..3)
            .map(|_| {
                let pool = pool.clone();
                tokio::spawn(async move { pool.get().await.map(drop) })
            })
            .collect();
        world.settle().await;
        assert_eq!(
            (pool.snapshot().checking, pool.snapshot().creating, script.running.load(SeqCst)),
            (1, 2, 3)
        );
        let closed = assert_took!(pool.close(secs(1)), ms(0));
        assert!(closed.stragglers.is_empty());
        assert_eq!((script.running.load(SeqCst), script.live.load(SeqCst)), (0, 0));
        for caller in callers {
            assert!(matches!(caller.await.unwrap(), Err(GetError::Closed)));
        }
        assert_sound(&pool, &script);
    });
}

/// An object that is created in the instant of the closing, before or after it, is dropped.
#[test]
fn what_is_made_too_late_is_dropped() {
    for delay in [ms(4), ms(5), ms(6)] {
        World::run(async |_| {
            let (pool, script) = pool(1);
            script.create.set(Act::Slow(ms(5)));
            let caller = async { pool.get().await.map(|lease| lease.id) };
            let close = async {
                sleep(delay).await;
                pool.close(secs(1)).await
            };
            let (outcome, closed) = tokio::join!(caller, close);
            assert_eq!(outcome.is_ok(), delay > ms(5) || script.made.load(SeqCst) == 1 && delay == ms(5));
            assert!(closed.stragglers.is_empty());
            assert_eq!(script.live.load(SeqCst), 0);
            assert_sound(&pool, &script);
        });
    }
}

/// A close whose future is dropped still closes, from its first poll on.
#[test]
fn a_dropped_close_has_closed() {
    World::run(async |_| {
        let (pool, script) = pool(1);
        let lease = pool.get().await.unwrap();
        assert!(timeout(ms(1), pool.close(secs(1))).await.is_err());
        assert!(matches!(pool.get().await, Err(GetError::Closed)));
        drop(lease);
        assert_eq!(script.live.load(SeqCst), 0);
    });
}

/// With the last handle the idle objects and the tasks are dropped; leases stay usable, and afterwards nothing is left.
#[test]
fn dropping_the_last_handle_ends_the_pool() {
    World::run(async |world| {
        let (pool, script) = pool(5);
        let mut leases = take(&pool, 4).await;
        script.check.set(Act::Hang);
        script.create.set(Act::Hang);
        assert!(timeout(ms(1), pool.get()).await.is_err());
        leases.truncate(2);
        assert!(timeout(ms(1), pool.get()).await.is_err());
        let Snapshot { idle, checking, creating, .. } = pool.snapshot();
        assert_eq!((idle, checking, creating), (1, 1, 1));

        drop(pool.clone());
        world.settle().await;
        assert_eq!((script.running.load(SeqCst), script.live.load(SeqCst)), (2, 4), "one handle is left");

        drop(pool);
        assert_eq!(script.live.load(SeqCst), 3, "the idle one is gone");
        world.settle().await;
        assert_eq!((script.running.load(SeqCst), script.live.load(SeqCst)), (0, 2));
        assert_eq!(leases[0].id + leases[1].id, 1);
        drop(leases.pop());
        assert_eq!(script.live.load(SeqCst), 1, "it is not kept");
        drop(leases.pop().map(Lease::detach));
        assert_eq!(script.live.load(SeqCst), 0);
        assert_eq!(Arc::strong_count(&script), 1, "nothing keeps the manager alive");
    });
}

/// A pool may outlive the runtime in which it was used.
/// The object that a forgotten future was served, and the manager, are dropped with the last handle.
#[test]
fn a_forgotten_future_keeps_nothing_alive() {
    World::run(async |_| {
        let (pool, script) = pool(3);
        script.create.set(Act::Slow(secs(1)));
        for _ in 0..2 {
            let mut get = Box::pin(pool.get());
            assert!(get.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            mem::forget(get);
        }
        sleep(secs(2)).await;
        assert_eq!((pool.snapshot().in_use, script.live.load(SeqCst)), (2, 2));

        let lease = pool.get().await.unwrap();
        drop(pool);
        assert_eq!(script.live.load(SeqCst), 1, "that of the lease");
        drop(lease);
        assert_eq!(script.live.load(SeqCst), 0);
        assert_eq!(Arc::strong_count(&script), 1, "the manager is gone");
    });
}

#[test]
fn a_pool_survives_its_runtime() {
    let (pool, script) = pool(2);
    script.create.set(Act::Hang);
    let runtime =
        || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let first = runtime();
    first.block_on(async {
        for _ in 0..5 {
            let pool = pool.clone();
            tokio::spawn(async move { pool.get().await.is_ok() });
        }
        tokio::task::yield_now().await;
        assert_eq!((pool.snapshot().creating, pool.snapshot().waiting), (2, 5));
    });
    // Its tasks are dropped where they are.
    drop(first);
    assert_eq!((pool.snapshot().size, pool.snapshot().waiting), (0, 0));
    script.create.set(Act::Ready);
    runtime().block_on(crate::scripted::assert_whole(&pool, &script));
}
