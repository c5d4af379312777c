//! The tower layer and its service.

use std::{
    cell::Cell,
    future::ready,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use evenkeel_retry::{Budget, GaveUp, Policy, Verdict, tower::RetryLayer};
use evenkeel_testkit::{World, assert_took, cancel};
use tokio::time::Instant;
use tower::{Service, ServiceExt, limit::ConcurrencyLimitLayer};
use tower_layer::Layer;

use crate::{Flaky, Refused, doubling, ms};

static POLICY: Policy = doubling().max_attempts(4).attempt_timeout(ms(1000));

fn verdict(error: &Refused) -> Verdict {
    Verdict::from(error.0 != 7)
}

/// Refuses a number of calls, and refuses to be called without having been ready.
struct Server {
    flaky: Rc<Flaky>,
    ready: bool,
    polled: Rc<Cell<u32>>,
}

impl Clone for Server {
    fn clone(&self) -> Self {
        Self { flaky: self.flaky.clone(), ready: false, polled: self.polled.clone() }
    }
}

impl Service<u32> for Server {
    type Response = u32;
    type Error = Refused;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<u32, Refused>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        self.polled.set(self.polled.get() + 1);
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without having been ready");
        let flaky = self.flaky.clone();
        Box::pin(async move { flaky.call().await.map(|attempts| request * 100 + attempts) })
    }
}

fn server(failures: u32) -> Server {
    Server { flaky: Rc::new(Flaky::failing(failures)), ready: false, polled: Rc::default() }
}

#[test]
fn every_attempt_is_made_by_a_service_that_was_ready_and_at_its_exact_time() {
    World::run(async |_| {
        let inner = server(3);
        let layer = RetryLayer::new(&POLICY, |request: &u32| Some(*request), verdict);
        let mut service = layer.layer(inner.clone());
        let answer = assert_took!(async { service.ready().await.unwrap().call(5).await }, ms(700));
        assert_eq!(answer, Ok(504));
        assert_eq!((inner.flaky.times(), inner.polled.get()), (vec![0, 100, 300, 700], 4));
        let mut cloned = service.clone();
        assert_eq!(cloned.ready().await.unwrap().call(6).await, Ok(605));
    });
}

#[test]
fn the_error_says_why() {
    World::run(async |_| {
        let layer = RetryLayer::new(&POLICY, |request: &u32| Some(*request), verdict);
        let error = layer.layer(server(9)).oneshot(1).await.unwrap_err();
        assert_eq!((error.reason, error.attempts, error.last), (GaveUp::Attempts, 4, Some(Refused(4))));
        let inner = Server { flaky: Rc::new(Flaky::failing(9)), ..server(0) };
        for _ in 0..6 {
            inner.flaky.note();
        }
        let error = layer.layer(inner).oneshot(1).await.unwrap_err();
        assert_eq!((error.reason, error.attempts), (GaveUp::Permanent, 1));
    });
}

#[test]
fn a_request_that_cannot_be_cloned_is_sent_once() {
    World::run(async |_| {
        let layer = RetryLayer::new(&POLICY, |_: &u32| None, verdict);
        assert_eq!(layer.layer(server(0)).oneshot(1).await, Ok(101));
        let error = layer.layer(server(1)).oneshot(1).await.unwrap_err();
        assert_eq!((error.reason, error.attempts, error.last), (GaveUp::Unrepeatable, 1, Some(Refused(1))));
        // Copies run out.
        let copies = Rc::new(Cell::new(2));
        let clone = move |request: &u32| (copies.replace(copies.get() - 1) > 0).then_some(*request);
        let error = RetryLayer::new(&POLICY, clone, verdict).layer(server(9)).oneshot(1).await.unwrap_err();
        assert_eq!((error.reason, error.attempts), (GaveUp::Unrepeatable, 3));
    });
}

#[test]
fn the_wait_for_readiness_is_within_the_attempts_time() {
    World::run(async |_| {
        let layer = RetryLayer::new(&POLICY, |request: &u32| Some(*request), verdict);
        let limited = ConcurrencyLimitLayer::new(1).layer(server(1));
        let mut held = limited.clone();
        let mut service = layer.layer(limited);
        let call = service.ready().await.unwrap().call(1);
        let taken = async {
            tokio::time::sleep(ms(50)).await;
            // Between the attempts another user takes the one place, and keeps it.
            held.ready().await.unwrap();
            std::future::pending::<()>().await;
        };
        let call = async {
            tokio::select! { outcome = call => outcome, () = taken => unreachable!() }
        };
        let start = Instant::now();
        let error = call.await.unwrap_err();
        assert_eq!((error.reason, error.last), (GaveUp::Attempts, None));
        assert_eq!(start.elapsed(), Duration::from_millis(100 + 1000 + 200 + 1000 + 400 + 1000));
    });
}

