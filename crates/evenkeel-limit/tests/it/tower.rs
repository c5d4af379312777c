//! Limits as layers of tower.

use std::{
    error::Error as _,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use evenkeel_limit::{
    Adaptive, ConcurrencyLimiter, Keyed, RateLimiter, Reason,
    tower::{LimitError, LimitLayer},
};
use evenkeel_testkit::{World, assert_took, cancel};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A service that takes the requested milliseconds, fails for 13, and panics if it is called before it was ready.
#[derive(Debug, Default)]
struct Server {
    ready: bool,
    calls: Arc<AtomicUsize>,
    running: Arc<AtomicUsize>,
    peak: Arc<AtomicUsize>,
}

impl Clone for Server {
    fn clone(&self) -> Self {
        let (calls, running, peak) = (self.calls.clone(), self.running.clone(), self.peak.clone());
        Self { ready: false, calls, running, peak }
    }
}

impl Service<u64> for Server {
    type Response = u64;
    type Error = io::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = io::Result<u64>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, time: u64) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without having been ready");
        let (calls, running, peak) = (self.calls.clone(), self.running.clone(), self.peak.clone());
        Box::pin(async move {
            calls.fetch_add(1, Relaxed);
            peak.fetch_max(running.fetch_add(1, Relaxed) + 1, Relaxed);
            sleep(ms(time)).await;
            running.fetch_sub(1, Relaxed);
            if time == 13 { Err(io::Error::other("unlucky")) } else { Ok(time) }
        })
    }
}

fn reason<T: std::fmt::Debug>(result: Result<T, LimitError<io::Error>>) -> Option<Reason> {
    match result {
        Err(LimitError::Denied(denied)) => Some(denied.reason),
        _ => None,
    }
}

#[test]
fn requests_wait_for_their_turn_in_all_clones() {
    World::run(async |_| {
        let limiter = Arc::new(RateLimiter::per_second(10).burst(1));
        let service = LimitLayer::rate(limiter).layer(Server::default());
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..4 {
            let service = service.clone();
            tasks.spawn(async move {
                service.oneshot(5).await.unwrap();
                start.elapsed()
            });
        }
        let mut ends = tasks.join_all().await;
        ends.sort();
        assert_eq!(ends, [ms(5), ms(105), ms(205), ms(305)]);
    });
}

#[test]
fn requests_that_would_wait_can_be_refused() {
    World::run(async |_| {
        let (limiter, server) = (Arc::new(RateLimiter::per_second(10).burst(5)), Server::default());
        let layer = LimitLayer::rate(limiter).cost(|request: &u64| *request as u32).reject();
        let mut service = layer.layer(server.clone());
        let mut ask = async |cost| service.ready().await.unwrap().call(cost).await;
        assert_eq!(ask(4).await.unwrap(), 4);
        let refused = ask(2).await.unwrap_err();
        assert!(matches!(refused, LimitError::Denied(denied) if denied.retry_after == Some(ms(96))));
        assert_eq!(refused.to_string(), "limit reached: try again in 96ms");
        assert!(refused.source().is_none());
        assert_eq!(reason(ask(6).await), Some(Reason::NeverFits));
        assert_eq!(server.calls.load(Relaxed), 1, "the others were not called");
    });
}

#[test]
fn errors_of_the_service_pass() {
    World::run(async |_| {
        let service = LimitLayer::rate(Arc::new(RateLimiter::per_second(10))).layer(Server::default());
        let error = service.oneshot(13).await.unwrap_err();
        assert!(matches!(&error, LimitError::Service(error) if error.to_string() == "unlucky"));
        assert_eq!(error.to_string(), "unlucky");
        let closed = Arc::new(RateLimiter::per_second(10));
        closed.close();
        let refused = LimitLayer::rate(closed).layer(Server::default()).oneshot(1).await;
        assert_eq!(reason(refused), Some(Reason::Closed));
    });
}

