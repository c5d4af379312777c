//! Wakers and objects that call back, or panic, while they are called.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use evenkeel_pool::{Get, GetError, Lease, Manager, Panic, Pool};
use evenkeel_testkit::{
    World,
    waker::{WakerEvent, counting, panicking, with_hook},
};
use tokio::{
    runtime::Handle,
    task::yield_now,
    time::{Instant, sleep},
};

use crate::scripted::{Act, Scripted, assert_sound, assert_whole, pool, pool_with, secs, take};

fn poll<F: Future + ?Sized>(future: &mut Pin<Box<F>>, waker: &Waker) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(waker))
}

/// All that a callback may do with a pool.
fn use_all_of(pool: &Pool<Scripted>) {
    let _ = (pool.snapshot(), pool.holders(), format!("{pool:?}"));
    drop(pool.try_get());
    let _ = poll(&mut Box::pin(pool.get()), Waker::noop());
}

#[test]
fn a_waker_may_use_the_pool_that_it_waits_for() {
    World::run(async |_| {
        let (pool, script) = pool(2);
        let mut leases = take(&pool, 2).await;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let waker = with_hook({
            let (pool, seen) = (pool.clone(), Arc::clone(&seen));
            move |event| {
                use_all_of(&pool);
                seen.lock().unwrap().push(event);
            }
        });
        let mut gets: Vec<Pin<Box<Get<'_, Scripted>>>> = (0..3).map(|_| Box::pin(pool.get())).collect();
        for get in &mut gets {
            assert!(poll(get, &waker).is_pending());
            // Another waker in its place, and again.
            assert!(poll(get, &with_hook(|_| ())).is_pending());
            assert!(poll(get, &waker).is_pending());
        }
        // One waiter leaves; one is called, begins a check that is pending, and so is served.
        drop(gets.pop());
        script.check.next(Act::Yield);
        drop(leases.pop());
        let mut first = loop {
            let ready = gets.iter_mut().find_map(|get| match poll(get, &waker) {
                Poll::Ready(lease) => Some(lease.unwrap()),
                Poll::Pending => None,
            });
            match ready {
                Some(lease) => break lease,
                None => yield_now().await,
            }
        };
        first.unfit = true;
        drop((gets, waker, first, leases));
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        for event in [WakerEvent::Clone, WakerEvent::Wake, WakerEvent::Drop] {
            assert!(seen.contains(&event), "{event:?} of {seen:?}");
        }
        yield_now().await;
        assert_whole(&pool, &script).await;
    });
}

#[test]
fn a_closing_pool_tells_all_though_wakers_panic() {
    World::run(async |_| {
        let (pool, script) = pool(1);
        let lease = take(&pool, 1).await;
        let (good, wakes) = counting();
        let mut gets: Vec<_> = (0..5).map(|_| Box::pin(pool.get())).collect();
        for (get, waker) in
            gets.iter_mut().zip([&panicking("sore"), &good, &panicking("sore"), &panicking("sore"), &good])
        {
            assert!(poll(get, waker).is_pending());
        }
        let mut close = Box::pin(pool.close(secs(1)));
        let panic = Panic::catch(|| poll(&mut close, Waker::noop())).unwrap_err();
        assert_eq!(panic.message(), Some("sore"));
        assert_eq!(wakes.load(SeqCst), 2);
        for get in &mut gets {
            assert!(matches!(poll(get, Waker::noop()), Poll::Ready(Err(GetError::Closed))));
        }
        // The waiters for its end, too.
        let mut ends: Vec<_> = (0..3).map(|_| Box::pin(pool.close(secs(1)))).collect();
        for (end, waker) in ends.iter_mut().zip([&good, &panicking("sore"), &good]) {
            assert!(poll(end, waker).is_pending());
        }
        assert_eq!(Panic::catch(|| drop(lease)).unwrap_err().message(), Some("sore"));
        assert_eq!((wakes.load(SeqCst), script.live.load(SeqCst)), (4, 0));
    });
}

