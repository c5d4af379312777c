//! A panic of the operation, or of a function that belongs to the call, passes through. Tokens of what never began are
//! given back, and the next call is served.

use std::{
    cell::Cell,
    future::{pending, poll_fn, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    rc::Rc,
};

use evenkeel_retry::{Budget, GaveUp, Hedge, Policy, Verdict};
use evenkeel_testkit::World;

use crate::{Refused, doubling, ms};

/// Whether a future panicked.
async fn panics(call: impl Future) -> bool {
    let mut call = pin!(call);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx))) {
        Ok(poll) => poll.map(|_| false),
        Err(_) => true.into(),
    })
    .await
}

fn fail() -> std::future::Ready<Result<(), Refused>> {
    ready(Err(Refused(1)))
}

/// The tokens that are left of five after a call that panics.
async fn left<F: Future>(call: impl FnOnce(Rc<Policy>) -> F) -> u32 {
    let budget = Budget::percent(0).per_second(0).reserve(5);
    let policy = Rc::new(doubling().max_attempts(9).budget(budget.clone()));
    assert!(panics(call(policy.clone())).await);
    let left = budget.snapshot().available;
    let error = policy.run(fail).await.unwrap_err();
    assert_eq!((error.reason, error.attempts), (GaveUp::Budget, left + 1), "the next call is served");
    left
}

#[test]
fn of_an_operation_when_it_is_called_or_polled() {
    World::run(async |_| {
        let called = async |policy: Rc<Policy>| {
            let calls = Cell::new(0);
            policy.run(|| if calls.replace(calls.get() + 1) == 1 { panic!("called") } else { fail() }).await
        };
        assert_eq!(left(called).await, 4);
        let polled = async |policy: Rc<Policy>| {
            let calls = Cell::new(0);
            let operation =
                async || if calls.replace(calls.get() + 1) == 1 { panic!("polled") } else { fail().await };
            policy.run(operation).await
        };
        assert_eq!(left(polled).await, 4);
    });
}

#[test]
fn of_a_classifier_and_an_observer() {
    World::run(async |_| {
        let classifier = async |policy: Rc<Policy>| {
            policy.run(fail).classify(|_| -> Verdict { panic!("classified") }).await
        };
        assert_eq!(left(classifier).await, 5);
        let observer = async |policy: Rc<Policy>| policy.run(fail).observe(|_| panic!("observed")).await;
        assert_eq!(left(observer).await, 5, "the retry never began");
    });
}

#[test]
fn of_a_hedged_loser_when_it_is_dropped() {
    struct Bomb(Rc<Cell<u32>>);
    impl Drop for Bomb {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
            panic!("dropped");
        }
    }
    World::run(async |_| {
        let (hedge, dropped, calls) = (Hedge::after(ms(10)), Rc::new(Cell::new(0)), Cell::new(0));
        let call = hedge.run(async || {
            let _bomb = (calls.replace(calls.get() + 1) == 0).then(|| Bomb(dropped.clone()));
            if calls.get() == 1 { pending().await } else { Ok::<_, Refused>(()) }
        });
        assert!(panics(call).await);
        assert_eq!(dropped.get(), 1);
    });
}

#[cfg(feature = "tower")]
#[test]
fn of_the_function_that_clones_requests() {
    use evenkeel_retry::tower::RetryLayer;
    use tower::{Service, ServiceExt, limit::ConcurrencyLimitLayer};
    use tower_layer::Layer;

    static POLICY: Policy = doubling();
    World::run(async |_| {
        let clones = Cell::new(0);
        let clone = |request: &u32| {
            clones.set(clones.get() + 1);
            if clones.get() == 1 { panic!("cloned") } else { Some(*request) }
        };
        let answer = tower::service_fn(|request: u32| ready(Ok::<_, Refused>(request)));
        let limited = ConcurrencyLimitLayer::new(1).layer(answer);
        let mut service = RetryLayer::new(&POLICY, clone, |_: &Refused| Verdict::Retry).layer(limited);
        service.ready().await.unwrap();
        assert!(catch_unwind(AssertUnwindSafe(|| service.call(1))).is_err());
        // It is as ready as it was: a limit refuses to be called without.
        assert_eq!(service.call(2).await, Ok(2));
    });
}
