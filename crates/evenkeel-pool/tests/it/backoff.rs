//! Creations that fail, one after the other, with a pause in between.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicIsize, Ordering::SeqCst},
    },
};

use evenkeel_pool::{BoxError, GetError, Lease, Manager, Pool};
use evenkeel_testkit::{World, assert_took};
use tokio::{task::JoinHandle, time::sleep};

use crate::scripted::{Act, Item, Refused, Scripted, assert_whole, ms, pool, pool_with, secs, take};

/// The earliest and the latest begin of the n-th creation, in ms, where all fail at once: each pause loses up to a half
/// of 50, 100, 200, 400, 800, 1000, 1000, ... ms.
fn begins(n: u64) -> (u64, u64) {
    let latest = (1..n).map(|n| (50 << (n - 1).min(5)).min(1000)).sum();
    (latest / 2, latest)
}

fn creations_until(time: u64) -> std::ops::RangeInclusive<usize> {
    let count = |begins: fn(u64) -> u64| (1..).take_while(|n| begins(*n) <= time).count();
    // The timers of tokio are exact to a millisecond.
    count(|n| begins(n).1 + n)..=count(|n| begins(n).0)
}

fn callers(pool: &Pool<Scripted>, n: usize) -> Vec<JoinHandle<Result<usize, GetError<Refused>>>> {
    let caller = |pool: Pool<Scripted>| async move { pool.get().await.map(|lease| lease.id) };
    (0..n).map(|_| tokio::spawn(caller(pool.clone()))).collect()
}

