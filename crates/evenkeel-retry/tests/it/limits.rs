//! Time limits of one attempt and of all, to the millisecond.

use std::{
    cell::Cell,
    future::{pending, ready},
    time::Duration,
};

use evenkeel_retry::{Backoff, GaveUp, Policy, Verdict};
use evenkeel_testkit::{World, assert_took};
use proptest::prelude::*;

use crate::{Flaky, Refused, doubling, ms};

#[test]
fn an_attempt_is_dropped_at_its_limit_and_retried() {
    World::run(async |_| {
        let flaky = Flaky::failing(0);
        let policy = doubling().attempt_timeout(ms(1000)).max_attempts(3);
        let hang = || {
            flaky.note();
            pending::<Result<(), Refused>>()
        };
        let error = assert_took!(policy.run(hang), ms(3300)).unwrap_err();
        assert_eq!(flaky.times(), [0, 1100, 2300]);
        assert_eq!((error.reason, error.last.clone(), error.attempts), (GaveUp::Attempts, None, 3));
        assert_eq!((error.elapsed, error.total()), (ms(2300), ms(3300)));
        assert_eq!(
            error.to_string(),
            "gave up after 3 attempts and 3.3s, 2.3s after the first failure: no attempts left; the last attempt timed out"
        );
    });
}

/// One slow attempt that fails for good is not over in no time.
#[test]
fn the_time_in_all_begins_with_the_first_attempt() {
    World::run(async |_| {
        let slow = async || {
            tokio::time::sleep(ms(700)).await;
            Err::<(), _>(Refused(1))
        };
        let error = assert_took!(doubling().run(slow).when(|_| false), ms(700)).unwrap_err();
        assert_eq!((error.elapsed, error.total()), (ms(0), ms(700)));
        assert_eq!(error.to_string(), "gave up after 1 attempt and 700ms: the error is permanent");

        // Cancelled in the wait after it.
        let error = doubling().run(slow).until(tokio::time::sleep(ms(750))).await.unwrap_err();
        assert_eq!((error.elapsed, error.total()), (ms(50), ms(750)));
        let text = "gave up after 1 attempt and 750ms: cancelled";
        assert_eq!(error.to_string(), text);

        // Without any limit the clock is first read when one has failed.
        let untimed = doubling().attempt_timeout(Duration::MAX).total_timeout(Duration::MAX).max_attempts(2);
        let error = assert_took!(untimed.run(slow), ms(1500)).unwrap_err();
        assert_eq!((error.elapsed, error.total()), (ms(800), ms(800)));
    });
}

/// Work that never waits uses up the budget of tokio's task at every poll, and leaves nothing for a timer.
#[test]
fn an_attempt_that_is_never_short_of_work_is_dropped_at_its_limit() {
    World::run(async |_| {
        let policy = doubling().attempt_timeout(ms(1000)).max_attempts(1);
        let rounds = Cell::new(0_u32);
        let busy = async || -> Result<(), Refused> {
            loop {
                rounds.set(rounds.get() + 1);
                assert!(rounds.get() < 100_000, "it was not dropped");
                tokio::task::coop::consume_budget().await;
            }
        };
        let clock = tokio::spawn(async {
            tokio::task::yield_now().await;
            tokio::time::advance(ms(1000)).await;
        });
        let error = policy.run(busy).await.unwrap_err();
        assert_eq!((error.reason, error.last), (GaveUp::Attempts, None));
        clock.await.unwrap();
    });
}

#[test]
fn a_limit_of_zero_allows_what_is_ready_at_once() {
    World::run(async |_| {
        for policy in [doubling().attempt_timeout(ms(0)), doubling().total_timeout(ms(0))] {
            let policy = policy.max_attempts(1);
            assert_eq!(policy.run(|| ready(Ok::<_, Refused>(5))).await, Ok(5));
            assert_took!(policy.run(pending::<Result<(), Refused>>), ms(0)).unwrap_err();
        }
    });
}

#[test]
fn an_attempt_has_thirty_seconds_by_default() {
    World::run(async |_| {
        let policy = Policy::fixed(Duration::ZERO).max_attempts(1);
        let call = policy.run(pending::<Result<(), Refused>>);
        assert_took!(call, Duration::from_secs(30)).unwrap_err();
    });
}

