//! Futures dropped at every await point.

use std::{
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering::SeqCst},
    task::{Context, Wake, Waker},
    time::Duration,
};

use evenkeel_pool::{Get, GetError, Lease, Pool};
use evenkeel_testkit::{World, assert_took, cancel};
use tokio::time::{sleep, timeout};

use crate::scripted::{
    Act, Broken, Script, Scripted, assert_sound, assert_whole, ms, pool, pool_with, secs, take,
};

type State = (Pool<Scripted>, Arc<Script>);

/// Drops a `get` at each await point, in a pool of two in the state that `setup` makes: afterwards nothing is lost.
fn cut_get(setup: impl AsyncFn(&State) -> Vec<Lease<Scripted>>, points: usize) {
    let cuts = cancel::every_point(
        async || {
            let state = pool(2);
            let leases = setup(&state).await;
            tokio::spawn(async move {
                for lease in leases {
                    sleep(ms(7)).await;
                    drop(lease);
                }
            });
            state
        },
        async |(pool, _)| drop(pool.get().await),
        async |(pool, script)| {
            assert_eq!(script.running.load(SeqCst), 0);
            script.create.set(Act::Ready);
            script.check.set(Act::Ready);
            assert_whole(&pool, &script).await;
        },
    );
    assert_eq!(cuts.points(), points);
}

#[test]
fn get_of_an_idle_object() {
    cut_get(
        async |(pool, _)| {
            drop(take(pool, 1).await);
            Vec::new()
        },
        0,
    );
}

#[test]
fn get_that_creates() {
    for act in [Act::Ready, Act::Slow(ms(5)), Act::Fail(ms(5)), Act::Hang] {
        cut_get(
            async |(_, script)| {
                script.create.set(act);
                Vec::new()
            },
            1,
        );
    }
}

#[test]
fn get_that_checks() {
    for (act, points) in [(Act::Slow(ms(5)), 1), (Act::Fail(ms(5)), 3), (Act::Hang, 3)] {
        cut_get(
            async |(pool, script)| {
                drop(take(pool, 2).await);
                script.create.set(Act::Slow(ms(5)));
                script.check.next(act);
                script.check.next(act);
                Vec::new()
            },
            points,
        );
    }
}

#[test]
fn get_that_waits_in_line() {
    for (act, points) in [(Act::Ready, 1), (Act::Slow(ms(5)), 2), (Act::Fail(ms(5)), 3)] {
        cut_get(
            async |(pool, script)| {
                let leases = take(pool, 2).await;
                script.check.next(act);
                leases
            },
            points,
        );
    }
}

/// `close` may be dropped anywhere: the pool is closed once it was polled, and whole before.
#[test]
fn close() {
    let cuts = cancel::every_point(
        async || {
            let (pool, script) = pool(2);
            let lease = pool.get().await.unwrap();
            tokio::spawn(async move {
                sleep(ms(7)).await;
                drop(lease);
            });
            (pool, script)
        },
        async |(pool, _)| drop(pool.close(secs(1)).await),
        async |(pool, script)| {
            assert_sound(&pool, &script);
            if pool.get().await.is_ok() {
                assert_whole(&pool, &script).await;
            } else {
                assert_eq!((pool.snapshot().size, script.live.load(SeqCst)), (0, 0));
            }
        },
    );
    assert_eq!(cuts.points(), 1);
}

/// A pool with every setting, whose creations and checks are pending at first, and its leases, which are returned one after the
/// other.
async fn busy(held: usize) -> State {
    let (pool, script) = pool_with(2, |builder| {
        builder
            .min_idle(1)
            .max_creating(1)
            .idle_timeout(secs(5))
            .max_lifetime(secs(50))
            .hold_warning(ms(3))
            .detect_deadlocks(true)
    });
    let leases = take(&pool, held).await;
    script.create.set(Act::Slow(ms(5)));
    script.check.set(Act::Slow(ms(3)));
    tokio::spawn(async move {
        for lease in leases {
            sleep(ms(7)).await;
            drop(lease);
        }
    });
    (pool, script)
}

async fn assert_restored((pool, script): State) {
    pool.resize(2).unwrap();
    sleep(secs(1)).await;
    assert_eq!(script.running.load(SeqCst), 0);
    script.create.set(Act::Ready);
    script.check.set(Act::Ready);
    assert_whole(&pool, &script).await;
}

