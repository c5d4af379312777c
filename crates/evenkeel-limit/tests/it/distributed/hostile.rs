//! Wakers, errors and panic hooks that call back into the limit, or panic. Under a lock they would hang, so each test
//! has a thread of its own.

use std::{
    panic,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    task::{Context, Waker},
    thread,
    time::Duration,
};

use evenkeel_limit::{
    Rate,
    distributed::{
        Distributed, OnFailure,
        store::{Store, Take, Taken},
    },
};
use evenkeel_testkit::waker::with_hook;
use tokio::time::sleep;

use crate::{
    distributed::fixtures::{Fault, FaultyStore, ms, process},
    fixtures::{ByHand, waker},
};

type Back = Arc<dyn Fn() + Send + Sync>;

/// Fails a test that hangs.
fn ends(test: impl FnOnce() + Send + 'static) {
    let (sender, ended) = mpsc::channel();
    let thread = thread::spawn(move || {
        test();
        let _ = sender.send(());
    });
    if ended.recv_timeout(Duration::from_secs(30)) == Err(mpsc::RecvTimeoutError::Timeout) {
        panic!("it hangs");
    }
    thread.join().unwrap();
}

fn in_paused_time(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.unwrap().block_on(test);
}

/// Uses a limit in all ways that take its lock.
fn back(quota: &Arc<Distributed>) -> (Back, Arc<AtomicUsize>) {
    let (weak, count) = (Arc::downgrade(quota), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    let back: Back = Arc::new(move || {
        let Some(quota) = weak.upgrade() else { return };
        counted.fetch_add(1, Relaxed);
        let _ = quota.snapshot();
        quota.refund(1);
        drop(ByHand::new(quota.try_acquire()).poll());
        drop(ByHand::new(quota.acquire()).poll());
    });
    (back, count)
}

#[test]
fn a_waker_may_come_back() {
    for policy in [OnFailure::Open, OnFailure::Closed, OnFailure::LocalShare(2)] {
        ends(move || {
            in_paused_time(async {
                let store = FaultyStore::new();
                let quota = Arc::new(process(&store, Rate::per_second(100)).burst(5).on_failure(policy));
                let (back, count) = back(&quota);
                quota.acquire_many(5).await.unwrap();
                for round in 0..6 {
                    let mut waiting = Box::pin(quota.acquire_many(2));
                    // Replaced by another waker, which is dropped or woken.
                    for _ in 0..2 {
                        let back = Arc::clone(&back);
                        let waker = with_hook(move |_| back());
                        if waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                            break;
                        }
                    }
                    store.always((round == 3).then_some(Fault::Error));
                    if round % 2 == 0 {
                        sleep(ms(200)).await;
                    }
                    drop(waiting);
                }
                quota.close().await;
                assert!(count.load(Relaxed) >= 6, "{count:?}");
            });
        });
    }
}

#[test]
fn a_waker_that_panics_wakes_those_behind_it_all_the_same() {
    ends(|| {
        in_paused_time(async {
            let store = FaultyStore::new();
            let quota = process(&store, Rate::per_second(100)).burst(5);
            quota.acquire_many(5).await.unwrap();
            let panics = waker(|| panic!("the waker panics"));
            let mut first = Box::pin(quota.acquire());
            assert!(first.as_mut().poll(&mut Context::from_waker(&panics)).is_pending());
            let mut behind = [ByHand::queued(quota.acquire()), ByHand::queued(quota.acquire())];
            sleep(ms(100)).await;
            assert!(behind.iter_mut().all(|waiting| waiting.wakes() == 1 && waiting.poll().is_ready()));
            assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
            // The worker is still there.
            quota.acquire().await.unwrap();
            assert_eq!((quota.snapshot().failures, quota.snapshot().granted), (0, 5));

            // The panic in a call goes on in that call.
            quota.acquire_many(5).await.unwrap();
            let mut first = Box::pin(quota.acquire());
            assert!(first.as_mut().poll(&mut Context::from_waker(&panics)).is_pending());
            let mut second = ByHand::queued(quota.acquire());
            let refund = panic::catch_unwind(panic::AssertUnwindSafe(|| quota.refund(2)));
            assert_eq!(*refund.unwrap_err().downcast::<&str>().unwrap(), "the waker panics");
            assert!(second.wakes() == 1 && second.poll().is_ready());
        });
    });
}

/// An error of a store that looks at the limit when it is dropped.
#[test]
fn an_error_may_come_back_when_it_is_dropped() {
    #[derive(Default)]
    struct Fails(Mutex<bool>, OnceLock<Back>);

    struct Error(Back);

    impl std::fmt::Debug for Error {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Error")
        }
    }

    impl std::fmt::Display for Error {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("no")
        }
    }

    impl std::error::Error for Error {}

    impl Drop for Error {
        fn drop(&mut self) {
            (self.0)();
        }
    }

    impl Store for Fails {
        type Error = Error;

        async fn take(&self, take: Take<'_>) -> Result<Taken, Error> {
            match *self.0.lock().unwrap() {
                true => Ok(Taken { granted: take.most, full_in: ms(0) }),
                false => Err(Error(Arc::clone(self.1.get().unwrap()))),
            }
        }
    }

    ends(|| {
        in_paused_time(async {
            let store = Arc::new(Fails::default());
            let quota = Arc::new(Distributed::new(Arc::clone(&store), "quota", Rate::per_second(10)));
            let (back, count) = back(&quota);
            assert!(store.1.set(back).is_ok());
            for _ in 0..3 {
                assert!(quota.acquire().await.is_err());
                sleep(ms(1_000)).await;
            }
            *store.0.lock().unwrap() = true;
            quota.acquire().await.unwrap();
            assert!(count.load(Relaxed) >= 3);
        });
    });
}

/// Outside of a runtime a request panics, and a panic hook may look at the limit.
#[test]
fn a_panic_hook_may_come_back() {
    ends(|| {
        let quota = {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let _entered = runtime.enter();
            Arc::new(process(&FaultyStore::new(), Rate::per_second(100)))
        };
        let (looks, seen) = (Arc::clone(&quota), Arc::new(AtomicUsize::new(0)));
        let (here, counted) = (thread::current().id(), Arc::clone(&seen));
        let before = Arc::new(panic::take_hook());
        let others = Arc::clone(&before);
        panic::set_hook(Box::new(move |info| {
            if thread::current().id() == here {
                let _ = looks.snapshot();
                counted.fetch_add(1, Relaxed);
            } else {
                others(info);
            }
        }));
        let polled = panic::catch_unwind(panic::AssertUnwindSafe(|| ByHand::new(quota.acquire()).poll()));
        panic::set_hook(Box::new(move |info| before(info)));
        assert!(polled.is_err());
        assert_eq!(seen.load(Relaxed), 1);
        assert_eq!((quota.snapshot().waiting, quota.snapshot().calls), (0, 0));
    });
}
