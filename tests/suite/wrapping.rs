//! The order in which layers wrap each other: the total time limit around the retry, the retry around the limiter, the
//! limiter around the concurrency limit, the time limit of one attempt innermost; and the faults of the other orders.

use std::{cell::Cell, future::ready, time::Duration};

use evenkeel::{
    limit::RateLimiter,
    retry::{Backoff, GaveUp, Policy},
};
use evenkeel_testkit::{World, assert_took};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

static POLICY: Policy = Policy::new(Backoff::none()).max_attempts(4).attempt_timeout(secs(1));

#[test]
fn a_limiter_inside_the_retry_paces_every_attempt() {
    World::run(async |_| {
        let limiter = RateLimiter::per_second(1).burst(1);
        let mut tries = POLICY.start();
        let call = async {
            loop {
                limiter.acquire().await;
                let failed = tries.attempt(ready(Err::<(), _>("busy"))).await.unwrap_err();
                if let Err(error) = tries.backoff(failed).await {
                    break error;
                }
            }
        };
        // Four attempts, one a second; the wait for the limiter is not part of an attempt's time.
        assert_eq!(assert_took!(call, secs(3)).reason, GaveUp::Attempts);
    });
}

#[test]
fn a_limiter_outside_the_retry_lets_retries_through_unpaced() {
    World::run(async |_| {
        let limiter = RateLimiter::per_second(1).burst(1);
        let calls = Cell::new(0);
        let call = async {
            limiter.acquire().await;
            POLICY.run(|| ready(Err::<(), _>(calls.replace(calls.get() + 1)))).await
        };
        assert_took!(call, Duration::ZERO).unwrap_err();
        assert_eq!(calls.get(), 4, "four calls within one permit");
    });
}

#[test]
fn an_attempts_time_limit_around_the_limiter_counts_the_queue() {
    World::run(async |_| {
        let limiter = RateLimiter::per_second(1).burst(1);
        limiter.acquire_many(1).await.unwrap();
        let queue = async {
            for _ in 0..3 {
                limiter.acquire().await;
            }
        };
        let once = POLICY.clone().max_attempts(1);
        let call = once.run(async || {
            limiter.acquire().await;
            Ok::<_, &str>(())
        });
        let (_, outcome) = tokio::join!(queue, call);
        assert!(outcome.unwrap_err().last.is_none(), "timed out without having called anything");
    });
}

#[test]
fn the_total_limit_bounds_all_of_it() {
    World::run(async |_| {
        let policy = POLICY.clone().max_attempts(100).total_timeout(secs(5));
        let limiter = RateLimiter::per_second(1).burst(1);
        let mut tries = policy.start();
        let call = async {
            loop {
                limiter.acquire().await;
                let failed = tries.attempt(ready(Err::<(), _>("busy"))).await.unwrap_err();
                if let Err(error) = tries.backoff(failed).await {
                    break error;
                }
            }
        };
        let error = assert_took!(call, secs(5));
        assert_eq!((error.reason, error.attempts), (GaveUp::Deadline, 5));
    });
}
