//! Errors, panics and broken objects: the caller that gets them, and the state of the pool afterwards.

use std::{error::Error, sync::atomic::Ordering::SeqCst};

use evenkeel_pool::{GetError, Lease, Pool};
use evenkeel_testkit::{World, assert_took};
use tokio::time::sleep;

use crate::scripted::{Act, Broken, Refused, Scripted, assert_whole, ms, pool, pool_with, secs, take};

type Outcome = Result<usize, GetError<Refused>>;

/// Starts `n` callers, which return their objects at once.
fn callers(pool: &Pool<Scripted>, n: usize) -> Vec<tokio::task::JoinHandle<Outcome>> {
    let caller = |pool: Pool<Scripted>| async move { pool.get().await.map(|lease| lease.id) };
    (0..n).map(|_| tokio::spawn(caller(pool.clone()))).collect()
}

/// Each failed creation is the error of the caller that waits longest, by value; the others get their own attempts.
#[test]
fn a_failed_creation_is_the_error_of_the_first_waiter() {
    World::run(async |world| {
        let (pool, script) = pool(1);
        for act in [Act::Fail(ms(10)), Act::Fail(ms(20)), Act::Slow(ms(30))] {
            script.create.next(act);
        }
        let mut outcomes = Vec::new();
        for caller in callers(&pool, 4) {
            outcomes.push((caller.await.unwrap(), world.elapsed()));
        }
        let [(a, at_a), (b, at_b), (c, at_c), (d, at_d)] = &outcomes[..] else { unreachable!() };
        assert!(matches!(a, Err(GetError::Create(Refused))) && matches!(b, Err(GetError::Create(Refused))));
        assert_eq!((c.as_ref().unwrap(), d.as_ref().unwrap()), (&0, &0));
        // Before each further attempt there is a pause, of which up to a half is left out.
        let pauses = [*at_b - *at_a - ms(20), *at_c - *at_b - ms(30)];
        assert!(pauses[0] >= ms(25) && pauses[0] <= ms(51), "{pauses:?}");
        assert!(pauses[1] >= ms(50) && pauses[1] <= ms(101), "{pauses:?}");
        assert_eq!((*at_a, *at_c), (ms(10), *at_d));
        assert_eq!((pool.snapshot().created, pool.snapshot().create_failures), (1, 2));
        assert_whole(&pool, &script).await;
    });
}

/// A creation that began before its caller gave up, and fails after that, is the error of a caller that came later.
#[test]
fn an_orphaned_failure_is_heard_by_who_waits() {
    World::run(async |world| {
        let (pool, script) = pool_with(1, |builder| builder.acquire_timeout(ms(10)));
        script.create.next(Act::Fail(ms(15)));
        assert!(matches!(pool.get().await, Err(GetError::Timeout(_))));
        assert!(matches!(assert_took!(pool.get(), ms(5)), Err(GetError::Create(Refused))));

        sleep(secs(1)).await;
        script.create.next(Act::Fail(ms(15)));
        assert!(pool.get().await.is_err());
        sleep(ms(5)).await;
        world.settle().await;
        assert_eq!(pool.snapshot().create_failures, 2, "nobody waits: it is only counted");
        sleep(secs(1)).await;
        assert_whole(&pool, &script).await;
    });
}

#[test]
fn creations_and_checks_have_their_limits() {
    World::run(async |_| {
        let (pool, script) = pool_with(2, |builder| builder.create_timeout(secs(2)).check_timeout(secs(1)));
        script.create.next(Act::Hang);
        let error = assert_took!(pool.get(), secs(2)).unwrap_err();
        assert!(matches!(error, GetError::CreateTimeout(limit) if limit == secs(2)));
        assert_eq!(script.running.load(SeqCst), 0, "it was dropped");

        drop(take(&pool, 2).await);
        script.check.next(Act::Hang);
        let lease = assert_took!(pool.get(), secs(1)).unwrap();
        assert_eq!((lease.id, pool.snapshot().discarded), (0, 1), "the next idle one");
        drop(lease);
        assert_whole(&pool, &script).await;
    });
}

/// Objects that fail their check, at once or after a while, are replaced; no caller hears of it.
#[test]
fn unfit_objects_are_replaced() {
    for act in [Act::FAIL, Act::Fail(ms(3))] {
        World::run(async |_| {
            let (pool, script) = pool(4);
            drop(take(&pool, 4).await);
            for _ in 0..4 {
                script.check.next(act);
            }
            let lease = pool.get().await.unwrap();
            assert_eq!((lease.id, pool.snapshot().discarded, pool.snapshot().size), (4, 4, 1));
            drop(lease);
            assert_whole(&pool, &script).await;
        });
    }
}