/// Every future of the pool, each dropped at every await in a pool with every setting that is empty, half used and used up.
#[test]
fn each_future_of_a_busy_pool() {
    let points = [0, 1, 2].map(|held| {
        let at = |ms: u64| tokio::time::Instant::now() + Duration::from_millis(ms);
        let setup = move || busy(held);
        let mut cuts = vec![
            cancel::every_point(setup, async |(pool, _)| drop(pool.get().await), assert_restored),
            cancel::every_point(setup, async |(pool, _)| _ = pool.warm(2).await, assert_restored),
        ];
        cuts.extend([0, 4, 1000].map(|limit| {
            let get = move |(pool, _): State| async move { drop(pool.get_by(at(limit)).await) };
            cancel::every_point(setup, get, assert_restored)
        }));
        // While it waits the pool changes.
        for change in [Pool::retire_all, |pool: &Pool<Scripted>| pool.resize(1).unwrap()] {
            let get = move |(pool, _): State| async move {
                let changing = pool.clone();
                tokio::spawn(async move {
                    sleep(ms(1)).await;
                    change(&changing);
                });
                drop(pool.get().await);
            };
            cuts.push(cancel::every_point(setup, get, assert_restored));
        }
        cuts.iter().map(|cut| cut.points()).collect::<Vec<_>>()
    });
    // Of `get`, `warm`, `get_by` with each time, and `get` while the pool changes.
    let expected = [[1, 2, 0, 1, 1, 2, 1], [1, 0, 0, 1, 1, 2, 2], [2, 0, 0, 1, 2, 2, 2]];
    assert_eq!(points, expected.map(Vec::from));
}

/// An object that is returned in the very moment in which the first waiter gives up goes to the next, for any length of
/// the queue and any waiter that leaves; so does one that was just created.
#[test]
fn a_waiter_that_dies_passes_its_turn_on() {
    for dying in 0..4_usize {
        for creates in [false, true] {
            World::run(async |world| {
                let (pool, script) = pool(1);
                let held = if creates { None } else { Some(pool.get().await.unwrap()) };
                script.create.next(Act::Slow(ms(5)));
                let mut waiters: Vec<_> = (0..4)
                    .map(|_| {
                        let pool = pool.clone();
                        Some(Box::pin(async move { pool.get().await.unwrap().id }))
                    })
                    .collect();
                for waiter in waiters.iter_mut().flatten() {
                    assert!(timeout(ms(0), waiter).await.is_err());
                }
                drop(held);
                sleep(ms(5)).await;
                world.settle().await;
                assert_eq!(
                    pool.snapshot().waiting,
                    if creates { 3 } else { 4 },
                    "the first of them has been served"
                );
                // The first waiters leave in turn, each after it was woken, and before it was polled again.
                for waiter in &mut waiters[..dying] {
                    *waiter = None;
                }
                for waiter in waiters.into_iter().flatten() {
                    assert_eq!(timeout(ms(0), waiter).await.unwrap(), 0);
                }
                assert_eq!(script.made.load(SeqCst), 1);
                assert_whole(&pool, &script).await;
            });
        }
    }
}

/// The same if the waiters have creations of their own under way: the object is not left idle.
#[test]
fn a_returned_object_passes_the_dead_by() {
    World::run(async |world| {
        let (pool, script) = pool(3);
        let held = pool.get().await.unwrap();
        script.create.set(Act::Slow(secs(5)));
        let mut first = Box::pin(pool.get());
        assert!(timeout(ms(0), &mut first).await.is_err());
        let second = tokio::spawn({
            let pool = pool.clone();
            async move { pool.get().await.unwrap().id }
        });
        world.settle().await;
        assert_eq!(pool.snapshot().creating, 2);
        drop(held);
        drop(first);
        assert_eq!(assert_took!(second, ms(0)).unwrap(), 0);
    });
}

