//! The order in which layers wrap each other: the total time limit around the retry, the retry around the limits, the
//! concurrency limit around the rate, the time limit of one attempt innermost; and the faults of the other orders.

use std::{
    cell::{Cell, RefCell},
    future::ready,
    time::Duration,
};

use evenkeel::{
    limit::{ConcurrencyLimiter, RateLimiter, Reason},
    retry::{Backoff, GaveUp, Policy},
    task::Stop,
};
use evenkeel_testkit::{World, assert_took};
use futures::future::join_all;
use tokio::time::{Instant, sleep_until};

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

#[test]
fn a_loop_that_waits_for_a_turn_without_the_deadline_queues_beyond_the_total_time() {
    World::run(async |_| {
        let policy = POLICY.clone().total_timeout(secs(5));
        // A queue of ten seconds.
        let limiter = RateLimiter::per_second(1).burst(10).start_empty();
        let mut tries = policy.start();
        let unbounded = async {
            limiter.acquire_many(10).await.unwrap();
            tries.attempt(ready(Ok::<_, &str>("late"))).await.unwrap()
        };
        assert_eq!(assert_took!(unbounded, secs(10)), "late");

        let end = policy.start().ends_at().unwrap();
        let denied = assert_took!(limiter.acquire_many(10).by(end), Duration::ZERO).unwrap_err();
        assert_eq!(denied.reason, Reason::Deadline);
    });
}

/// Three callers with one slot and a call of two seconds, and a stop after the first second; returns how many calls began, and
/// when the last caller is done.
async fn calls_around_a_stop(stop_reaches_the_queue: bool) -> (u32, Duration) {
    let (slots, stop) = (ConcurrencyLimiter::new(1), Stop::new());
    let (begun, start) = (Cell::new(0), Instant::now());
    let call = async |_| {
        let queue = slots.acquire();
        let slot = match stop_reaches_the_queue {
            true => stop.run_until_draining(queue).await,
            false => Some(queue.await),
        };
        let Some(slot) = slot else { return };
        begun.set(begun.get() + 1);
        sleep_until(Instant::now() + secs(2)).await;
        drop(slot.unwrap());
    };
    let stopping = async {
        sleep_until(start + secs(1)).await;
        stop.drain("SIGTERM");
    };
    tokio::join!(join_all((0..3).map(call)), stopping);
    (begun.get(), start.elapsed())
}

#[test]
fn a_queue_that_the_stop_does_not_reach_makes_calls_behind_the_signal() {
    World::run(async |_| {
        assert_eq!(calls_around_a_stop(true).await, (1, secs(2)));
        assert_eq!(calls_around_a_stop(false).await, (3, secs(6)));
    });
}

/// Calls that keep a slot each until the fourth second; returns when they began, in tenths of a second.
async fn starts(takes_slot_first: bool) -> Vec<u128> {
    let (rate, slots) = (RateLimiter::per_second(10).burst(1), ConcurrencyLimiter::new(2));
    let (begun, start) = (RefCell::new(Vec::new()), Instant::now());
    let call = async |_| {
        let slot = if takes_slot_first {
            let slot = slots.acquire().await.unwrap();
            rate.acquire().await;
            slot
        } else {
            rate.acquire().await;
            slots.acquire().await.unwrap()
        };
        begun.borrow_mut().push(start.elapsed().as_millis() / 100);
        sleep_until(start + secs(4)).await;
        drop(slot);
    };
    join_all((0..6).map(call)).await;
    begun.into_inner()
}

#[test]
fn a_rate_around_the_concurrency_limit_is_exceeded_behind_slow_calls() {
    World::run(async |_| {
        assert_eq!(starts(true).await, [0, 1, 40, 41, 42, 43]);
        assert_eq!(starts(false).await, [0, 1, 40, 40, 40, 40]);
    });
}