/// Objects that are broken at every return are replaced for the waiters, one by one.
#[test]
fn broken_objects_do_not_starve_those_who_wait() {
    World::run(async |_| {
        let (pool, script) = pool(2);
        let breaker = |pool: Pool<Scripted>| async move {
            let mut lease = pool.get().await.unwrap();
            sleep(ms(1)).await;
            lease.broken = Broken::Yes;
        };
        let tasks: Vec<_> = (0..20).map(|_| tokio::spawn(breaker(pool.clone()))).collect();
        let all = async {
            for task in tasks {
                task.await.unwrap();
            }
        };
        assert_took!(all, ms(10));
        assert_eq!((pool.snapshot().discarded, pool.snapshot().size), (20, 0));
        assert_whole(&pool, &script).await;
    });
}

fn message(error: &GetError<Refused>) -> &str {
    match error {
        GetError::Panic(panic) => panic.message().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// A panic in a creation or in a check, early or late, is the error of the first waiter, and costs one object at most.
#[test]
fn a_panic_is_an_error() {
    for act in [Act::PANIC, Act::Panic(ms(5))] {
        World::builder().allow_panics(2).run(async |_| {
            let (pool, script) = pool(2);
            script.create.next(act);
            let error = pool.get().await.unwrap_err();
            assert_eq!(message(&error), "the script panics");
            assert_eq!(error.source().unwrap().to_string(), "panicked: the script panics");
            assert_eq!((pool.snapshot().size, pool.snapshot().create_failures), (0, 1));

            drop(take(&pool, 2).await);
            script.check.next(act);
            assert_eq!(message(&pool.get().await.unwrap_err()), "the script panics");
            assert_eq!((pool.snapshot().idle, pool.snapshot().discarded), (1, 1));
            assert_eq!(script.live.load(SeqCst), 1);
            assert_whole(&pool, &script).await;
        });
    }
}

#[test]
fn try_get_panics_where_the_check_does() {
    World::run(async |_| {
        let (pool, script) = pool(1);
        drop(take(&pool, 1).await);
        script.check.next(Act::PANIC);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pool.try_get()));
        assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"the script panics"));
        assert_whole(&pool, &script).await;
    });
}

/// A panic of `is_broken` does not reach the task that returns the object, but the first waiter.
#[test]
fn a_panic_at_the_return_is_the_error_of_a_waiter() {
    World::run(async |_| {
        let (pool, script) = pool(1);
        let lease = |broken| async move {
            let mut lease = pool.get().await.unwrap();
            lease.broken = broken;
            (lease, pool)
        };
        let (lease, pool) = lease(Broken::Panic).await;
        let (error, ()) = tokio::join!(pool.get(), async { drop(lease) });
        assert_eq!(message(&error.unwrap_err()), "broken for good");
        assert_eq!(pool.snapshot().discarded, 1);

        // Nobody waits: the pool keeps the text.
        let mut lease = pool.get().await.unwrap();
        lease.broken = Broken::Panic;
        drop(lease);
        script.create.set(Act::Hang);
        let Err(GetError::CreateTimeout(_)) = pool.get().await else { unreachable!() };
        script.create.set(Act::Ready);
        assert_whole(&pool, &script).await;
    });
}

/// A task that panics with leases returns their objects, and `is_broken` can see that it panicked.
#[test]
fn a_panic_of_the_user_leaks_nothing() {
    World::builder().allow_panics(2).run(async |_| {
        let (pool, script) = pool(2);
        let user = tokio::spawn({
            let pool = pool.clone();
            async move {
                let _whole = pool.get().await.unwrap();
                let mut broken = pool.get().await.unwrap();
                broken.broken = Broken::Panic;
                panic!("the user's own");
            }
        });
        assert!(user.await.unwrap_err().is_panic());
        assert_eq!((pool.snapshot().idle, pool.snapshot().discarded), (1, 1));
        assert_whole(&pool, &script).await;
    });
}

