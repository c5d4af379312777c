//! Changes of the rate (P16).

use std::time::Duration;

use evenkeel_limit::{Rate, RateLimiter};
use evenkeel_testkit::{World, assert_took};
use tokio::time::{Instant, advance, sleep};

use crate::fixtures::ByHand;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn what_is_there_stays() {
    World::run(async |_| {
        let limiter = RateLimiter::per_second(100);
        limiter.try_acquire_many(70).unwrap();
        for rate in [Rate::per_second(1), Rate::per(u32::MAX, Duration::from_nanos(1)), Rate::per_second(7)] {
            limiter.set_rate(rate);
            let snapshot = limiter.snapshot();
            assert_eq!((snapshot.rate, snapshot.available, snapshot.burst), (Some(rate), 30, 100));
        }
    });
}

#[test]
fn the_missing_part_is_earned_at_the_new_rate() {
    World::run(async |_| {
        // 0.3 of a permit is earned in 100 ms at 3 per second; the other 0.7 in 100 ms at 7 per second, and so on.
        let limiter = RateLimiter::per_second(3).start_empty();
        let change = async {
            sleep(ms(100)).await;
            limiter.set_rate(Rate::per_second(7));
        };
        assert_took!(async { tokio::join!(limiter.acquire(), change) }, ms(200));
        let change = async {
            for permits in [3, 1, 2, 3] {
                limiter.set_rate(Rate::per_second(permits));
                sleep(ms(100)).await;
            }
            limiter.set_rate(Rate::per_second(1));
        };
        assert_took!(async { tokio::join!(limiter.acquire(), change) }, ms(500));
    });
}

#[test]
fn those_who_wait_are_timed_anew() {
    World::run(async |_| {
        for (at, rate, turns) in [
            (500, Rate::per_second(2), [750, 1250, 1750]),
            (900, Rate::per_second(100), [901, 911, 921]),
            (500, Rate::every(ms(10_000)), [5500, 15_500, 25_500]),
        ] {
            let limiter = RateLimiter::new(Rate::per_second(1)).burst(1).start_empty();
            let start = Instant::now();
            let turn = async || {
                limiter.acquire().await;
                start.elapsed()
            };
            let change = async {
                sleep(ms(at)).await;
                limiter.set_rate(rate);
            };
            let (first, second, third, ()) = tokio::join!(turn(), turn(), turn(), change);
            assert_eq!([first, second, third], turns.map(ms));
        }
    });
}

#[test]
fn without_anybody_polling() {
    World::run(async |_| {
        let limiter = RateLimiter::per_second(1).start_empty();
        let waiter = ByHand::queued(limiter.acquire());
        limiter.set_rate(Rate::per_second(1000));
        sleep(ms(1)).await;
        assert_eq!(waiter.wakes(), 1);
    });
}

#[test]
fn a_slower_rate_gives_no_early_turn() {
    World::run(async |_| {
        let limiter = RateLimiter::per_second(1000).start_empty();
        let change = async { limiter.set_rate(Rate::per_second(1)) };
        assert_took!(async { tokio::join!(limiter.acquire(), change) }, ms(1000));
    });
}

#[test]
fn an_unlimited_one_gets_a_limit() {
    World::run(async |_| {
        let limiter = RateLimiter::unlimited();
        limiter.try_acquire_many(1000).unwrap();
        limiter.set_rate(Rate::per_second(10));
        assert_eq!((limiter.snapshot().available, limiter.snapshot().burst), (10, 10));
        assert!(limiter.try_acquire_many(11).is_err());

        let limiter = RateLimiter::unlimited().burst(3).start_empty();
        limiter.try_acquire_many(1000).unwrap();
        limiter.set_rate(Rate::per_second(10));
        advance(ms(1000)).await;
        assert_eq!(limiter.snapshot().available, 3);
    });
}
