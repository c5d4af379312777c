//! Foreign code that panics while a request enters its queue, or claims its decision. The future that is polled then
//! knows whether it is still in the queue, and dropping it takes nothing of others.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use evenkeel_limit::{Rate, RateLimiter, distributed::OnFailure};
use evenkeel_testkit::World;
use tokio::{task::yield_now, time::advance};

use crate::{
    distributed::fixtures::{Fault, FaultyStore, process},
    fixtures::{ByHand, waker},
};

/// So short that several turns come before a timer of tokio fires.
const TURN: Duration = Duration::from_micros(100);

/// Queues a future whose waker panics.
fn queue_with_a_waker_that_panics<F: Future>(future: F) -> Pin<Box<F>> {
    let mut future = Box::pin(future);
    let waker = waker(|| panic!("a waker that panics"));
    assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    future
}

fn poll_panics<F: Future>(future: &mut ByHand<F>) {
    assert!(catch_unwind(AssertUnwindSafe(|| future.poll())).is_err());
}

#[test]
fn a_waker_that_panics_while_another_request_enters() {
    World::run(async |_| {
        let limiter = RateLimiter::new(Rate::every(TURN)).burst(4).start_empty();
        let first = queue_with_a_waker_that_panics(limiter.acquire_many(1));
        advance(2 * TURN).await;
        let mut enters = ByHand::new(limiter.acquire_many(4));
        poll_panics(&mut enters);
        assert_eq!(limiter.snapshot().waiting, 1);
        drop(enters);
        assert_eq!(limiter.snapshot().waiting, 0);
        drop(first);
        assert_eq!(limiter.snapshot().available, 2);
    });
}

#[test]
fn a_waker_that_panics_while_another_request_claims_its_decision() {
    World::run(async |_| {
        let limiter = RateLimiter::new(Rate::every(TURN)).burst(4).start_empty();
        let mut claims = ByHand::queued(limiter.acquire_many(1));
        let _second = queue_with_a_waker_that_panics(limiter.acquire_many(1));
        advance(2 * TURN).await;
        poll_panics(&mut claims);
        let mut next = ByHand::queued(limiter.acquire_many(4));
        drop(claims);
        assert_eq!(limiter.snapshot().waiting, 1);
        advance(5 * TURN).await;
        assert_eq!(next.poll(), Poll::Ready(Ok(())));
    });
}

#[test]
fn a_waker_that_panics_while_another_request_enters_a_local_share() {
    World::run(async |_| {
        let store = FaultyStore::new();
        store.always(Some(Fault::Error));
        let quota = process(&store, Rate::every(TURN)).burst(10).on_failure(OnFailure::LocalShare(1));
        quota.acquire().await.unwrap();
        while quota.try_acquire().await.is_ok() {}
        let _first = queue_with_a_waker_that_panics(quota.acquire());
        yield_now().await;
        advance(2 * TURN).await;
        let mut enters = ByHand::new(quota.acquire_many(9));
        poll_panics(&mut enters);
        drop(enters);
        assert_eq!(quota.snapshot().waiting, 0);
    });
}

#[cfg(feature = "metrics")]
mod recorder {
    use evenkeel_limit::{ConcurrencyLimiter, RateLimiter};
    use evenkeel_testkit::World;
    use metrics::{
        Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit, with_local_recorder,
    };

    use super::poll_panics;
    use crate::fixtures::ByHand;

    /// Panics at each event.
    struct Panics;

    impl Recorder for Panics {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            panic!("{}", key.name())
        }
        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }
        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    #[test]
    fn a_recorder_that_panics_when_a_request_waits() {
        World::run(async |_| {
            let rate = RateLimiter::per_second(1).start_empty();
            let mut turn = ByHand::new(rate.acquire_many(1));
            with_local_recorder(&Panics, || poll_panics(&mut turn));
            drop(turn);
            assert_eq!(rate.snapshot().waiting, 0);

            let limiter = ConcurrencyLimiter::new(1);
            let permit = limiter.try_acquire().unwrap();
            let mut waits = ByHand::new(limiter.acquire());
            with_local_recorder(&Panics, || poll_panics(&mut waits));
            drop(waits);
            drop(permit);
            assert_eq!(limiter.snapshot().in_use, 0);
        });
    }

    #[test]
    fn a_recorder_that_panics_when_a_waiter_is_denied() {
        World::run(async |_| {
            let rate = RateLimiter::per_second(1).start_empty();
            let mut turn = ByHand::queued(rate.acquire_many(1));
            rate.close();
            with_local_recorder(&Panics, || poll_panics(&mut turn));
            drop(turn);

            let limiter = ConcurrencyLimiter::new(1);
            let _permit = limiter.try_acquire().unwrap();
            let mut waits = ByHand::queued(limiter.acquire());
            limiter.close();
            with_local_recorder(&Panics, || poll_panics(&mut waits));
            drop(waits);
            assert_eq!((rate.snapshot().waiting, limiter.snapshot().waiting), (0, 0));
        });
    }
}