/// Polled outside of a runtime, a `get` that has to wait panics, and leaves nothing behind.
#[test]
fn outside_of_a_runtime_it_panics() {
    use std::{
        pin::pin,
        task::{Context, Waker},
    };
    let get = |pool: &Pool<Scripted>| {
        let get = pin!(pool.get());
        let _ = get.poll(&mut Context::from_waker(Waker::noop()));
    };
    let (pool, script) = pool(2);
    let caught = || std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| get(&pool)));
    assert!(caught().is_err(), "it would create");
    World::run(async |_| drop(take(&pool, 2).await));
    assert!(caught().is_ok(), "it takes an idle object");
    script.check.next(Act::Yield);
    assert!(caught().is_err(), "it would check");
    let held = World::run(async |_| take(&pool, 2).await);
    assert!(caught().is_err(), "it would wait");
    drop(held);
    World::run(async |_| assert_whole(&pool, &script).await);
}

mod destructors {
    use std::{
        convert::Infallible,
        panic::{AssertUnwindSafe, catch_unwind},
        sync::{Arc, Mutex, OnceLock},
    };

    use evenkeel_pool::{BoxError, Manager};
    use tokio::time::timeout;

    use super::*;

    struct Mines;

    struct Mine;

    impl Drop for Mine {
        fn drop(&mut self) {
            panic!("a mine");
        }
    }

    impl Manager for Mines {
        type Object = Mine;
        type Error = Infallible;

        async fn create(&self) -> Result<Mine, Infallible> {
            Ok(Mine)
        }

        async fn check(&self, _: &mut Mine) -> Result<(), BoxError> {
            sleep(ms(1)).await;
            Err("unfit".into())
        }
    }

    /// A destructor that panics is no leak either: in the task that discards, and in a task of the pool.
    #[test]
    fn may_panic() {
        World::builder().allow_panics(1).run(async |_| {
            let pool = Pool::builder(Mines).max(1).build().unwrap();
            let lease = pool.get().await.unwrap();
            let discarded = catch_unwind(AssertUnwindSafe(|| Lease::discard(lease)));
            assert_eq!(discarded.unwrap_err().downcast_ref(), Some(&"a mine"));
            assert_eq!(pool.snapshot().size, 0);

            drop(pool.get().await.unwrap());
            match assert_took!(pool.get(), ms(1)) {
                Err(GetError::Panic(panic)) => assert_eq!(panic.message(), Some("a mine")),
                other => panic!("{:?}", other.is_ok()),
            }
            assert_eq!((pool.snapshot().size, pool.snapshot().discarded), (0, 2));
            std::mem::forget(Lease::detach(pool.get().await.unwrap()));
        });
    }

    /// Reads in its destructor how many slots of its pool are taken.
    #[derive(Clone, Default)]
    struct Witness {
        pool: Arc<OnceLock<Pool<Witness>>>,
        seen: Arc<Mutex<Vec<usize>>>,
        check: Arc<Mutex<Option<Act>>>,
    }

    struct Seen(Witness);

    impl Drop for Seen {
        fn drop(&mut self) {
            self.0.seen.lock().unwrap().extend(self.0.pool.get().map(|pool| pool.snapshot().size));
        }
    }

    impl Manager for Witness {
        type Object = Seen;
        type Error = Refused;

        async fn create(&self) -> Result<Seen, Refused> {
            Ok(Seen(self.clone()))
        }

        async fn check(&self, _: &mut Seen) -> Result<(), BoxError> {
            let act = self.check.lock().unwrap().take();
            Ok(act.unwrap_or(Act::Ready).pass().await?)
        }

        fn is_broken(&self, _: &mut Seen) -> bool {
            self.check.lock().unwrap().is_none()
        }
    }

    /// There is room for another object when the destructor has run, not before, in each way in which an object ends.
    #[test]
    fn run_before_there_is_room() {
        World::builder().allow_panics(1).run(async |_| {
            let witness = Witness::default();
            let pool = Pool::builder(witness.clone()).max(1).check_timeout(secs(1)).build().unwrap();
            witness.pool.set(pool.clone()).unwrap();
            let next = |act| *witness.check.lock().unwrap() = Some(act);

            Lease::discard(pool.get().await.unwrap());
            drop(pool.get().await.unwrap());
            for act in [Act::FAIL, Act::Fail(ms(1)), Act::Hang, Act::PANIC, Act::Panic(ms(1))] {
                let lease = pool.get().await.unwrap();
                next(act);
                drop(lease);
                let _ = pool.get().await;
            }
            let lease = pool.get().await.unwrap();
            next(Act::Hang);
            drop(lease);
            let _ = timeout(ms(1), pool.get()).await;
            let _ = pool.close(secs(1)).await;
            let seen = std::mem::take(&mut *witness.seen.lock().unwrap());
            assert_eq!(seen, [1; 11]);
        });
    }
}
