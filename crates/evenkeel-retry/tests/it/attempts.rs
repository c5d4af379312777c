//! The caller's own loop.

use std::{
    future::{Future as _, pending, poll_fn, ready},
    pin::pin,
    time::Duration,
};

use async_trait::async_trait;
use evenkeel_retry::{Budget, GaveUp, Policy, RetryError, Verdict};
use evenkeel_testkit::{World, assert_took};
use tokio::time::{Instant, sleep};

use crate::{Flaky, Refused, doubling, ms};

struct Connection {
    queries: u32,
}

impl Connection {
    async fn query(&mut self, failures: u32) -> Result<u32, Refused> {
        tokio::task::yield_now().await;
        self.queries += 1;
        if self.queries <= failures { Err(Refused(self.queries)) } else { Ok(self.queries) }
    }
}

static POLICY: Policy = Policy::exponential(ms(10), ms(100)).max_attempts(4);

async fn query(connection: &mut Connection, failures: u32) -> Result<u32, RetryError<Refused>> {
    let mut attempts = POLICY.start();
    loop {
        match attempts.attempt(connection.query(failures)).await {
            Ok(value) => break Ok(value),
            Err(failed) => attempts.backoff(failed).await?,
        }
    }
}

#[async_trait]
trait Repository {
    async fn load(&mut self) -> Result<u32, RetryError<Refused>>;
}

#[async_trait]
impl Repository for Connection {
    async fn load(&mut self) -> Result<u32, RetryError<Refused>> {
        let mut attempts = POLICY.start();
        loop {
            match attempts.attempt(self.query(2)).await {
                Ok(value) => break Ok(value),
                Err(failed) => attempts.backoff(failed.when(|error| error.0 < 9)).await?,
            }
        }
    }
}

#[test]
fn a_loop_lends_mutably_inside_spawn_and_async_trait() {
    World::run(async |_| {
        let spawned = tokio::spawn(async { query(&mut Connection { queries: 0 }, 3).await });
        assert_eq!(spawned.await.unwrap(), Ok(4));
        assert_eq!(Connection { queries: 0 }.load().await, Ok(3));
        let error = query(&mut Connection { queries: 0 }, 9).await.unwrap_err();
        assert_eq!((error.reason, error.attempts, error.last), (GaveUp::Attempts, 4, Some(Refused(4))));
    });
}

/// Both ways in drive one engine: the same policy and outcomes give the same schedule.
#[test]
fn the_loop_and_the_future_keep_the_same_times() {
    World::run(async |_| {
        for seed in 0..50 {
            let policy = Policy::exponential(ms(100), ms(1000)).max_attempts(6).seed(seed);
            let verdict = |e: &Refused| if e.0 == 2 { Verdict::RetryAfter(ms(700)) } else { Verdict::Retry };
            let flaky = Flaky::failing(9);
            let future = policy.run(|| flaky.call()).classify(verdict).await.unwrap_err();
            let looped = Flaky::failing(9);
            let mut attempts = policy.start();
            let error = loop {
                let failed = attempts.attempt(looped.call()).await.unwrap_err();
                if let Err(error) = attempts.backoff(failed.classify(verdict)).await {
                    break error;
                }
            };
            assert_eq!(looped.times(), flaky.times());
            assert_eq!(error, future);
            assert_eq!(attempts.attempts(), 6);
        }
    });
}

/// A stop at any time ends both with the same error, at the same time; a final failure is told behind the stop, too.
#[test]
fn the_loop_and_the_future_are_cancelled_alike() {
    World::run(async |_| {
        for seed in 0..20 {
            for stop in [1, 50, 150, 151, 400, 401, 900, 2000, 5000] {
                for last in [Verdict::Retry, Verdict::Permanent] {
                    let policy = Policy::exponential(ms(100), ms(1000)).max_attempts(5).seed(seed);
                    let slow = async || {
                        sleep(ms(150)).await;
                        Err::<(), _>(Refused(0))
                    };
                    let start = Instant::now();
                    let future =
                        policy.run(slow).classify(|_| last).until(sleep(ms(stop))).await.unwrap_err();
                    let took = start.elapsed();

                    let (start, mut attempts) = (Instant::now(), policy.start());
                    let mut stopped = pin!(sleep(ms(stop)));
                    let looped = loop {
                        let failed = attempts.attempt(slow()).await.unwrap_err();
                        let stopped = poll_fn(|cx| stopped.as_mut().poll(cx));
                        if let Err(error) = attempts.backoff_until(failed.classify(|_| last), stopped).await {
                            break error;
                        }
                    };
                    assert_eq!(
                        (looped, start.elapsed()),
                        (future, took),
                        "seed {seed}, stop {stop}, {last:?}"
                    );
                }
            }
        }
    });
}

