//! The reset of an object when it is returned.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Waker},
};

use evenkeel_pool::{BoxError, GetError, Manager, Pool};
use evenkeel_testkit::{World, assert_took};
use tokio::time::sleep;

use crate::scripted::{Act, Item, Refused, Scripted, ms, secs};

/// The scripted manager, whose objects are reset by a script of their own.
#[derive(Clone)]
struct Resetting {
    scripted: Scripted,
    resets: Scripted,
    count: Arc<AtomicUsize>,
}

impl Manager for Resetting {
    type Object = Item;
    type Error = Refused;

    fn create(&self) -> impl Future<Output = Result<Item, Refused>> + Send {
        self.scripted.create()
    }

    async fn reset(&self, item: &mut Item) -> Result<(), BoxError> {
        self.count.fetch_add(1, SeqCst);
        self.resets.check(item).await
    }
}

fn resetting(max: usize) -> (Pool<Resetting>, Resetting) {
    let manager = Resetting { scripted: Scripted::new(), resets: Scripted::new(), count: Arc::default() };
    let pool = Pool::builder(manager.clone()).max(max).check_timeout(secs(1)).build().unwrap();
    (pool, manager)
}

#[test]
fn a_reset_that_is_ready_ends_with_the_return() {
    World::run(async |_| {
        let (pool, manager) = resetting(1);
        drop(pool.get().await.unwrap());
        assert_eq!((pool.snapshot().idle, manager.count.load(SeqCst)), (1, 1));
        drop(pool.get().await.unwrap());
        assert_eq!((manager.count.load(SeqCst), manager.scripted.0.made.load(SeqCst)), (2, 1));
        // Without a runtime, too.
        let lease = pool.get().await.unwrap();
        std::thread::spawn(|| drop(lease)).join().unwrap();
        assert_eq!(pool.snapshot().idle, 1);
    });
}

/// The object counts until it is clean, and then goes to the first waiter; one that cannot be cleaned is replaced.
#[test]
fn a_reset_that_takes_its_time_goes_on_in_the_background() {
    World::builder().allow_panics(usize::MAX).run(async |world| {
        for (act, took, id) in [
            (Act::Slow(ms(7)), ms(7), 0),
            (Act::Fail(ms(7)), ms(7), 1),
            (Act::FAIL, ms(0), 1),
            (Act::Hang, secs(1), 1),
        ] {
            let (pool, manager) = resetting(1);
            let lease = pool.get().await.unwrap();
            manager.resets.0.check.next(act);
            drop(lease);
            let checking = usize::from(!took.is_zero());
            assert_eq!((pool.snapshot().checking, pool.snapshot().size), (checking, checking));
            let lease = assert_took!(pool.get(), took).unwrap();
            assert_eq!(lease.id, id, "{act:?}");
            assert_eq!(manager.scripted.0.peak.load(SeqCst), 1);
            assert_eq!((pool.snapshot().in_use, pool.snapshot().checking), (1, 0), "{act:?}");
            drop(lease);
            world.settle().await;
        }
        let (pool, manager) = resetting(1);
        let lease = pool.get().await.unwrap();
        manager.resets.0.check.next(Act::PANIC);
        let (result, ()) = tokio::join!(pool.get(), async { drop(lease) });
        assert!(matches!(result, Err(GetError::Panic(_))), "the waiter is told");
        assert_eq!(pool.snapshot().size, 0);
    });
}

/// Without a runtime an object that cannot be reset at once is dropped; with the pool its reset ends.
#[test]
fn a_reset_that_cannot_go_on_costs_its_object() {
    World::run(async |world| {
        let (pool, manager) = resetting(2);
        let (first, second) = (pool.get().await.unwrap(), pool.get().await.unwrap());
        manager.resets.0.check.set(Act::Slow(ms(7)));
        std::thread::spawn(|| drop(first)).join().unwrap();
        assert_eq!((pool.snapshot().size, pool.snapshot().discarded), (1, 1));
        drop(second);
        assert_eq!(pool.snapshot().checking, 1);
        assert!(assert_took!(pool.close(secs(1)), ms(0)).stragglers.is_empty());
        assert_eq!(manager.scripted.0.live.load(SeqCst), 0);
        world.settle().await;
        let (pool, manager) = resetting(1);
        let lease = pool.get().await.unwrap();
        let close =
            Box::pin(pool.close(secs(1))).as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        drop(lease);
        assert_eq!(
            (close, manager.count.load(SeqCst), pool.snapshot().size),
            (false, 0, 0),
            "none for a closed pool"
        );
        sleep(ms(1)).await;
    });
}