#[test]
fn an_attempt_that_is_ready_at_its_limit_counts() {
    World::run(async |_| {
        let policy = doubling().attempt_timeout(ms(100)).max_attempts(1);
        let call = policy.run(async || {
            tokio::time::sleep(ms(100)).await;
            Ok::<_, Refused>(())
        });
        assert_took!(call, ms(100)).unwrap();
    });
}

#[test]
fn the_total_limit_cuts_an_attempt_in_flight() {
    World::run(async |_| {
        let policy = doubling().total_timeout(ms(250)).max_attempts(9);
        let flaky = Flaky::failing(0);
        let call = policy.run(async || match flaky.note() {
            1 => Err::<(), _>(Refused(1)),
            _ => pending().await,
        });
        let error = assert_took!(call, ms(250)).unwrap_err();
        assert_eq!(flaky.times(), [0, 100]);
        assert_eq!((error.reason, error.last, error.attempts), (GaveUp::Deadline, None, 2));
    });
}

#[test]
fn a_wait_that_would_cross_the_total_limit_is_not_begun() {
    World::run(async |_| {
        for (limit, took) in [(299, 100), (300, 100), (301, 300)] {
            let flaky = Flaky::failing(u32::MAX);
            let policy = doubling().total_timeout(ms(limit)).max_attempts(3);
            let error = assert_took!(policy.run(|| flaky.call()), ms(took)).unwrap_err();
            let reason = if took == 300 { GaveUp::Attempts } else { GaveUp::Deadline };
            assert_eq!(error.reason, reason, "at a limit of {limit} ms");
        }
    });
}

#[test]
fn the_total_limit_bounds_retry_after() {
    World::run(async |_| {
        let policy = doubling().total_timeout(ms(1000)).max_attempts(9);
        let call = policy.run(|| ready(Err::<(), _>(Refused(1)))).classify(|_| Verdict::RetryAfter(ms(1000)));
        assert_eq!(assert_took!(call, ms(0)).unwrap_err().reason, GaveUp::Deadline);
    });
}

#[test]
fn time_before_the_first_attempt_does_not_count() {
    World::run(async |_| {
        let policy = doubling().total_timeout(ms(1000)).max_attempts(2);
        let mut attempts = policy.start();
        tokio::time::sleep(ms(5000)).await;
        let failed = attempts.attempt(ready(Err::<(), _>(Refused(1)))).await.unwrap_err();
        assert_took!(attempts.backoff(failed), ms(100)).unwrap();
    });
}

#[test]
fn no_attempt_starts_after_the_total_limit() {
    World::run(async |_| {
        let policy = doubling().total_timeout(ms(1000)).max_attempts(9);
        let mut attempts = policy.start();
        let failed = attempts.attempt(ready(Err::<(), _>(Refused(1)))).await.unwrap_err();
        attempts.backoff(failed).await.unwrap();
        tokio::time::sleep(ms(900)).await; // waiting for a limiter, say
        let mut called = false;
        let late = async {
            called = true;
            Ok::<_, Refused>(())
        };
        let failed = attempts.attempt(late).await.unwrap_err();
        assert!(failed.is_timeout() && !called);
        let error = attempts.backoff(failed).await.unwrap_err();
        assert_eq!((error.reason, error.attempts), (GaveUp::Deadline, 1));
        assert_eq!(error.to_string(), "gave up after 1 attempt and 1s: no time left", "it did not time out");
    });
}

proptest! {
    #[test]
    fn no_call_outlasts_its_total_limit(
        total in 1..3000_u64, limit in 1..1000_u64, busy in 0..1500_u64, initial in 0..500_u64, seed: u64, ask in 0..2000_u64,
    ) {
        World::run(async |w| {
            let policy = Policy::new(Backoff::exponential(ms(initial), ms(1000)))
                .total_timeout(ms(total)).attempt_timeout(ms(limit)).max_attempts(20).seed(seed);
            let attempt = async || { tokio::time::sleep(ms(busy)).await; Err::<(), _>(Refused(0)) };
            let (outcome, took) = evenkeel_testkit::took(policy.run(attempt).classify(|_| Verdict::RetryAfter(ms(ask)))).await;
            let error = outcome.unwrap_err();
            // Timers fire at whole milliseconds, at or after their time.
            assert!(took < ms(total + 2), "{took:?} of {total} ms");
            assert!(error.reason == GaveUp::Deadline || error.attempts == 20);
            let _ = w;
        });
    }
}
