//! Idle objects that are wanted, too old, or too long idle; leases that last too long; the events of all that.

use std::sync::{Arc, Mutex, atomic::Ordering::SeqCst};

use evenkeel_pool::{DiscardReason, Lease, Pool, PoolEvent};
use evenkeel_testkit::World;
use tokio::time::sleep;

use crate::scripted::{Act, Broken, Scripted, assert_sound, ms, pool_with, secs, take};

#[test]
fn idle_objects_are_kept_ready() {
    World::run(async |world| {
        let (pool, script) = pool_with(5, |builder| builder.min_idle(2));
        world.settle().await;
        assert_eq!((pool.snapshot().idle, pool.snapshot().size), (2, 2), "from the beginning");
        let mut leases = Vec::new();
        for (n, idle) in [(1, 2), (2, 2), (3, 2), (4, 1), (5, 0)] {
            leases.push(pool.get().await.unwrap());
            world.settle().await;
            assert_eq!((pool.snapshot().in_use, pool.snapshot().idle), (n, idle));
        }
        // Whatever takes one away.
        drop(leases.pop());
        leases.pop().into_iter().for_each(Lease::discard);
        if let Some(lease) = leases.pop() {
            Lease::detach(lease).uncount();
        }
        if let Some(mut lease) = leases.pop() {
            lease.broken = Broken::Yes;
        }
        world.settle().await;
        assert_eq!((pool.snapshot().in_use, pool.snapshot().idle), (1, 2));
        pool.retire_all();
        world.settle().await;
        assert_eq!((pool.snapshot().in_use, pool.snapshot().idle), (1, 2));
        assert_sound(&pool, &script);
    });
}

/// While creations fail, one begins per pause, and as soon as they work the objects are there.
#[test]
fn idle_objects_that_cannot_be_made_are_tried_at_the_pace_of_the_backoff() {
    World::run(async |_| {
        let (pool, script) = pool_with(8, |builder| builder.min_idle(4));
        script.create.set(Act::FAIL);
        sleep(secs(60)).await;
        let tries = script.creations.load(SeqCst);
        assert!((60..=130).contains(&tries), "{tries}");
        script.create.set(Act::Ready);
        sleep(secs(1)).await;
        assert_eq!(pool.snapshot().idle, 4);
    });
}

#[test]
fn objects_that_are_idle_for_long_are_dropped_but_for_those_that_are_wanted() {
    for min_idle in [0, 2] {
        World::run(async |_| {
            let (pool, script) = pool_with(4, |builder| builder.min_idle(min_idle).idle_timeout(secs(10)));
            let mut leases = take(&pool, 4).await;
            for _ in 0..3 {
                drop(leases.pop());
                sleep(secs(3)).await;
            }
            // Returned 9, 6 and 3 seconds ago.
            assert_eq!(pool.snapshot().idle, 3);
            sleep(ms(999)).await;
            assert_eq!(pool.snapshot().idle, 3);
            sleep(ms(2)).await;
            assert_eq!(pool.snapshot().idle, 2);
            sleep(secs(3)).await;
            assert_eq!(pool.snapshot().idle, 1.max(min_idle));
            sleep(secs(30)).await;
            assert_eq!(pool.snapshot().idle, min_idle);
            // The time of use does not count.
            drop(leases);
            sleep(secs(9)).await;
            assert!(pool.snapshot().idle > 0);
            sleep(secs(2)).await;
            assert_eq!((pool.snapshot().idle, script.live.load(SeqCst)), (min_idle, min_idle));
        });
    }
}