#[test]
fn behind_the_stop_a_final_failure_is_told_and_no_attempt_follows() {
    World::run(async |_| {
        for (policy, verdict, reason) in [
            (doubling(), Verdict::Retry, GaveUp::Cancelled),
            (doubling(), Verdict::RetryAfter(ms(1)), GaveUp::Cancelled),
            (Policy::fixed(Duration::ZERO), Verdict::Retry, GaveUp::Cancelled),
            (doubling(), Verdict::Permanent, GaveUp::Permanent),
            (doubling().max_attempts(1), Verdict::Retry, GaveUp::Attempts),
            (doubling(), Verdict::RetryAfter(Duration::MAX), GaveUp::RetryAfter(Duration::MAX)),
        ] {
            let policy = policy.budget(Budget::percent(0).per_second(0).reserve(3));
            let mut attempts = policy.start();
            let failed = attempts.attempt(ready(Err::<(), _>(Refused(7)))).await.unwrap_err();
            let waited = attempts.backoff_until(failed.classify(|_| verdict), ready(()));
            let error = assert_took!(waited, Duration::ZERO).unwrap_err();
            assert_eq!((error.reason, error.attempts, error.last), (reason, 1, Some(Refused(7))));
            // The token of the attempt that is not made is there again, while the series is.
            assert!(format!("{policy:?}").contains("available: 3"), "{policy:?}");
            drop(attempts);
        }
    });
}

#[test]
fn a_wait_without_a_stop_is_as_long_as_ever() {
    World::run(async |_| {
        let policy = doubling();
        let mut attempts = policy.start();
        let failed = attempts.attempt(ready(Err::<(), _>(Refused(1)))).await.unwrap_err();
        assert_took!(attempts.backoff_until(failed, pending::<()>()), ms(100)).unwrap();
    });
}

#[test]
fn a_verdict_is_the_callers() {
    World::run(async |_| {
        let policy = doubling();
        let mut attempts = policy.start();
        let failed = attempts.attempt(ready(Err::<(), _>(Refused(1)))).await.unwrap_err();
        assert_eq!(failed.error(), Some(&Refused(1)));
        assert_took!(attempts.backoff(failed.classify(|_| Verdict::RetryAfter(ms(1234)))), ms(1234)).unwrap();
        let failed = attempts.attempt(ready(Err::<(), _>(Refused(2)))).await.unwrap_err();
        assert_eq!(attempts.backoff(failed.when(|_| false)).await.unwrap_err().reason, GaveUp::Permanent);
    });
}

#[test]
fn a_loop_knows_its_attempts_and_their_time_begins_when_it_asks() {
    World::run(async |_| {
        let policy = doubling().attempt_timeout(ms(1000));
        let mut attempts = policy.start();
        let mut keys = Vec::new();
        for number in 1..=3 {
            let attempt = attempts.next_attempt();
            assert_eq!(attempt.number(), number);
            keys.push(attempt.key());
            tokio::time::sleep(ms(400)).await;
            assert_eq!(attempt.remaining(), Some(ms(600)));
            let hang = pending::<Result<(), Refused>>();
            let failed = assert_took!(attempts.attempt(hang), ms(600)).unwrap_err();
            if number < 3 {
                attempts.backoff(failed).await.unwrap();
            }
        }
        assert!(keys.iter().all(|key| *key == keys[0]), "one key for all attempts of a call");
        assert_ne!(policy.start().next_attempt().key(), keys[0], "and for no other");
    });
}

#[test]
fn a_time_out_is_retried_whatever_the_verdict_on_errors() {
    World::run(async |_| {
        let policy = doubling().attempt_timeout(Duration::from_secs(1));
        let mut attempts = policy.start();
        let failed = attempts.attempt(pending::<Result<(), Refused>>()).await.unwrap_err();
        assert_took!(attempts.backoff(failed.when(|_| false)), ms(100)).unwrap();
    });
}

#[test]
#[should_panic(expected = "after it was ready")]
fn a_wait_that_has_ended_is_not_polled_again() {
    World::run(async |_| {
        let policy = Policy::fixed(ms(10));
        let mut attempts = policy.start();
        let failed = attempts.attempt(ready(Err::<(), _>(Refused(0)))).await.unwrap_err();
        let mut wait = attempts.backoff(failed);
        assert!((&mut wait).await.is_ok());
        let _ = wait.await;
    });
}

#[test]
fn an_attempt_that_was_too_late_stays_too_late() {
    World::run(async |_| {
        let policy = Policy::fixed(ms(10));
        let mut attempts = policy.start().deadline(tokio::time::Instant::now());
        let mut attempt = pin!(attempts.attempt(async { unreachable!("it began") as Result<(), Refused> }));
        assert!(attempt.as_mut().await.is_err());
        assert!(attempt.await.is_err());
    });
}