#[test]
fn a_waker_that_panics_costs_neither_an_object_nor_a_wake() {
    World::run(async |_| {
        let (pool, script) = pool(3);
        let mut leases = take(&pool, 3).await;
        let (good, wakes) = counting();
        let mut gets: Vec<_> = (0..3).map(|_| Box::pin(pool.get())).collect();
        for (get, waker) in gets.iter_mut().zip([&good, &panicking("sore"), &good]) {
            assert!(poll(get, waker).is_pending());
        }
        drop(leases.pop());
        let panic = Panic::catch(|| drop(leases.pop())).unwrap_err();
        assert_eq!(panic.message(), Some("sore"));
        assert_eq!((wakes.load(SeqCst), pool.snapshot().idle), (1, 2), "both are back");
        assert!(poll(&mut gets[1], Waker::noop()).is_ready());
        drop(gets.remove(0));
        assert_eq!((wakes.load(SeqCst), pool.snapshot().idle), (2, 2));
        // A caller that joins is called at once, which panics in its own poll: it keeps its place, and gets its object.
        let mut behind = Box::pin(pool.get());
        let panic = Panic::catch(|| drop(poll(&mut behind, &panicking("sore")))).unwrap_err();
        assert_eq!(panic.message(), Some("sore"));
        assert_eq!(pool.snapshot().waiting, 2);
        assert!(poll(&mut behind, Waker::noop()).is_ready());
        drop(behind);
        drop((gets, leases));
        assert_sound(&pool, &script);
        assert_eq!((pool.snapshot().in_use, pool.snapshot().waiting), (0, 0));
        assert_whole(&pool, &script).await;
    });
}

/// Its panic fails the first waiter, whose waker panics as well: the timer goes on for the others.
#[test]
fn wakers_that_panic_do_not_end_the_timer_of_others() {
    World::run(async |_| {
        let (pool, _script) = pool(1);
        let _lease = take(&pool, 1).await;
        let ((good, wakes), bad) = (counting(), panicking("sore"));
        let mut first = Box::pin(pool.get());
        assert!(poll(&mut first, &bad).is_pending());
        let mut late = Box::pin(pool.get_by(Instant::now() + secs(1)));
        assert!(poll(&mut late, &bad).is_pending());
        let mut good_one = Box::pin(pool.get_by(Instant::now() + secs(2)));
        assert!(poll(&mut good_one, &good).is_pending());
        sleep(secs(2)).await;
        yield_now().await;
        assert_eq!(wakes.load(SeqCst), 1);
        assert!(matches!(poll(&mut good_one, &good), Poll::Ready(Err(GetError::Timeout(_)))));
        assert!(matches!(poll(&mut late, &bad), Poll::Ready(Err(GetError::Timeout(_)))));
        assert!(matches!(poll(&mut first, &bad), Poll::Ready(Err(GetError::Panic(_)))));
    });
}

/// The waker of the caller that is served panics in the task of the creation, and so does that of the one that hears of it:
/// that is not the end of their runtime.
#[test]
fn a_task_that_meets_two_wakers_that_panic_was_not_cut() {
    World::run(async |_| {
        let (pool, script) = pool_with(1, |builder| builder.acquire_timeout(secs(2)));
        script.create.next(Act::Slow(secs(1)));
        let mut gets: Vec<_> = (0..2).map(|_| Box::pin(pool.get())).collect();
        assert!(gets.iter_mut().all(|get| poll(get, &panicking("sore")).is_pending()));
        sleep(secs(1)).await;
        yield_now().await;
        let Poll::Ready(Ok(_lease)) = poll(&mut gets[0], Waker::noop()) else { panic!("it was served") };
        assert!(matches!(poll(&mut gets[1], Waker::noop()), Poll::Ready(Err(GetError::Panic(_)))));
        let Err(GetError::Timeout(why)) = pool.get().await else { panic!("the object is in use") };
        assert_eq!(why.last_failure.as_deref(), Some("the manager of the pool failed: panicked: sore"));
    });
}

/// A manager whose objects use its pool when they are dropped.
struct Clinging(Arc<OnceLock<Pool<Clinging>>>, Arc<AtomicBool>);

struct Object(Arc<OnceLock<Pool<Clinging>>>);

impl Manager for Clinging {
    type Object = Object;
    type Error = Infallible;

    async fn create(&self) -> Result<Object, Infallible> {
        let object = Object(Arc::clone(&self.0));
        if self.1.load(SeqCst) {
            yield_now().await;
        }
        Ok(object)
    }