/// A waker or an object that the pool wakes or drops may use the pool: a waker here holds a lease.
#[test]
fn a_waker_may_hold_a_lease() {
    struct Holder(#[expect(dead_code, reason = "it is dropped")] Lease<Scripted>);

    impl Wake for Holder {
        fn wake(self: Arc<Self>) {}
    }

    World::run(async |_| {
        let (pool, script) = pool(2);
        let poll = |get: &mut Pin<Box<Get<'_, Scripted>>>, waker: Waker| {
            assert!(get.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        };
        for replaced in [false, true] {
            let mut leases = take(&pool, 2).await;
            let mut get = Box::pin(pool.get());
            poll(&mut get, Waker::from(Arc::new(Holder(leases.remove(0)))));
            if replaced {
                poll(&mut get, Waker::noop().clone());
                assert_eq!(pool.snapshot().idle, 1);
            }
            drop(get);
            drop(leases);
            assert_whole(&pool, &script).await;
        }
    });
}

/// Events while a waiter is busy with its check: it is out of the queue, and goes back to its place if the object is no
/// good.
mod meanwhile {
    use super::*;

    /// An error comes that is not its own: it has an object, or gets another one.
    #[test]
    fn an_error_comes() {
        for act in [Act::Yield, Act::FAIL, Act::Hang] {
            World::builder().allow_panics(1).run(async |world| {
                let (pool, script) = pool(2);
                let mut leases = take(&pool, 2).await;
                leases[0].broken = Broken::Panic;
                let (bad, good) = (leases.remove(0), leases.remove(0));
                script.meanwhile(|| drop(bad));
                script.check.next(act);
                let (result, ()) = tokio::join!(pool.get(), async { drop(good) });
                assert_eq!(result.unwrap().id, if act == Act::Yield { 1 } else { 2 });
                world.settle().await;
                let snapshot = pool.snapshot();
                assert_eq!((snapshot.idle, snapshot.checking, snapshot.in_use), (1, 0, 0));
                sleep(secs(5)).await;
                assert_whole(&pool, &script).await;
            });
        }
    }

    /// The object that another one was served and did not take is idle then, and serves it if its own is no good.
    #[test]
    fn an_object_comes() {
        for act in [Act::Yield, Act::Ready, Act::FAIL] {
            World::run(async |world| {
                let (pool, script) = pool(2);
                let held = pool.get().await.unwrap();
                script.create.next(Act::Slow(ms(5)));
                let (served, mut get) = (pool.clone(), None);
                let served: &'static Pool<Scripted> = Box::leak(Box::new(served));
                let mut dying = Box::pin(served.get());
                assert!(timeout(ms(0), &mut dying).await.is_err());
                let get = get.insert(Box::pin(pool.get()));
                assert!(timeout(ms(0), &mut *get).await.is_err());
                sleep(ms(5)).await;
                world.settle().await;
                assert_eq!(pool.snapshot().in_use, 2, "the first one is served");
                script.meanwhile(|| drop(dying));
                script.check.next(act);
                drop(held);
                let id = assert_took!(get, ms(0)).unwrap().id;
                assert_eq!(id, usize::from(act == Act::FAIL));
                world.settle().await;
                assert_eq!(pool.snapshot().idle, if act == Act::FAIL { 1 } else { 2 });
                assert_whole(&pool, &script).await;
            });
        }
    }

    /// The pool is closed.
    #[test]
    fn the_pool_is_closed() {
        for act in [Act::Yield, Act::Hang, Act::Ready, Act::FAIL] {
            for waits in [false, true] {
                World::run(async |world| {
                    let (pool, script) = pool(1);
                    let held = pool.get().await.unwrap();
                    let closing = pool.clone();
                    script.meanwhile(move || {
                        let close = pin!(closing.close(secs(1)));
                        let _ = close.poll(&mut Context::from_waker(Waker::noop()));
                    });
                    script.check.next(act);
                    let result = if waits {
                        tokio::join!(pool.get(), async { drop(held) }).0
                    } else {
                        drop(held);
                        assert_took!(pool.get(), ms(0))
                    };
                    match result {
                        Ok(lease) => assert_eq!((act, lease.id), (Act::Ready, 0)),
                        Err(error) => assert!(matches!(error, GetError::Closed)),
                    }
                    world.settle().await;
                    assert_eq!(
                        (pool.snapshot().size, script.live.load(SeqCst), script.running.load(SeqCst)),
                        (0, 0, 0)
                    );
                });
            }
        }
    }
}