/// The pace does not depend on the number of waiters or on the room.
#[test]
fn one_creation_per_pause() {
    for (max, act) in [(1, Act::FAIL), (10, Act::FAIL), (10, Act::PANIC)] {
        World::builder().allow_panics(usize::MAX).run(async |_| {
            let (pool, script) = pool_with(max, |builder| builder.acquire_timeout(secs(30)));
            script.create.set(act);
            let callers = callers(&pool, 10_000);
            sleep(ms(1)).await;
            // The creations that had begun before the first one failed.
            let at_once = script.creations.load(SeqCst);
            assert!((1..=max).contains(&at_once), "{at_once}");
            sleep(ms(29_998)).await;
            let later = script.creations.load(SeqCst) + 1 - at_once;
            assert!(creations_until(30_000).contains(&later), "{later} of {:?}", creations_until(30_000));
            let mut failed = 0;
            for caller in callers {
                match caller.await.unwrap().unwrap_err() {
                    GetError::Create(Refused) | GetError::Panic(_) => failed += 1,
                    GetError::Timeout(why) => {
                        let cause = why.source().unwrap().to_string();
                        let refused = if act == Act::FAIL {
                            "could not create an object: refused"
                        } else {
                            "the manager of the pool failed: panicked: the script panics"
                        };
                        assert_eq!((cause.as_str(), why.last_failure.as_deref()), (refused, Some(refused)));
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert!(script.creations.load(SeqCst) - failed <= 1);
            script.create.set(Act::Ready);
            sleep(secs(2)).await;
            assert_whole(&pool, &script).await;
        });
    }
}

/// Nor does it depend on whether callers come one after the other.
#[test]
fn callers_in_turn_are_paced_too() {
    World::run(async |world| {
        let (pool, script) = pool(10);
        script.create.set(Act::FAIL);
        while world.elapsed() < secs(10) {
            assert!(matches!(pool.get().await, Err(GetError::Create(Refused))));
        }
        let count = script.creations.load(SeqCst);
        let expected = *creations_until(10_000).start()..=creations_until(10_000).end() + 1;
        assert!(expected.contains(&count), "{count} of {expected:?}");
    });
}

/// The first object goes to the caller that has waited longest, and then no caller waits for a pause any more.
#[test]
fn with_the_first_success_all_begin() {
    World::run(async |world| {
        let (pool, script) = pool(4);
        script.create.set(Act::FAIL);
        let mut failing = callers(&pool, 30);
        sleep(secs(3)).await;
        let failed = script.creations.load(SeqCst);
        script.create.set(Act::Slow(ms(10)));
        let mut held = Vec::new();
        let get = |pool: Pool<Scripted>| async move { pool.get().await.map(|lease| (lease.id, lease)) };
        let later: Vec<_> = (0..3).map(|_| tokio::spawn(get(pool.clone()))).collect();
        let first = loop {
            let done = failing.iter().position(|caller| caller.is_finished());
            match done.map(|n| failing.remove(n)) {
                None => sleep(ms(1)).await,
                Some(caller) => {
                    if let Ok(id) = caller.await.unwrap() {
                        break (id, world.elapsed());
                    }
                }
            }
        };
        assert_eq!((first.0, failing.len()), (0, 30 - failed - 1), "the longest waiting");
        // It is returned at once, and serves all others; for callers that keep theirs others are made without a pause.
        for caller in later {
            held.push(caller.await.unwrap().unwrap());
        }
        assert!(world.elapsed() - first.1 <= ms(12), "{:?}", world.elapsed() - first.1);
        drop(held);
    });
}

/// As long as none has failed, all are made at once; and again after a recovery.
#[test]
fn a_healthy_pool_is_not_delayed() {
    World::run(async |_| {
        let (pool, script) = pool(8);
        script.create.set(Act::Slow(ms(10)));
        let all = async |pool: Pool<Scripted>| {
            let pool = &pool;
            let (a, b, c, d) = tokio::join!(pool.get(), pool.get(), pool.get(), pool.get());
            [a, b, c, d].map(Result::unwrap)
        };
        let leases = assert_took!(all(pool.clone()), ms(10));
        leases.into_iter().for_each(Lease::discard);

        script.create.next(Act::FAIL);
        assert!(pool.get().await.is_err());
        Lease::discard(pool.get().await.unwrap());
        let leases = assert_took!(all(pool.clone()), ms(10));
        drop(leases);
        assert_whole(&pool, &script).await;
    });
}

/// An object that is returned during a pause ends the wait.
#[test]
fn an_object_that_comes_back_is_taken_during_a_pause() {
    World::run(async |_| {
        let (pool, script) = pool(2);
        let lease = take(&pool, 1).await.remove(0);
        script.create.set(Act::FAIL);
        assert!(pool.get().await.is_err());
        let (got, ()) = tokio::join!(async { assert_took!(pool.get(), ms(3)) }, async {
            sleep(ms(3)).await;
            drop(lease);
        });
        assert_eq!(got.unwrap().id, 0);
    });
}

/// A manager that knows which of its failures are transient.
#[derive(Clone)]
struct Knowing {
    refusals: Arc<AtomicIsize>,
    scripted: Scripted,
}

impl Manager for Knowing {
    type Object = Item;
    type Error = Refused;

    async fn create(&self) -> Result<Item, Refused> {
        self.refusals.fetch_sub(1, SeqCst);
        self.scripted.create().await
    }

    async fn check(&self, item: &mut Item) -> Result<(), BoxError> {
        self.scripted.check(item).await
    }

    fn is_transient(&self, _: &Refused) -> bool {
        self.refusals.load(SeqCst) > 0
    }

    fn copy_error(&self, _: &Refused) -> Option<Refused> {
        Some(Refused)
    }
}

fn knowing(refusals: isize) -> (Pool<Knowing>, Knowing) {
    let knowing = Knowing { refusals: Arc::new(AtomicIsize::new(refusals)), scripted: Scripted::new() };
    knowing.scripted.0.create.set(Act::FAIL);
    let pool = Pool::builder(knowing.clone()).max(2).acquire_timeout(secs(5)).build().unwrap();
    (pool, knowing)
}

/// A transient failure is the error of no caller as long as there is time.
#[test]
fn a_transient_failure_is_tried_again_within_the_time_of_the_caller() {
    World::run(async |world| {
        let (pool, manager) = knowing(4);
        let error = pool.get().await.unwrap_err();
        assert!(matches!(error, GetError::Create(Refused)), "the fourth was for good");
        let (earliest, latest) = begins(4);
        assert!(
            world.elapsed() >= ms(earliest) && world.elapsed() <= ms(latest + 4),
            "{:?}",
            world.elapsed()
        );
        assert_eq!(manager.scripted.0.creations.load(SeqCst), 4);
        assert_eq!((pool.snapshot().create_failures, pool.snapshot().timeouts), (4, 0));
    });
}

#[test]
fn who_runs_out_of_time_has_the_very_error_as_the_cause() {
    World::run(async |_| {
        let (pool, manager) = knowing(isize::MAX);
        let (a, b) = assert_took!(async { tokio::join!(pool.get(), pool.get()) }, secs(5));
        for error in [a, b].map(Result::unwrap_err) {
            let GetError::Timeout(why) = &error else { panic!("{error:?}") };
            assert_eq!(why.last_failure.as_deref(), Some("could not create an object: refused"));
            let cause = error.source().unwrap().downcast_ref::<GetError<Refused>>().unwrap();
            assert!(matches!(cause, GetError::Create(Refused)));
            assert_eq!(cause.source().unwrap().to_string(), "refused");
        }
        // The first success ends the backoff.
        manager.scripted.0.create.set(Act::Ready);
        let held = [pool.get().await.unwrap(), pool.get().await.unwrap()];
        let Err(GetError::Timeout(why)) = pool.get().await else { panic!("there is room for two") };
        assert!(why.last_failure.is_none() && why.cause.is_none());
        drop(held);
    });
}

/// A failure that is not transient, and that every caller would meet, reaches all waiters.
#[test]
fn an_error_of_every_caller_is_told_to_all_at_once() {
    World::run(async |world| {
        let (pool, manager) = knowing(0);
        let script = &manager.scripted.0;
        let callers = |n: usize| {
            let caller = |pool: Pool<Knowing>| async move { pool.get().await.map(drop) };
            (0..n).map(|_| tokio::spawn(caller(pool.clone()))).collect::<Vec<_>>()
        };
        for wave in 0..3 {
            for caller in callers(1000) {
                assert!(matches!(caller.await.unwrap(), Err(GetError::Create(Refused))));
            }
            let (_, latest) = begins(3 * wave + 1);
            assert!(world.elapsed() <= ms(latest + 9), "{wave}: {:?}", world.elapsed());
        }
        assert!(script.creations.load(SeqCst) <= 8, "{:?}", script.creations);

        // Callers to which an object may come back wait for it.
        script.create.set(Act::Ready);
        let held = pool.get().await.unwrap();
        script.create.set(Act::FAIL);
        let mut waiting = callers(3);
        sleep(ms(1)).await;
        assert!(matches!(waiting.remove(0).await.unwrap(), Err(GetError::Create(Refused))));
        drop(held);
        for caller in waiting {
            assert!(caller.await.unwrap().is_ok());
        }
    });
}
