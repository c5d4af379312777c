//! Two attempts: exact times, what is dropped, what is kept.

use std::{
    cell::{Cell, RefCell},
    future::{pending, ready},
    rc::Rc,
    time::Duration,
};

use evenkeel_retry::{Budget, GaveUp, Hedge, InvalidPolicy, Policy};
use evenkeel_testkit::{World, assert_took, cancel};
use proptest::prelude::*;
use tokio::time::{Instant, sleep};

use crate::{Refused, ms};

/// An operation whose attempts take these times in turn, and fail where told to; each notes when it began and that
/// it is gone.
#[derive(Clone)]
struct Scripted {
    script: Rc<Vec<(u64, bool)>>,
    begun: Rc<RefCell<Vec<Duration>>>,
    alive: Rc<Cell<u32>>,
    start: Instant,
}

struct Alive(Rc<Cell<u32>>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Scripted {
    fn new(script: &[(u64, bool)]) -> Self {
        let start = Instant::now();
        Self { script: Rc::new(script.to_vec()), begun: Rc::default(), alive: Rc::default(), start }
    }

    async fn call(self) -> Result<usize, Refused> {
        let number = self.begun.borrow().len();
        self.begun.borrow_mut().push(self.start.elapsed());
        self.alive.set(self.alive.get() + 1);
        let _alive = Alive(self.alive.clone());
        let (time, succeeds) = self.script[number];
        sleep(ms(time)).await;
        if succeeds { Ok(number) } else { Err(Refused(number as u32)) }
    }

    fn times(&self) -> Vec<u128> {
        self.begun.borrow().iter().map(Duration::as_millis).collect()
    }
}

#[test]
fn a_fast_call_is_made_once() {
    World::run(async |_| {
        let calls = Scripted::new(&[(99, true)]);
        let hedge = Hedge::after(ms(100));
        assert_eq!(assert_took!(hedge.run(|| calls.clone().call()), ms(99)), Ok(0));
        assert_eq!(calls.times(), [0]);
    });
}

#[test]
fn the_first_success_wins_and_the_loser_is_gone() {
    World::run(async |_| {
        let hedge = Hedge::after(ms(100));
        for (script, took, winner) in
            [([(1000, true), (50, true)], 150, 1), ([(120, true), (1000, true)], 120, 0)]
        {
            let calls = Scripted::new(&script);
            assert_eq!(assert_took!(hedge.run(|| calls.clone().call()), ms(took)), Ok(winner));
            assert_eq!((calls.times(), calls.alive.get()), (vec![0, 100], 0));
        }
    });
}

#[test]
fn a_failure_waits_for_the_other_attempt_and_all_errors_are_kept() {
    World::run(async |_| {
        let hedge = Hedge::after(ms(100));
        let calls = Scripted::new(&[(1000, true), (50, false)]);
        assert_eq!(assert_took!(hedge.run(|| calls.clone().call()), ms(1000)), Ok(0));
        let calls = Scripted::new(&[(1000, false), (50, false)]);
        let error = assert_took!(hedge.run(|| calls.clone().call()), ms(1000)).unwrap_err();
        assert_eq!((error.first.clone(), error.second.clone()), (Refused(1), Some(Refused(0))));
        assert_eq!(error.to_string(), "both attempts failed, the second with: refused 0");
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "refused 1");
        let calls = Scripted::new(&[(10, false)]);
        let error = assert_took!(hedge.run(|| calls.clone().call()), ms(10)).unwrap_err();
        assert_eq!((error.first, error.second), (Refused(0), None));
    });
}

#[test]
fn without_a_token_there_is_no_second_attempt_and_the_first_goes_on() {
    World::run(async |_| {
        let budget = Budget::percent(0).per_second(0).reserve(1);
        let hedge = Hedge::after(ms(100)).budget(budget.clone());
        for (expected, took) in [(vec![0, 100], 110), (vec![0], 1000)] {
            let calls = Scripted::new(&[(1000, true), (10, true)]);
            assert_took!(hedge.run(|| calls.clone().call()), ms(took)).unwrap();
            assert_eq!(calls.times(), expected);
        }
        let deposits = Hedge::after(ms(100)).budget(Budget::percent(50).per_second(0).reserve(1));
        let mut seconds = 0;
        for _ in 0..10 {
            let calls = Scripted::new(&[(1000, true), (10, true)]);
            deposits.run(|| calls.clone().call()).await.unwrap();
            seconds += calls.times().len() - 1;
        }
        assert_eq!(seconds, 5, "one of the reserve, which was full, and half a token for each of nine calls");
    });
}

/// As with the limits of a policy: work that never waits leaves nothing for a timer.
#[test]
fn a_first_attempt_that_is_never_short_of_work_is_hedged() {
    World::run(async |_| {
        let (hedge, calls, rounds) = (Hedge::after(ms(100)), Cell::new(0), Cell::new(0_u32));
        let busy_at_first = async || {
            calls.set(calls.get() + 1);
            while calls.get() == 1 {
                rounds.set(rounds.get() + 1);
                assert!(rounds.get() < 100_000, "there was no second attempt");
                tokio::task::coop::consume_budget().await;
            }
            Ok::<_, Refused>(())
        };
        let clock = tokio::spawn(async {
            tokio::task::yield_now().await;
            tokio::time::advance(ms(100)).await;
        });
        hedge.run(busy_at_first).await.unwrap();
        assert_eq!(calls.get(), 2);
        clock.await.unwrap();
    });
}

