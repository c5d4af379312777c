//! The ends of the ranges, and managers at their worst.

use std::{
    convert::Infallible,
    fmt,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use evenkeel_pool::{BoxError, BuildError, GetError, Lease, Manager, Pool};
use evenkeel_testkit::{World, assert_took};
use tokio::{
    runtime::{Builder, Runtime},
    time::{Instant, advance, sleep, timeout},
};

use crate::scripted::{Act, assert_whole, ms, pool, pool_with, secs, take};

/// The method that panics.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Panics {
    /// Before it returns a future.
    Create,
    IsTransient,
    CopyError,
    Text,
    /// Of a transient error.
    TextOfTransient,
    DropOfError,
}

struct Worst {
    panics: Panics,
    creations: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Failed(Panics);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        assert!(!matches!(self.0, Panics::Text | Panics::TextOfTransient), "the text panics");
        f.write_str("failed")
    }
}

impl std::error::Error for Failed {}

impl Drop for Failed {
    fn drop(&mut self) {
        assert!(self.0 != Panics::DropOfError || std::thread::panicking(), "the drop panics");
    }
}

impl Manager for Worst {
    type Object = ();
    type Error = Failed;

    fn create(&self) -> impl Future<Output = Result<(), Failed>> + Send {
        self.creations.fetch_add(1, SeqCst);
        assert!(self.panics != Panics::Create, "the creation panics");
        std::future::ready(Err(Failed(self.panics)))
    }

    fn is_transient(&self, _: &Failed) -> bool {
        assert!(self.panics != Panics::IsTransient, "the judgement panics");
        self.panics == Panics::TextOfTransient
    }

    fn copy_error(&self, _: &Failed) -> Option<Failed> {
        assert!(self.panics != Panics::CopyError, "the copy panics");
        None
    }
}

const ALL: [Panics; 6] = [
    Panics::Create,
    Panics::IsTransient,
    Panics::CopyError,
    Panics::Text,
    Panics::TextOfTransient,
    Panics::DropOfError,
];

/// Whichever method panics: creations are tried at the pace of the backoff, and each caller has an error within its time.
#[test]
fn a_manager_that_panics_storms_nothing() {
    for panics in ALL {
        World::builder().allow_panics(usize::MAX).run(async |_| {
            let creations = Arc::new(AtomicUsize::new(0));
            let manager = Worst { panics, creations: Arc::clone(&creations) };
            let pool = Pool::builder(manager).max(8).min_idle(4).acquire_timeout(secs(10)).build().unwrap();
            sleep(secs(60)).await;
            let tries = creations.load(SeqCst);
            assert!((60..=130).contains(&tries), "{panics:?}: {tries}");
            let waiters: Vec<_> = (0..20)
                .map(|_| {
                    let pool = pool.clone();
                    tokio::spawn(async move { pool.get().await.is_err() })
                })
                .collect();
            let began = Instant::now();
            for waiter in waiters {
                // The error itself may panic where it is dropped.
                assert!(waiter.await.unwrap_or(true), "{panics:?}");
            }
            assert!(began.elapsed() <= secs(20), "{panics:?}: {:?}", began.elapsed());
            let tries = creations.load(SeqCst) - tries;
            assert!(tries <= 60, "{panics:?}: {tries} for 20 waiters");
            let snapshot = pool.snapshot();
            assert_eq!((snapshot.waiting, snapshot.in_use, snapshot.idle), (0, 0, 0), "{panics:?}");
            assert_eq!(
                snapshot.create_failures + snapshot.creating as u64,
                creations.load(SeqCst) as u64 + 1
            );
        });
    }
}

/// A check whose error has a text that panics costs its object, and the caller gets another one.
#[test]
fn a_text_that_panics_costs_one_object() {
    #[derive(Default)]
    struct FirstFails(AtomicUsize);

    impl Manager for FirstFails {
        type Object = usize;
        type Error = Infallible;

        async fn create(&self) -> Result<usize, Infallible> {
            Ok(self.0.fetch_add(1, SeqCst))
        }

        async fn check(&self, n: &mut usize) -> Result<(), BoxError> {
            if *n == 0 { Err(Failed(Panics::Text).into()) } else { Ok(()) }
        }
    }

    World::builder().allow_panics(1).run(async |_| {
        let pool = Pool::builder(FirstFails::default()).max(1).build().unwrap();
        drop(pool.get().await.unwrap());
        assert_eq!(*pool.get().await.unwrap(), 1);
        assert_eq!((pool.snapshot().discarded, pool.snapshot().size), (1, 1));
    });
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap()
}