#[test]
fn an_error_is_kept_when_the_wait_is_looked_at_too_late() {
    static POLICY: Policy = doubling().total_timeout(ms(1000));
    World::run(async |_| {
        let layer = RetryLayer::new(&POLICY, |request: &u32| Some(*request), verdict);
        let mut service = layer.layer(server(9));
        let mut call = std::pin::pin!(service.ready().await.unwrap().call(1));
        assert!(tokio::time::timeout(ms(0), call.as_mut()).await.is_err());
        tokio::time::sleep(ms(2000)).await;
        let error = call.await.unwrap_err();
        assert_eq!((error.reason, error.attempts, &error.last), (GaveUp::Deadline, 1, &Some(Refused(1))));
        assert_eq!(error.to_string(), "gave up after 1 attempt and 2s: no time left");
    });
}

/// Is ready this many times, and then never again.
#[derive(Clone)]
struct Failing(Rc<Cell<u32>>);

impl Service<u32> for Failing {
    type Response = u32;
    type Error = Refused;
    type Future = std::future::Ready<Result<u32, Refused>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        match self.0.get().checked_sub(1) {
            Some(left) => self.0.set(left),
            None => return Poll::Ready(Err(Refused(0))),
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: u32) -> Self::Future {
        ready(Err(Refused(1)))
    }
}

#[test]
fn a_service_that_cannot_become_ready_fails_at_once_before_a_call_and_is_an_error_like_any_other_in_one() {
    World::run(async |_| {
        let layer = RetryLayer::new(&POLICY, |request: &u32| Some(*request), verdict);
        let error = assert_took!(layer.layer(Failing(Rc::default())).oneshot(1), ms(0)).unwrap_err();
        assert_eq!((error.reason, error.attempts, error.last), (GaveUp::Permanent, 0, Some(Refused(0))));
        let error =
            assert_took!(layer.layer(Failing(Rc::new(Cell::new(2)))).oneshot(1), ms(700)).unwrap_err();
        assert_eq!((error.reason, error.attempts, error.last), (GaveUp::Attempts, 4, Some(Refused(0))));
    });
}

#[test]
fn the_future_is_send_when_the_service_is() {
    fn send<T: Send + 'static>(_: T) {}
    let layer = RetryLayer::new(&POLICY, |request: &u32| Some(*request), verdict);
    let mut service = layer.layer(tower::service_fn(|_: u32| ready(Ok::<_, Refused>(1))));
    send(service.call(1));
    send(service);
}

/// A server whose answers say that it is busy, the first `busy` times, and what they hold while they live.
struct Status {
    busy: bool,
    number: u32,
    _held: Rc<()>,
}

#[test]
fn a_response_can_be_worth_a_retry() {
    World::run(async |_| {
        for (busy, times, number) in [(2, vec![0, 700, 1400], 3), (9, vec![0, 700, 1400, 2100], 4)] {
            let (flaky, held, most) = (Flaky::failing(0), Rc::new(()), Cell::new(0));
            let layer = RetryLayer::new(&POLICY, |request: &u32| Some(*request), verdict).classify_response(
                |status: &Status| match status.busy {
                    true => Verdict::RetryAfter(ms(700)),
                    false => Verdict::Permanent,
                },
            );
            let service = layer.layer(tower::service_fn(|_: u32| {
                most.set(most.get().max(Rc::strong_count(&held)));
                let number = flaky.note();
                ready(Ok::<_, Refused>(Status { busy: number <= busy, number, _held: held.clone() }))
            }));
            let answer = service.oneshot(1).await.unwrap();
            assert_eq!((answer.number, answer.busy), (number, busy > 2), "the last one, whatever it is");
            assert_eq!(flaky.times(), times);
            assert_eq!(most.get(), 1, "a response that is retried is dropped before");
        }
    });
}

#[test]
fn a_response_that_is_worth_no_retry_takes_no_token() {
    static POLICY: Policy = doubling().max_attempts(9).budget(Budget::percent(0).per_second(0).reserve(2));
    World::run(async |_| {
        let layer = RetryLayer::new(&POLICY, |request: &u32| Some(*request), verdict);
        let service = layer.clone().classify_response(|number: &u32| Verdict::from(*number < 200));
        let service = service.layer(server(0));
        assert_eq!(service.clone().oneshot(7).await, Ok(701));
        let never = layer.classify_response(|_: &u32| Verdict::Retry).layer(server(0));
        assert_eq!(never.oneshot(1).await, Ok(103), "two retries were left");
        assert_eq!(service.oneshot(1).await, Ok(102), "none is left");
    });
}

#[test]
fn dropped_at_any_await_it_makes_no_other_attempt() {
    let cuts = cancel::every_point(
        async || server(2),
        async |inner: Server| {
            let layer = RetryLayer::new(&POLICY, |request: &u32| Some(*request), verdict);
            assert_eq!(layer.layer(inner).oneshot(1).await, Ok(103));
        },
        async |inner: Server| {
            let made = inner.flaky.times().len();
            tokio::time::sleep(ms(5000)).await;
            assert_eq!(inner.flaky.times().len(), made);
        },
    );
    assert_eq!(cuts.points(), 2, "the two waits");
}