/// The lifetime ends on a pool that is never idle, too, and objects made together do not end together.
#[test]
fn lifetimes_end_apart_also_while_objects_are_busy() {
    World::run(async |_| {
        let (pool, _script) = pool_with(20, |builder| builder.max_lifetime(secs(100)));
        drop(take(&pool, 20).await);
        sleep(secs(89)).await;
        assert_eq!(pool.snapshot().idle, 20);
        let mut sizes = Vec::new();
        for _ in 0..12 {
            sleep(secs(1)).await;
            sizes.push(pool.snapshot().idle);
        }
        assert_eq!(sizes.last(), Some(&0));
        sizes.dedup();
        assert!(sizes.len() > 4, "they end at several times: {sizes:?}");

        let busy = pool.get().await.unwrap().id;
        for _ in 0..90 {
            let lease = pool.get().await.unwrap();
            assert_eq!(lease.id, busy);
            sleep(secs(1)).await;
        }
        sleep(secs(11)).await;
        let lease = pool.get().await.unwrap();
        assert_ne!(lease.id, busy);
        sleep(secs(101)).await;
        drop(lease);
        assert_eq!(pool.snapshot().size, 0, "it expired while it was in use");
    });
}

/// Where idle objects are wanted, another one is there before the old one goes, and never more than `max`.
#[test]
fn an_object_is_replaced_before_it_expires() {
    for max in [4, 2] {
        World::run(async |_| {
            let (pool, script) =
                pool_with(max, |builder| builder.min_idle(2).max_lifetime(secs(100)).create_timeout(secs(5)));
            script.create.set(Act::Slow(ms(100)));
            sleep(secs(1)).await;
            for _ in 0..5_000 {
                sleep(ms(100)).await;
                let snapshot = pool.snapshot();
                // With no room for both, the old one goes first.
                assert!(snapshot.idle >= 2 || max == 2, "{snapshot:?}");
                assert_sound(&pool, &script);
            }
            assert!((10..=13).contains(&script.made.load(SeqCst)), "{:?}", script.made);
        });
    }
}

type Log = Arc<Mutex<Vec<String>>>;

fn logged(
    configure: impl FnOnce(evenkeel_pool::Builder<Scripted>) -> evenkeel_pool::Builder<Scripted>,
) -> (Pool<Scripted>, Arc<crate::scripted::Script>, Log) {
    let log = Log::default();
    let (pool, script) = pool_with(2, |builder| {
        let log = Arc::clone(&log);
        configure(builder).observer(move |event| {
            let text = match event {
                PoolEvent::HeldLong { holder } => format!("held for {:?}", holder.held_for),
                event => format!("{event:?}"),
            };
            log.lock().unwrap().push(text);
        })
    });
    (pool, script, log)
}

fn taken(log: &Log) -> Vec<String> {
    std::mem::take(&mut log.lock().unwrap())
}

#[test]
fn each_lease_that_lasts_is_told_once() {
    World::run(async |_| {
        let (pool, _script, log) = logged(|builder| builder.hold_warning(secs(10)));
        let first = pool.get().await.unwrap();
        sleep(secs(4)).await;
        let second = pool.get().await.unwrap();
        sleep(secs(5)).await;
        drop(pool.try_get());
        taken(&log);
        sleep(secs(1)).await;
        sleep(ms(1)).await;
        assert_eq!(taken(&log), ["held for 10s"]);
        sleep(secs(60)).await;
        assert_eq!(taken(&log), ["held for 10s"]);
        drop((first, second));
        let lease = pool.get().await.unwrap();
        sleep(secs(9)).await;
        drop(lease);
        sleep(secs(60)).await;
        assert!(taken(&log).is_empty());
        let _again = pool.get().await.unwrap();
        sleep(secs(11)).await;
        assert_eq!(taken(&log), ["held for 10s"]);
    });
}

#[test]
fn an_observer_hears_why_objects_come_and_go() {
    World::builder().allow_panics(usize::MAX).run(async |world| {
        let (pool, script, log) =
            logged(|builder| builder.idle_timeout(secs(10)).max_lifetime(secs(1000)).check_timeout(secs(1)));
        let created = "Created".to_owned();
        let discarded = |reason| format!("{:?}", PoolEvent::Discarded { reason });
        let mut lease = pool.get().await.unwrap();
        lease.broken = Broken::Yes;
        drop(lease);
        assert_eq!(taken(&log), [created.clone(), discarded(DiscardReason::Broken)]);
        Lease::discard(pool.get().await.unwrap());
        assert_eq!(taken(&log), [created.clone(), discarded(DiscardReason::Discarded)]);
        for act in [Act::FAIL, Act::Fail(ms(1)), Act::Hang] {
            drop(pool.get().await.unwrap());
            script.check.next(act);
            drop(pool.get().await.unwrap());
            assert_eq!(taken(&log), [created.clone(), discarded(DiscardReason::Unfit), created.clone()]);
            pool.retire_all();
            assert_eq!(taken(&log), [discarded(DiscardReason::Retired)]);
        }
        drop(pool.get().await.unwrap());
        sleep(secs(11)).await;
        assert_eq!(taken(&log), [created.clone(), discarded(DiscardReason::Idle)]);
        let lease = pool.get().await.unwrap();
        sleep(secs(1000)).await;
        drop(lease);
        assert_eq!(taken(&log), [created.clone(), discarded(DiscardReason::Expired)]);
        script.create.next(Act::FAIL);
        assert!(pool.get().await.is_err());
        assert_eq!(taken(&log), ["CreateFailed { error: \"could not create an object: refused\" }"]);
        world.settle().await;
    });
}

