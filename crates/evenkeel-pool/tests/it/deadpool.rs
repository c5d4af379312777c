//! Managers of the crate deadpool.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use evenkeel_pool::{Adopted, Deadpool, GetError, Lease, Pool};
use evenkeel_testkit::{World, assert_took};
use tokio::time::{Instant, sleep};

use crate::scripted::{Act, Refused, ms, secs};

/// Numbers its objects, and counts the calls.
#[derive(Debug)]
struct Numbers {
    created: AtomicUsize,
    detached: AtomicUsize,
    /// The metrics of the last recycling.
    seen: Mutex<Option<Metrics>>,
    fails: Mutex<Option<RecycleError<Refused>>>,
    create: Mutex<Act>,
}

#[derive(Clone, Debug)]
struct Handle(Arc<Numbers>);

impl Manager for Handle {
    type Type = usize;
    type Error = Refused;

    async fn create(&self) -> Result<usize, Refused> {
        let act = *self.0.create.lock().unwrap();
        act.pass().await?;
        Ok(self.0.created.fetch_add(1, SeqCst))
    }

    async fn recycle(&self, _: &mut usize, metrics: &Metrics) -> RecycleResult<Refused> {
        *self.0.seen.lock().unwrap() = Some(*metrics);
        sleep(ms(2)).await;
        self.0.fails.lock().unwrap().take().map_or(Ok(()), Err)
    }

    fn detach(&self, _: &mut usize) {
        self.0.detached.fetch_add(1, SeqCst);
    }
}

fn pool() -> (Pool<Deadpool<Handle>>, Arc<Numbers>) {
    let numbers = Arc::new(Numbers {
        created: AtomicUsize::new(0),
        detached: AtomicUsize::new(0),
        seen: Mutex::new(None),
        fails: Mutex::new(None),
        create: Mutex::new(Act::Slow(ms(1))),
    });
    let manager = Deadpool::new(Handle(Arc::clone(&numbers)));
    (Pool::builder(manager).max(2).acquire_timeout(secs(1)).create_timeout(secs(5)).build().unwrap(), numbers)
}

#[test]
fn it_creates_and_recycles() {
    World::run(async |_| {
        let (pool, numbers) = pool();
        let born = Instant::now() + ms(1);
        let mut lease = assert_took!(pool.get(), ms(1)).unwrap();
        **lease += 40;
        assert_eq!(Adopted::metrics(&lease).recycle_count, 0);
        drop(lease);
        for n in 1..4 {
            sleep(secs(10)).await;
            let lease = assert_took!(pool.get(), ms(2)).unwrap();
            assert_eq!(**lease, 40);
            let metrics = Adopted::metrics(&lease);
            assert_eq!((metrics.created, metrics.recycle_count), (born.into_std(), n));
            assert_eq!(metrics.recycled, Some(Instant::now().into_std()));
            assert_eq!(numbers.seen.lock().unwrap().unwrap().recycle_count, n - 1, "before it is counted");
        }
        assert_eq!((numbers.created.load(SeqCst), numbers.detached.load(SeqCst)), (1, 0));
    });
}

#[test]
fn errors_of_the_manager_arrive() {
    World::run(async |_| {
        let (pool, numbers) = pool();
        let creates = |act| *numbers.create.lock().unwrap() = act;
        creates(Act::FAIL);
        assert!(matches!(pool.get().await, Err(GetError::Create(Refused))));

        for (failure, text) in
            [(RecycleError::message("gone"), "gone"), (RecycleError::Backend(Refused), "refused")]
        {
            creates(Act::Ready);
            drop(pool.get().await.unwrap());
            *numbers.fails.lock().unwrap() = Some(failure);
            creates(Act::Hang);
            let Err(GetError::Timeout(why)) = pool.get().await else { unreachable!() };
            let expected = format!("a check failed: Error occurred while recycling an object: {text}");
            assert_eq!(why.last_failure, Some(expected));
            sleep(secs(5)).await;
        }
    });
}

/// `detach` is called once for each object that leaves, in each way in which it can leave.
#[test]
fn each_object_is_detached_once() {
    World::run(async |_| {
        let (pool, numbers) = pool();
        let detached = || numbers.detached.load(SeqCst);

        Lease::discard(pool.get().await.unwrap());
        assert_eq!(detached(), 1);

        let number: usize = Adopted::into_inner(Lease::detach(pool.get().await.unwrap()));
        assert_eq!((number, detached()), (1, 2));

        drop(Lease::detach(pool.get().await.unwrap()));
        assert_eq!(detached(), 3);

        drop(pool.get().await.unwrap());
        *numbers.fails.lock().unwrap() = Some(RecycleError::message("gone"));
        assert_eq!(**pool.get().await.unwrap(), 4);
        assert_eq!(detached(), 4);

        assert!(pool.close(secs(1)).await.stragglers.is_empty());
        assert_eq!((numbers.created.load(SeqCst), detached()), (5, 5));
    });
}
