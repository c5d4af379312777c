//! A retry around a retry: the attempts multiply, unless the outer one looks at the reason or they share a budget.

use evenkeel_retry::{Budget, GaveUp, Policy};
use evenkeel_testkit::World;

use crate::{Flaky, Refused, doubling, ms};

#[test]
fn attempts_multiply() {
    World::run(async |_| {
        let (outer, inner, flaky) = (doubling(), Policy::fixed(ms(10)), Flaky::failing(u32::MAX));
        let error = outer.run(|| inner.run(|| flaky.call())).await.unwrap_err();
        assert_eq!(flaky.times(), [0, 10, 20, 120, 130, 140, 340, 350, 360]);
        assert_eq!((error.attempts, error.elapsed), (3, ms(340)));
        let last = error.last.unwrap();
        assert_eq!((last.attempts, last.last), (3, Some(Refused(9))));
    });
}

#[test]
fn the_reason_says_that_the_attempts_were_made() {
    World::run(async |_| {
        let (outer, inner, flaky) = (doubling(), Policy::fixed(ms(10)), Flaky::failing(u32::MAX));
        let call = outer.run(|| inner.run(|| flaky.call())).when(|error| error.reason != GaveUp::Attempts);
        assert_eq!(call.await.unwrap_err().reason, GaveUp::Permanent);
        assert_eq!(flaky.times(), [0, 10, 20]);
    });
}

#[test]
fn a_shared_budget_bounds_both() {
    World::run(async |_| {
        let budget = Budget::percent(0).per_second(0).reserve(4);
        let policy = doubling().budget(budget);
        let flaky = Flaky::failing(u32::MAX);
        let call = policy.run(|| policy.run(|| flaky.call()));
        assert_eq!(call.await.unwrap_err().reason, GaveUp::Budget);
        // Two retries inside, one outside, and one more inside.
        assert_eq!(flaky.times().len(), 1 + 2 + 1 + 1);
    });
}