/// The waker of a thread that blocks on futures is the same in each runtime: a waiter is in the runtime in which it was
/// polled last, and its timer is there.
#[test]
fn a_waiter_that_moves_to_another_runtime_ends_in_time() {
    let (first, second) = (runtime(), runtime());
    let (pool, _script) = pool_with(1, |builder| builder.acquire_timeout(ms(200)));
    let lease = first.block_on(pool.get()).unwrap();
    let mut get = Box::pin(pool.get());
    assert!(first.block_on(async { timeout(ms(1), &mut get).await }).is_err());
    drop(first);
    let result = second.block_on(async { timeout(secs(20), get).await });
    assert!(matches!(result, Ok(Err(GetError::Timeout(_)))), "it is not forgotten");
    drop(lease);
}

/// Zero is no time at all, and the largest number is no limit.
#[test]
fn times_at_both_ends() {
    World::run(async |world| {
        let (zero, script) = pool_with(1, |builder| builder.acquire_timeout(ms(0)));
        // It creates in vain, and the object is there for the next one.
        let Err(GetError::Timeout(why)) = assert_took!(zero.get(), ms(0)) else { panic!("no time at all") };
        assert_eq!((why.waited, why.ahead), (ms(0), 0));
        world.settle().await;
        let lease = assert_took!(zero.get(), ms(0)).unwrap();
        assert!(matches!(assert_took!(zero.get(), ms(0)), Err(GetError::Timeout(_))));
        assert!(matches!(assert_took!(zero.get_by(Instant::now()), ms(0)), Err(GetError::Timeout(_))));
        drop(lease);
        assert!(zero.get_by(Instant::now() - secs(1)).await.is_ok(), "an idle object takes no time");
        assert_whole(&zero, &script).await;

        let max = Duration::MAX;
        let (pool, script) =
            pool_with(1, |builder| builder.acquire_timeout(max).create_timeout(max).check_timeout(max));
        let lease = pool.get().await.unwrap();
        let waiter = tokio::spawn({
            let pool = pool.clone();
            async move { pool.get().await.unwrap().id }
        });
        sleep(secs(86_400 * 365)).await;
        assert_eq!(pool.snapshot().waiting, 1);
        let early = assert_took!(pool.get_by(Instant::now() + ms(3)), ms(3));
        assert!(matches!(early, Err(GetError::Timeout(_))));
        script.check.next(Act::Slow(secs(86_400)));
        drop(lease);
        assert_eq!(waiter.await.unwrap(), 0);
        assert!(pool.close(max).await.stragglers.is_empty());
    });
    World::run(async |_| {
        let manager = Worst { panics: Panics::Create, creations: Arc::default() };
        assert!(matches!(Pool::builder(manager).max(0).build(), Err(BuildError::ZeroMax)));
        let (pool, script) = pool_with(usize::MAX, |builder| builder.max_creating(0));
        assert_eq!(pool.warm(0).await, 0);
        assert_eq!(pool.warm(3).await, 3, "none at a time counts as one");
        pool.resize(usize::MAX).unwrap();
        assert_eq!(pool.resize(0), Err(BuildError::ZeroMax));
        pool.resize(1).unwrap();
        assert_eq!((pool.snapshot().idle, script.live.load(SeqCst)), (1, 1));
    });
}

/// The clock stands still, or jumps: nobody ends before the time, nor waits behind it.
#[tokio::test(start_paused = true)]
async fn a_clock_that_stands_still() {
    let (pool, _script) = pool_with(1, |builder| builder.acquire_timeout(ms(10)).hold_warning(ms(0)));
    let lease = pool.get().await.unwrap();
    for step in [Duration::ZERO, Duration::from_nanos(1), ms(9), ms(10), secs(86_400)] {
        let waiter = tokio::spawn({
            let pool = pool.clone();
            async move { pool.get().await.err() }
        });
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        advance(step).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(waiter.is_finished(), step >= ms(10), "{step:?}");
        waiter.abort();
        let _ = waiter.await;
        assert_eq!(pool.snapshot().waiting, 0);
    }
    drop(lease);
}

type Home = Arc<OnceLock<Pool<Nesting>>>;

/// Objects that hold leases of their own pool, and return them when they are dropped.
struct Nesting(Home);

struct Nest {
    inner: Mutex<Vec<Lease<Nesting>>>,
    home: Home,
}

impl Manager for Nesting {
    type Object = Nest;
    type Error = Infallible;

    async fn create(&self) -> Result<Nest, Infallible> {
        Ok(Nest { inner: Mutex::default(), home: Arc::clone(&self.0) })
    }
}

impl Drop for Nest {
    fn drop(&mut self) {
        drop(self.inner.get_mut().unwrap().drain(..));
        if let Some(pool) = self.home.get() {
            drop(pool.try_get());
        }
    }
}