#[test]
fn each_key_has_a_limit() {
    World::run(async |_| {
        let keyed = || Arc::new(Keyed::<u64>::per_second(10).burst(1).max_keys(3));
        let parity = |request: &u64| request % 2;
        let waits = LimitLayer::keyed(keyed(), parity).layer(Server::default());
        let both = async {
            tokio::join!(waits.clone().oneshot(2), waits.clone().oneshot(1), waits.clone().oneshot(4))
        };
        let (_, _, third) = assert_took!(both, ms(104));
        assert_eq!(third.unwrap(), 4);

        let refuses = LimitLayer::keyed(keyed(), parity).reject().layer(Server::default());
        assert!(refuses.clone().oneshot(2).await.is_ok() && refuses.clone().oneshot(3).await.is_ok());
        assert_eq!(reason(refuses.clone().oneshot(2).await), Some(Reason::Busy));
        let costly = LimitLayer::keyed(keyed(), parity).cost(|_| 2).layer(Server::default());
        assert_eq!(reason(costly.oneshot(2).await), Some(Reason::NeverFits));

        let many = LimitLayer::keyed(keyed(), |request: &u64| *request).reject().layer(Server::default());
        let passed = futures::future::join_all((100..110).map(|key| many.clone().oneshot(key))).await;
        assert_eq!(passed.iter().filter(|result| result.is_ok()).count(), 4, "three keys, and the overflow");
    });
}

#[test]
fn so_many_calls_run_at_once() {
    World::run(async |_| {
        let (limiter, server) = (Arc::new(ConcurrencyLimiter::new(3)), Server::default());
        let layer =
            LimitLayer::concurrency(Arc::clone(&limiter)).cost(|time: &u64| if *time > 10 { 2 } else { 1 });
        let service = layer.layer(server.clone());
        let calls = (0..7).map(|_| service.clone().oneshot(10));
        assert_took!(futures::future::join_all(calls), ms(30));
        assert_eq!(server.peak.load(Relaxed), 3);
        assert_took!(futures::future::join_all((0..3).map(|_| service.clone().oneshot(20))), ms(60));
        assert_eq!(limiter.snapshot().in_use, 0);
    });
}

#[test]
fn a_permit_goes_back_when_the_response_is_ready_and_not_when_its_future_is_dropped() {
    World::run(async |_| {
        for time in [5, 13] {
            let limiter = Arc::new(ConcurrencyLimiter::new(1));
            let layer = LimitLayer::concurrency(Arc::clone(&limiter));
            let mut service = layer.layer(Server::default());
            let mut call = Box::pin(service.ready().await.unwrap().call(time));
            assert_eq!(call.as_mut().await.is_ok(), time == 5);
            assert_eq!(limiter.snapshot().in_use, 0, "the future is still there");
            drop(call);
            assert_eq!(limiter.snapshot().in_use, 0);
        }
    });
}

#[test]
fn a_full_house_refuses_and_waiting_has_its_bound() {
    World::run(async |_| {
        let limiter = Arc::new(ConcurrencyLimiter::new(1).max_waiters(1));
        let waits = LimitLayer::concurrency(Arc::clone(&limiter)).layer(Server::default());
        let refuses = LimitLayer::concurrency(Arc::clone(&limiter)).reject().layer(Server::default());
        let calls = async {
            tokio::join!(
                waits.clone().oneshot(5),
                waits.clone().oneshot(5),
                waits.clone().oneshot(5),
                refuses.clone().oneshot(5)
            )
        };
        let (first, second, third, fourth) = assert_took!(calls, ms(10));
        assert!(first.is_ok() && second.is_ok());
        assert_eq!((reason(third), reason(fourth)), (Some(Reason::QueueFull), Some(Reason::Busy)));
        assert!(refuses.oneshot(5).await.is_ok());
    });
}

#[test]
fn an_adaptive_limit_learns_from_responses() {
    World::run(async |_| {
        let limiter = Arc::new(ConcurrencyLimiter::adaptive(Adaptive::aimd(1, 10)));
        let service = LimitLayer::concurrency(Arc::clone(&limiter)).layer(Server::default());
        assert!(service.clone().oneshot(13).await.is_err());
        assert_eq!(limiter.snapshot().limit, 1, "nothing from errors");
        assert!(service.clone().oneshot(1).await.is_ok());
        assert_eq!(limiter.snapshot().limit, 2);
    });
}

