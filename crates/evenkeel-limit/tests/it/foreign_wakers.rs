//! Foreign wakers: they may call back, and may panic.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use evenkeel_limit::{ConcurrencyLimiter, Rate, RateLimiter, Reason};
use evenkeel_testkit::{World, waker::with_hook};
use tokio::time::{advance, sleep};

use crate::fixtures::{ByHand, waker};

static CALLS: AtomicUsize = AtomicUsize::new(0);
static RATE: LazyLock<RateLimiter> = LazyLock::new(|| RateLimiter::new(Rate::every(Duration::from_secs(1))));
static SLOTS: ConcurrencyLimiter = ConcurrencyLimiter::new(1);

/// Uses the limiters.
fn call_back() {
    CALLS.fetch_add(1, Relaxed);
    let _taken = RATE.try_acquire();
    let _queued = pin!(RATE.acquire()).poll(&mut Context::from_waker(Waker::noop()));
    RATE.refund(0);
    let _permit = SLOTS.try_acquire();
    let _queued = pin!(SLOTS.acquire()).poll(&mut Context::from_waker(Waker::noop()));
    let _drained = pin!(SLOTS.drained()).poll(&mut Context::from_waker(Waker::noop()));
    assert!(!RATE.snapshot().closed && !SLOTS.snapshot().closed);
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&with_hook(|_| call_back())))
}

#[test]
fn wakers_may_call_back_when_cloned_woken_replaced_and_dropped() {
    World::run(async |_| {
        let _ = RATE.try_acquire();
        for _ in 0..3 {
            let mut turn = Box::pin(RATE.acquire());
            assert!(poll(turn.as_mut()).is_pending());
            assert!(poll(turn.as_mut()).is_pending(), "another waker");
            let dropped = Box::pin(RATE.acquire());
            drop(dropped);
            sleep(Duration::from_secs(10)).await;
            assert!(poll(turn.as_mut()).is_ready());

            let permit = SLOTS.try_acquire().unwrap();
            let (mut turn, mut drained) = (Box::pin(SLOTS.acquire()), Box::pin(SLOTS.drained()));
            for _ in 0..2 {
                assert!(poll(turn.as_mut()).is_pending());
                assert!(poll(drained.as_mut()).is_pending());
            }
            drop(permit);
            assert!(poll(turn.as_mut()).is_ready());
            assert!(poll(drained.as_mut()).is_ready());
        }
        assert!(CALLS.load(Relaxed) > 20);
    });
}

/// A waiter whose waker panics, and the number of its wakes.
fn panicking(calls: &Arc<AtomicUsize>) -> Waker {
    let calls = Arc::clone(calls);
    waker(move || {
        calls.fetch_add(1, Relaxed);
        panic!("a waker that panics");
    })
}

#[test]
fn a_waker_that_panics_takes_no_wake_from_others() {
    World::run(async |_| {
        let rate = RateLimiter::new(Rate::every(Duration::from_secs(1))).burst(9).start_empty();
        let slots = ConcurrencyLimiter::new(2);
        let calls = Arc::new(AtomicUsize::new(0));
        let _permit = slots.try_acquire_many(2).unwrap();
        let mut turns: Vec<_> = (0..3).map(|_| Box::pin(rate.acquire_many(1))).collect();
        let mut permits: Vec<_> = (0..3).map(|_| Box::pin(slots.acquire())).collect();
        for turn in &mut turns {
            assert!(turn.as_mut().poll(&mut Context::from_waker(&panicking(&calls))).is_pending());
        }
        for permit in &mut permits {
            assert!(permit.as_mut().poll(&mut Context::from_waker(&panicking(&calls))).is_pending());
        }
        let (mut turn, mut permit) = (ByHand::queued(rate.acquire_many(1)), ByHand::queued(slots.acquire()));

        assert!(catch_unwind(AssertUnwindSafe(|| rate.refund(4))).is_err(), "the panic goes on");
        assert_eq!((calls.load(Relaxed), turn.wakes()), (3, 1));
        assert!(turn.poll().is_ready());
        assert!(catch_unwind(AssertUnwindSafe(|| slots.close())).is_err());
        assert_eq!((calls.load(Relaxed), permit.wakes()), (6, 1));
        assert!(matches!(permit.poll(), Poll::Ready(Err(denied)) if denied.reason == Reason::Closed));

        // The limiter goes on, timers and all.
        drop(turns);
        let next = ByHand::queued(rate.acquire_many(9));
        advance(Duration::from_secs(9)).await;
        sleep(Duration::from_millis(1)).await;
        assert_eq!(next.wakes(), 1);
    });
}