/// An observer may use the pool, and one that panics changes nothing.
#[test]
fn an_observer_may_use_the_pool_and_panic() {
    World::builder().allow_panics(usize::MAX).run(async |_| {
        let home: Arc<Mutex<Option<Pool<Scripted>>>> = Arc::default();
        let (pool, script) = pool_with(2, |builder| {
            let home = Arc::clone(&home);
            builder.observer(move |event| {
                let pool = home.lock().unwrap().clone().unwrap();
                drop((pool.snapshot(), pool.holders(), pool.try_get()));
                panic!("{event:?}");
            })
        });
        *home.lock().unwrap() = Some(pool.clone());
        Lease::discard(pool.get().await.unwrap());
        script.create.next(Act::FAIL);
        assert!(pool.get().await.is_err());
        drop(pool.get().await.unwrap());
        assert_sound(&pool, &script);
        assert_eq!(pool.snapshot().idle, 1);
        home.lock().unwrap().take();
    });
}

/// The task of a pool ends with it, and with its last handle.
#[test]
fn the_upkeep_ends_with_the_pool() {
    World::run(async |world| {
        let (pool, script) = pool_with(3, |builder| builder.min_idle(2).idle_timeout(secs(10)));
        world.settle().await;
        assert_eq!(pool.snapshot().idle, 2);
        drop(pool);
        assert_eq!((script.live.load(SeqCst), Arc::strong_count(&script)), (0, 1));
        world.settle().await;
    });
}

/// A pool that was made outside of a runtime is kept up from the first caller that creates; and by the next one if the
/// runtime of the upkeep is gone.
#[test]
fn the_upkeep_needs_no_runtime_of_its_own() {
    let (pool, _script) = pool_with(3, |builder| builder.min_idle(1));
    for _ in 0..2 {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let leases = take(&pool, 2).await;
            sleep(ms(1)).await;
            assert_eq!((pool.snapshot().in_use, pool.snapshot().idle), (2, 1));
            drop(leases);
            pool.retire_all();
        });
    }
}

/// Limits of zero end, and at the longest time nothing overflows.
#[test]
fn extreme_limits_do_no_harm() {
    World::run(async |world| {
        let max = std::time::Duration::MAX;
        for min_idle in [0, 1, 9] {
            let (pool, script) = pool_with(3, |builder| {
                builder.min_idle(min_idle).max_lifetime(ms(0)).idle_timeout(ms(0)).hold_warning(ms(0))
            });
            drop(take(&pool, 3).await);
            world.settle().await;
            sleep(secs(100)).await;
            let kept = min_idle.min(3);
            assert_eq!((pool.snapshot().idle, script.live.load(SeqCst)), (kept, kept));
            assert!(script.made.load(SeqCst) <= 6, "{:?}", script.made);

            let (pool, _script) = pool_with(3, |builder| {
                builder
                    .min_idle(min_idle)
                    .max_lifetime(max)
                    .idle_timeout(max)
                    .hold_warning(max)
                    .validate_after(max)
            });
            drop(take(&pool, 3).await);
            sleep(secs(86_400)).await;
            assert_eq!(pool.snapshot().idle, 3);
            pool.retire_all();
            drop(pool);
            world.settle().await;
        }
    });
}