#[test]
fn what_panics_takes_nothing() {
    World::run(async |_| {
        let panics = |call: &mut dyn FnMut()| catch_unwind(AssertUnwindSafe(call)).unwrap_err();
        let (rate, slots) = (Arc::new(RateLimiter::per_second(10)), Arc::new(ConcurrencyLimiter::new(1)));
        let cost = LimitLayer::rate(Arc::clone(&rate)).cost(|_: &u64| panic!("a cost"));
        let mut cost = cost.layer(Server::default());
        cost.ready().await.unwrap();
        panics(&mut || drop(cost.call(1)));
        let keys = Arc::new(Keyed::<u64>::per_second(10));
        let key = LimitLayer::keyed(Arc::clone(&keys), |_: &u64| panic!("a key"));
        let mut key = key.layer(Server::default());
        key.ready().await.unwrap();
        panics(&mut || drop(key.call(1)));
        assert_eq!((rate.snapshot().granted, keys.len()), (0, 0));

        let server =
            || tower::service_fn(|_: u64| -> std::future::Ready<io::Result<u64>> { panic!("a call") });
        let mut rejects = LimitLayer::concurrency(Arc::clone(&slots)).reject().layer(server());
        rejects.ready().await.unwrap();
        panics(&mut || drop(rejects.call(1)));
        let mut waits = LimitLayer::concurrency(Arc::clone(&slots)).layer(server());
        let mut call = Box::pin(waits.ready().await.unwrap().call(1));
        panics(&mut || _ = call.as_mut().poll(&mut Context::from_waker(Waker::noop())));
        assert_eq!(slots.snapshot().in_use, 0, "before it is dropped");
    });
}

#[test]
fn what_costs_nothing_passes_with_the_others() {
    World::run(async |_| {
        let (rate, slots) =
            (Arc::new(RateLimiter::per_second(10).burst(1)), Arc::new(ConcurrencyLimiter::new(1)));
        let service = ServiceBuilder::new()
            .layer(LimitLayer::rate(Arc::clone(&rate)).cost(|_| 0))
            .layer(LimitLayer::concurrency(Arc::clone(&slots)).cost(|_| 0))
            .service(Server::default());
        let calls = (0..5).map(|_| service.clone().oneshot(5));
        assert_took!(futures::future::join_all(calls), ms(5));
        assert_eq!((rate.snapshot().available, rate.snapshot().granted), (1, 5));
    });
}

#[test]
fn dropped_at_any_await_it_leaves_the_limits_as_they_were() {
    type Limits = (Arc<RateLimiter>, Arc<ConcurrencyLimiter>);
    let busy = async || -> Limits {
        let limits = (Arc::new(RateLimiter::per_second(10).burst(1)), Arc::new(ConcurrencyLimiter::new(1)));
        limits.0.try_acquire().unwrap();
        let permit = limits.1.try_acquire_owned(1).unwrap();
        tokio::spawn(async move {
            sleep(ms(500)).await;
            drop(permit);
        });
        limits
    };
    let call = async |(rate, concurrency): Limits| {
        let service = ServiceBuilder::new()
            .layer(LimitLayer::rate(rate))
            .layer(LimitLayer::concurrency(concurrency))
            .service(Server::default());
        service.oneshot(5).await.unwrap();
    };
    let as_if_new = async |(rate, concurrency): Limits| {
        sleep(Duration::from_secs(1)).await;
        assert_eq!((rate.snapshot().waiting, rate.snapshot().available), (0, 1));
        assert_eq!((concurrency.snapshot().waiting, concurrency.snapshot().in_use), (0, 0));
    };
    assert_eq!(cancel::every_point(busy, call, as_if_new).points(), 3, "both turns, and the call");
}