/// A drop inside of a drop inside of a drop, by each way in which an object can leave the pool.
#[test]
fn objects_may_hold_leases_of_their_own_pool() {
    for way in 0..5 {
        World::run(async |_| {
            let home = Home::default();
            let pool = Pool::builder(Nesting(Arc::clone(&home))).max(4).build().unwrap();
            assert!(home.set(pool.clone()).is_ok());
            let mut chain = pool.get().await.unwrap();
            for _ in 0..3 {
                let outer = pool.get().await.unwrap();
                outer.inner.lock().unwrap().push(chain);
                chain = outer;
            }
            assert_eq!(pool.snapshot().in_use, 4);
            match way {
                0 => Lease::discard(chain),
                1 => drop(Lease::detach(chain)),
                2 => {
                    drop(chain);
                    pool.retire_all();
                }
                3 => {
                    pool.resize(1).unwrap();
                    drop(chain);
                }
                _ => {
                    assert_eq!(pool.close(ms(0)).await.stragglers.len(), 4);
                    drop(chain);
                }
            }
            let snapshot = pool.snapshot();
            // An object that is idle may hold leases.
            assert_eq!(snapshot.size, snapshot.idle + snapshot.in_use, "{way}: {snapshot:?}");
            let closed = assert_took!(pool.close(secs(1)), ms(0));
            assert!(closed.stragglers.is_empty() && pool.snapshot().size == 0, "{way}");
        });
    }
}

/// A runtime is gone while an object is reset or checked there, or a lease is returned: the slot is free for others.
#[test]
fn a_lease_may_be_returned_when_its_runtime_is_gone() {
    let gone = Builder::new_current_thread().enable_time().build().unwrap();
    let (pool, script) = pool(2);
    let leases = gone.block_on(take(&pool, 2));
    let handle = gone.handle().clone();
    gone.shutdown_background();
    let inside = handle.enter();
    drop(leases);
    assert_eq!(pool.snapshot().idle, 2);
    drop(inside);
    World::run(async |_| assert_whole(&pool, &script).await);
}

type Hook = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

/// Objects whose destructor calls a hook.
struct Hooked(Hook);

struct Item(Hook);

impl Manager for Hooked {
    type Object = Item;
    type Error = Infallible;

    async fn create(&self) -> Result<Item, Infallible> {
        Ok(Item(Arc::clone(&self.0)))
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        let hook = self.0.lock().unwrap().take();
        hook.into_iter().for_each(|hook| hook());
    }
}

/// While the destructor of an idle object runs nobody has it: no holder is there, and a caller that comes is not told of a
/// deadlock, but gets the room.
#[test]
fn an_object_that_is_dropped_is_in_use_by_nobody() {
    for way in 0..4 {
        World::run(async |world| {
            let hook = Hook::default();
            let builder = Pool::builder(Hooked(Arc::clone(&hook))).max(1).detect_deadlocks(true);
            let pool = match way {
                0 => builder.idle_timeout(ms(5)),
                1 => builder.max_lifetime(ms(5)),
                _ => builder,
            };
            let pool = pool.build().unwrap();
            drop(pool.get().await.unwrap());
            let waiter = Arc::new(Mutex::new(None));
            *hook.lock().unwrap() = Some({
                let (pool, closing, waiter) = (pool.clone(), pool.clone(), Arc::clone(&waiter));
                Box::new(move || {
                    let snapshot = pool.snapshot();
                    assert_eq!((snapshot.in_use, snapshot.size, pool.holders().len()), (0, 1, 0), "{way}");
                    let mut get = Box::pin(async move { pool.get().await.is_ok() });
                    let polled = get.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                    if way == 3 {
                        assert_eq!(polled, Poll::Ready(false), "it is closed");
                        let end = Box::pin(closing.close(secs(1)))
                            .as_mut()
                            .poll(&mut Context::from_waker(Waker::noop()));
                        assert!(end.is_pending(), "an object still lives");
                        return;
                    }
                    assert!(polled.is_pending(), "{way}");
                    *waiter.lock().unwrap() = Some(get);
                })
            });
            match way {
                0 | 1 => sleep(ms(10)).await,
                2 => pool.retire_all(),
                _ => assert!(pool.close(ms(0)).await.stragglers.is_empty()),
            }
            world.settle().await;
            if way == 3 {
                assert_eq!((pool.snapshot().size, hook.lock().unwrap().is_none()), (0, true));
                return;
            }
            let get = waiter.lock().unwrap().take().expect("the object is dropped");
            assert!(assert_took!(get, ms(0)), "{way}: it gets the room");
        });
    }
}