    async fn check(&self, _: &mut Object) -> Result<(), evenkeel_pool::BoxError> {
        if self.1.load(SeqCst) {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        if let Some(pool) = self.0.get() {
            let _ = (pool.snapshot(), pool.holders());
            // A check begins on a runtime that may be gone, and without a runtime none begins.
            if tokio::runtime::Handle::try_current().is_ok() {
                drop(pool.try_get());
            }
        }
    }
}

/// The task that checks or creates is dropped inside the call that spawns it, with its object.
#[test]
fn an_object_may_use_the_pool_when_its_runtime_is_gone() {
    let (home, slow) = (Arc::new(OnceLock::new()), Arc::new(AtomicBool::new(false)));
    let pool = Pool::builder(Clinging(Arc::clone(&home), Arc::clone(&slow))).max(3).build().unwrap();
    assert!(home.set(pool.clone()).is_ok());
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime().block_on(async {
        let leases = (pool.get().await.unwrap(), pool.get().await.unwrap());
        drop(leases);
    });
    slow.store(true, SeqCst);
    let gone = runtime();
    let handle = gone.handle().clone();
    drop(gone);
    let inside = handle.enter();
    assert!(pool.try_get().is_none());
    assert_eq!((pool.snapshot().size, pool.snapshot().discarded), (0, 2));
    // It cannot wait there, and its panic says so.
    let panic = Panic::catch(|| drop(poll(&mut Box::pin(pool.get()), Waker::noop()))).unwrap_err();
    assert!(panic.message().unwrap().contains("shutdown"), "{panic}");
    drop(inside);
    assert_eq!((pool.snapshot().size, pool.snapshot().waiting), (0, 0));
    slow.store(false, SeqCst);
    runtime().block_on(async {
        Lease::discard(pool.get().await.unwrap());
        assert!(pool.close(secs(1)).await.stragglers.is_empty());
    });
}

/// One runtime ends in the middle of a creation: a waiter on another is called to begin its own, and if that fails, its
/// error tells of the cut one.
#[test]
fn a_creation_that_is_cut_with_its_runtime_is_made_again_and_told() {
    let (pool, script) = pool_with(1, |builder| builder.create_timeout(secs(60)));
    script.create.set(Act::Hang);
    let gone = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    gone.block_on(async {
        assert!(poll(&mut Box::pin(pool.get()), Waker::noop()).is_pending());
        yield_now().await;
    });
    World::run(async |_| {
        let mut here = Box::pin(pool.get());
        let (waker, wakes) = counting();
        assert!(poll(&mut here, &waker).is_pending());
        assert_eq!(pool.snapshot().creating, 1, "it counts on the creation there");
        gone.shutdown_background();
        assert_eq!((wakes.load(SeqCst), pool.snapshot().creating), (1, 0));
        assert!(poll(&mut here, &waker).is_pending());
        assert_eq!(pool.snapshot().creating, 1);
        let Err(GetError::Timeout(why)) = here.await else { unreachable!("the creation never ends") };
        assert_eq!(why.last_failure.as_deref(), Some("a creation was cut: its runtime was shut down"));
    });
}

#[test]
fn a_pool_with_any_number_of_wakers_that_panic_is_closed() {
    World::run(async |_| {
        let (pool, _script) = pool(1);
        let lease = take(&pool, 1).await;
        let bad = panicking("sore");
        let mut gets: Vec<_> = (0..20_000).map(|_| Box::pin(pool.get())).collect();
        assert!(gets.iter_mut().all(|get| poll(get, &bad).is_pending()));
        let (good, wakes) = counting();
        let mut last = Box::pin(pool.get());
        assert!(poll(&mut last, &good).is_pending());
        let mut close = Box::pin(pool.close(secs(1)));
        let panic = Panic::catch(|| poll(&mut close, Waker::noop())).unwrap_err();
        assert_eq!((panic.message(), wakes.load(SeqCst)), (Some("sore"), 1));
        drop(lease);
    });
}

/// The first creation takes its time, the second one fails.
#[derive(Default)]
struct SecondFails(Arc<AtomicUsize>);

impl Manager for SecondFails {
    type Object = ();
    type Error = std::fmt::Error;