#[test]
fn without_a_delay_both_attempts_begin_at_once() {
    World::run(async |_| {
        let calls = Scripted::new(&[(1000, true), (10, true)]);
        assert_took!(Hedge::after(ms(0)).run(|| calls.clone().call()), ms(10)).unwrap();
        assert_eq!(calls.times(), [0, 0]);
        let calls = Scripted::new(&[(1000, true)]);
        assert_took!(Hedge::after(Duration::MAX).run(|| calls.clone().call()), ms(1000)).unwrap();
    });
}

#[test]
fn a_retry_around_it_shares_the_budget() {
    World::run(async |_| {
        let budget = Budget::percent(0).per_second(0).reserve(2);
        let hedge = Hedge::after(ms(10)).budget(budget.clone());
        let policy = Policy::fixed(ms(0)).max_attempts(9).budget(budget);
        let calls = Cell::new(0);
        let failing = async || {
            calls.set(calls.get() + 1);
            sleep(ms(100)).await;
            Err::<(), _>(Refused(0))
        };
        let error = policy.run(|| hedge.run(failing)).await.unwrap_err();
        // A hedge and a retry took the two tokens.
        assert_eq!((error.reason, error.attempts, calls.get()), (GaveUp::Budget, 2, 3));
    });
}

#[test]
fn the_delay_follows_the_quantile_of_recent_calls() {
    World::run(async |_| {
        let hedge = Hedge::quantile(90, ms(500));
        let shared = hedge.clone();
        let call = async |millis| {
            hedge
                .run(|| async move {
                    sleep(ms(millis)).await;
                    Ok::<_, Refused>(())
                })
                .await
                .unwrap();
        };
        for millis in 1..=31 {
            call(millis).await;
            assert_eq!(shared.delay(), ms(500));
        }
        call(32).await;
        // Nearest rank: the 29th of 32 is the first that 90 percent do not exceed.
        assert_eq!(shared.delay(), ms(29));
        for _ in 0..256 {
            call(7).await;
        }
        assert_eq!(shared.delay(), ms(7), "what is old is forgotten");
    });
}

#[test]
fn a_call_that_failed_says_nothing_about_latency() {
    World::run(async |_| {
        let hedge = Hedge::quantile(50, ms(500));
        for _ in 0..64 {
            hedge.run(|| ready(Err::<(), _>(Refused(0)))).await.unwrap_err();
        }
        assert_eq!(hedge.delay(), ms(500));
    });
}

#[test]
fn a_quantile_is_a_percentage_between_the_ends() {
    for percent in [0, 100] {
        assert!(std::panic::catch_unwind(|| Hedge::quantile(percent, ms(1))).is_err());
        assert_eq!(Hedge::try_quantile(percent, ms(1)).unwrap_err(), InvalidPolicy::Quantile);
    }
    for percent in [1, 99] {
        assert_eq!(Hedge::try_quantile(percent, ms(5)).unwrap().delay(), ms(5));
    }
}

#[test]
#[should_panic(expected = "polled after it was ready")]
fn polling_again_after_the_end_is_refused() {
    World::run(async |_| {
        let hedge = Hedge::after(ms(1));
        let mut call = std::pin::pin!(hedge.run(|| ready(Ok::<_, Refused>(1))));
        call.as_mut().await.unwrap();
        let _ = call.await;
    });
}

#[test]
fn the_future_is_send_when_the_operation_is() {
    fn send<T: Send>(_: T) {}
    send(Hedge::after(ms(1)).run(pending::<Result<(), Refused>>));
}

#[test]
fn dropped_at_any_await_it_leaves_nothing() {
    let cuts = cancel::every_point(
        async || Scripted::new(&[(1000, true), (50, false), (1, true)]),
        async |calls: Scripted| {
            let hedge = Hedge::after(ms(100));
            assert_eq!(hedge.run(|| calls.clone().call()).await, Ok(0));
        },
        async |calls: Scripted| {
            let begun = calls.begun.borrow().len();
            sleep(ms(2000)).await;
            assert_eq!((calls.alive.get(), calls.begun.borrow().len()), (0, begun));
        },
    );
    assert!(cuts.points() >= 3, "before the delay, with both attempts, and with the one that is left");
}

proptest! {
    /// The model: two clocks.
    #[test]
    fn the_outcome_is_that_of_two_clocks(
        delay in 1..100_u64, first in 0..200_u64, second in 0..200_u64, first_succeeds: bool, second_succeeds: bool,
    ) {
        prop_assume!(first != delay && first != delay + second);
        World::run(async |_| {
            let calls = Scripted::new(&[(first, first_succeeds), (second, second_succeeds)]);
            let hedge = Hedge::after(ms(delay));
            let (outcome, took) = evenkeel_testkit::took(hedge.run(|| calls.clone().call())).await;
            let hedged = first > delay;
            let ends = [first, delay + second];
            let mut successes: Vec<u64> = Vec::new();
            if first_succeeds { successes.push(ends[0]) }
            if hedged && second_succeeds { successes.push(ends[1]) }
            let expected = match successes.iter().min() {
                Some(end) => *end,
                None if hedged => ends[0].max(ends[1]),
                None => first,
            };
            assert_eq!((took, outcome.is_ok()), (ms(expected), !successes.is_empty()));
        });
    }
}
