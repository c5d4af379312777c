//! The sliding window: never more than its number in any stretch of its time, and never less than possible.

use std::{cell::RefCell, sync::Arc, task::Poll, time::Duration};

use evenkeel_limit::{AllPermits, Rate, RateLimiter, Reason, Reservation, try_all_of};
use evenkeel_testkit::{World, assert_took, cancel};
use proptest::prelude::*;
use tokio::time::{Instant, advance, sleep};

use crate::fixtures::ByHand;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The times of the grants, one by one.
#[derive(Default)]
struct Log(RefCell<Vec<u128>>);

impl Log {
    fn add(&self, at: u128, permits: u32) {
        self.0.borrow_mut().extend((0..permits).map(|_| at));
    }

    fn since(&self, at: u128) -> usize {
        self.0.borrow().iter().filter(|&&granted| granted > at || at == 0).count()
    }

    fn assert_every_window(&self, permits: u32, time: u128) {
        let log = self.0.borrow();
        assert!(log.is_sorted());
        for pair in log.windows(permits as usize + 1) {
            assert!(pair[permits as usize] - pair[0] >= time, "{pair:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// The number of grants up to which it is exact.
    #[test]
    fn grants_what_a_log_would(
        permits in 1..20_u32,
        time in 1..2000_u64,
        steps in prop::collection::vec((0..1000_u64, 0..8_u32), 1..80),
    ) {
        World::run(async |_| {
            let limiter = RateLimiter::sliding(Rate::per(permits, ms(time)));
            let (start, log, time) = (Instant::now() - ms(1), Log::default(), u128::from(time) * 1_000_000);
            for (step, n) in steps {
                advance(Duration::from_micros(step * step)).await;
                let now = start.elapsed().as_nanos();
                let used = log.since(now.saturating_sub(time)) as u32;
                assert_eq!(limiter.snapshot().available, permits - used);
                let granted = limiter.try_acquire_many(n);
                assert_eq!(granted.is_ok(), used + n <= permits);
                match granted {
                    Ok(()) => log.add(now, n),
                    Err(denied) if n <= permits => {
                        let wait = denied.retry_after.unwrap();
                        let then = now + wait.as_nanos();
                        let fits = |at: u128| log.since(at.saturating_sub(time)) as u32 + n <= permits;
                        assert!(fits(then) && !fits(then - 1));
                    }
                    Err(denied) => assert_eq!(denied.reason, Reason::NeverFits),
                }
            }
            log.assert_every_window(permits, time);
        });
    }

    /// A turn is predicted exactly, behind waiters of any size.
    #[test]
    fn turns_come_when_it_was_said(
        permits in 1..8_u32,
        requests in prop::collection::vec((0..8_u32, 0..120_u64), 1..30),
    ) {
        World::run(async |_| {
            let limiter = Arc::new(RateLimiter::sliding(Rate::per(permits, ms(100))));
            let (start, log, mut tasks) = (Instant::now(), Log::default(), vec![]);
            for (n, pause) in requests {
                let n = n.min(permits);
                sleep(ms(pause)).await;
                let Err(denied) = limiter.try_acquire_many(n) else {
                    log.add(start.elapsed().as_nanos(), n);
                    continue;
                };
                let wait = denied.retry_after.unwrap();
                let early = Instant::now() + wait - Duration::from_nanos(1);
                assert_eq!(limiter.acquire_many(n).by(early).await.unwrap_err().reason, Reason::Deadline);
                let (expected, deadline) = (start.elapsed() + wait, Instant::now() + wait);
                let limiter = Arc::clone(&limiter);
                tasks.push((tokio::spawn(async move {
                    limiter.acquire_many(n).by(deadline).await.unwrap();
                    start.elapsed()
                }), expected, n));
                tokio::task::yield_now().await;
            }
            for (task, expected, n) in tasks {
                let came = task.await.unwrap();
                assert_eq!(came, expected);
                log.add(came.as_nanos(), n);
            }
            log.0.borrow_mut().sort_unstable();
            log.assert_every_window(permits, 100_000_000);
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// More grants than are remembered one by one.
    #[test]
    fn never_grants_more(
        permits in 1100..2000_u32,
        steps in prop::collection::vec((0..1000_u64, 0..200_u32), 30),
    ) {
        World::run(async |_| {
            let limiter = RateLimiter::sliding(Rate::per(permits, ms(500)));
            let (start, log) = (Instant::now(), Log::default());
            for (step, n) in steps {
                advance(Duration::from_micros(step * 10)).await;
                for _ in 0..n {
                    advance(Duration::from_micros(7)).await;
                    let now = start.elapsed().as_nanos();
                    match limiter.try_acquire() {
                        Ok(()) => log.add(now, 1),
                        // The delay against the earliest possible time.
                        Err(_) => assert!(log.since(now.saturating_sub(500_000_000 + 500_000)) as u32 >= permits),
                    }
                }
            }
            log.assert_every_window(permits, 500_000_000);
        });
    }
}

#[test]
fn a_burst_comes_back_a_window_later() {
    World::run(async |_| {
        let limiter = RateLimiter::sliding(Rate::per(3, ms(100)));
        let start = Instant::now();
        for turn in 0..9 {
            limiter.acquire().await;
            assert_eq!(start.elapsed(), ms(turn / 3 * 100));
        }
        assert_eq!(limiter.snapshot().full_in, ms(100));
        assert_eq!(limiter.try_acquire_many(4).unwrap_err().reason, Reason::NeverFits);
    });
}

#[test]
fn it_can_start_empty_and_be_changed() {
    World::run(async |_| {
        let limiter = RateLimiter::sliding(Rate::per(3, ms(100))).start_empty();
        assert_took!(limiter.acquire(), ms(100));
        limiter.set_rate(Rate::per(5, ms(1000)));
        assert_eq!((limiter.snapshot().burst, limiter.snapshot().available), (5, 4));
        limiter.set_burst(1);
        assert_took!(limiter.acquire(), ms(1000));
        limiter.set_rate(Rate::per(5, ms(10)));
        assert_eq!(limiter.snapshot().burst, 1, "it was set");
    });
}

#[test]
fn a_pause_lets_one_through_afterwards() {
    World::run(async |_| {
        let limiter = RateLimiter::sliding(Rate::per(3, ms(100)));
        limiter.penalize(ms(200));
        limiter.penalize(ms(300));
        limiter.penalize(ms(50));
        assert_eq!(limiter.snapshot().available, 0);
        assert_took!(limiter.acquire(), ms(300));
        assert_took!(limiter.acquire_many(2), ms(100)).unwrap();
        assert_took!(limiter.acquire(), ms(0));
    });
}

#[test]
fn what_comes_back_are_the_earliest_permits() {
    World::run(async |_| {
        let limiter = RateLimiter::sliding(Rate::per(2, ms(100)));
        limiter.try_acquire().unwrap();
        advance(ms(60)).await;
        limiter.try_acquire().unwrap();
        limiter.refund(1);
        assert_eq!(limiter.snapshot().available, 1);
        limiter.try_acquire().unwrap();
        assert_eq!(limiter.try_acquire().unwrap_err().retry_after, Some(ms(100)));
        limiter.refund(u32::MAX);
        assert_eq!(limiter.snapshot().available, 2);
    });
}

#[test]
fn what_costs_nothing_does_not_hide_what_others_cost() {
    World::run(async |_| {
        let limiter = RateLimiter::sliding(Rate::per(2, ms(100)));
        limiter.try_acquire().unwrap();
        advance(ms(40)).await;
        limiter.try_acquire().unwrap();
        let (_two, _none) =
            (ByHand::queued(limiter.acquire_many(2)), ByHand::queued(limiter.acquire_many(0)));
        // The two grants at 140 ms, and so the next one a window later.
        assert_eq!(limiter.try_acquire().unwrap_err().retry_after, Some(ms(200)));
    });
}

#[test]
fn a_grant_that_was_not_seen_comes_back_as_long_as_it_counts() {
    World::run(async |_| {
        for (time, left) in [(199, 1), (200, 0)] {
            let limiter = RateLimiter::sliding(Rate::per(1, ms(100)));
            limiter.try_acquire().unwrap();
            let waiter = ByHand::queued(limiter.acquire());
            advance(ms(100)).await;
            assert_eq!(waiter.wakes(), 1);
            advance(ms(time - 100)).await;
            if left == 0 {
                // By another.
                limiter.try_acquire().unwrap();
            }
            drop(waiter);
            assert_eq!(limiter.snapshot().available, left);
        }
    });
}

#[test]
fn what_counts_no_longer_does_not_come_back() {
    World::run(async |_| {
        type GiveBack = fn(Reservation<'_>, AllPermits<'_>);
        let ways: [GiveBack; 3] = [
            |reservation, _| drop(reservation),
            |reservation, _| reservation.settle(0),
            |reservation, held| {
                reservation.commit();
                held.refund();
            },
        ];
        for give_back in ways {
            for (time, left) in [(ms(99), 1), (ms(100), 0)] {
                let limiter = RateLimiter::sliding(Rate::per(2, ms(100)));
                let reservation = limiter.reserve(1).await.unwrap();
                let held = try_all_of([limiter.demand(1)]).unwrap();
                advance(time).await;
                if left == 0 {
                    // By others.
                    limiter.try_acquire_many(2).unwrap();
                }
                give_back(reservation, held);
                assert_eq!(limiter.snapshot().available, left);
            }
        }
    });
}

#[test]
fn dropping_a_waiter_lets_the_others_move_up() {
    let contended = async || {
        let limiter = Arc::new(RateLimiter::sliding(Rate::per(1, ms(100))));
        limiter.acquire().await;
        limiter
    };
    let acquire = async |limiter: Arc<RateLimiter>| limiter.acquire().await;
    let as_if_new = async |limiter: Arc<RateLimiter>| {
        assert_eq!((limiter.snapshot().available, limiter.snapshot().waiting), (1, 0));
    };
    assert_eq!(cancel::every_point(contended, acquire, as_if_new).points(), 1);
    World::run(async |_| {
        let limiter = RateLimiter::sliding(Rate::per(2, ms(100)));
        limiter.try_acquire_many(2).unwrap();
        let (big, mut small) = (ByHand::queued(limiter.acquire_many(2)), ByHand::queued(limiter.acquire()));
        assert_eq!(limiter.try_acquire().unwrap_err().retry_after, Some(ms(200)));
        drop(big);
        sleep(ms(100)).await;
        assert_eq!((small.wakes(), small.poll()), (1, Poll::Ready(())));
        assert!(limiter.try_acquire().is_ok());
    });
}