    async fn create(&self) -> Result<(), Self::Error> {
        match self.0.fetch_add(1, SeqCst) {
            0 => sleep(Duration::from_millis(10)).await,
            1 => return Err(std::fmt::Error),
            _ => {}
        }
        Ok(())
    }

    fn is_transient(&self, _: &Self::Error) -> bool {
        true
    }
}

#[test]
fn a_waker_that_panics_keeps_no_paused_creation_from_its_start() {
    World::run(async |world| {
        let manager = SecondFails::default();
        let creations = Arc::clone(&manager.0);
        let pool = Pool::builder(manager).max(2).build().unwrap();
        let mut gets = [pool.get(), pool.get()].map(Box::pin);
        for get in &mut gets {
            assert!(poll(get, Waker::noop()).is_pending());
        }
        world.settle().await;
        // Its next creation has a pause of at least 25 ms.
        assert!(poll(&mut gets[0], &panicking("sore")).is_pending());
        sleep(Duration::from_millis(10)).await;
        world.settle().await;
        assert_eq!(creations.load(SeqCst), 3, "creations work again");
        assert!(poll(&mut gets[0], Waker::noop()).is_ready());
    });
}

#[test]
fn a_getter_on_a_runtime_that_is_gone_panics_and_leaves_the_line() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (gone, here) = (runtime(), runtime());
    let handle = gone.handle().clone();
    gone.shutdown_background();
    let pool = Pool::builder(Infallibly).max(1).build().unwrap();
    let get = Panic::catch(|| {
        let _inside = handle.enter();
        poll(&mut Box::pin(pool.get()), Waker::noop()).is_ready()
    });
    assert!(get.unwrap_err().message().unwrap().contains("shutdown"));
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.waiting, snapshot.size), (0, 0));
    assert!(here.block_on(pool.get()).is_ok());
}

/// A thread of a runtime that is shut down meanwhile waits for an object, for which nobody has a timer any more.
#[test]
fn a_getter_whose_runtime_is_shut_down_meanwhile_does_not_wait_for_ever() {
    for is_multi in [false, true] {
        let mut builder = match is_multi {
            true => tokio::runtime::Builder::new_multi_thread(),
            false => tokio::runtime::Builder::new_current_thread(),
        };
        let runtime = builder.enable_time().build().unwrap();
        let pool = Pool::builder(Infallibly).max(1).build().unwrap();
        let lease = runtime.block_on(pool.get()).unwrap();
        let (ended, outcome) = mpsc::channel();
        runtime.spawn_blocking({
            let pool = pool.clone();
            move || {
                let get = Panic::catch(|| Handle::current().block_on(pool.get()).is_ok());
                ended.send(get.unwrap_err().message().unwrap().to_owned()).unwrap();
            }
        });
        while pool.snapshot().waiting == 0 {
            thread::yield_now();
        }
        // Its timer may not have begun.
        runtime.block_on(yield_now());
        runtime.shutdown_background();
        let message = outcome.recv_timeout(Duration::from_secs(20)).expect("it waits for ever");
        assert!(message.contains("shutdown"), "{message}");
        assert_eq!(pool.snapshot().waiting, 0);
        drop(lease);
    }
}

/// It is woken when the first runtime is shut down, and waits on in the one in which it is polled then, with the timer of that.
#[test]
fn a_getter_goes_on_in_another_runtime_when_the_first_one_is_shut_down() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let (first, second) = (runtime().unwrap(), runtime().unwrap());
    let pool = Pool::builder(Infallibly).max(1).acquire_timeout(secs(5)).build().unwrap();
    let _lease = first.block_on(pool.get()).unwrap();
    let (waker, wakes) = counting();
    let mut get = Box::pin(pool.get());
    first.block_on(async {
        assert!(poll(&mut get, &waker).is_pending());
        yield_now().await;
    });
    drop(first);
    assert_eq!(wakes.load(SeqCst), 1);
    second.block_on(async {
        assert!(poll(&mut get, &waker).is_pending());
        sleep(secs(10)).await;
        assert_eq!(wakes.load(SeqCst), 2);
        assert!(matches!(poll(&mut get, &waker), Poll::Ready(Err(GetError::Timeout(_)))));
    });
}

struct Infallibly;

impl Manager for Infallibly {
    type Object = ();
    type Error = Infallible;

    async fn create(&self) -> Result<(), Infallible> {
        Ok(())
    }
}
