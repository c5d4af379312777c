//! Permits and times to try again, in numbers that other limiters got wrong (P4, P5, P6, P8).

use std::time::Duration;

use evenkeel_limit::{Denied, Rate, RateLimiter, Reason};
use evenkeel_testkit::{World, assert_took};
use tokio::time::{advance, sleep};

const NANO: Duration = Duration::from_nanos(1);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The permits that it grants at once.
fn drain(limiter: &RateLimiter) -> usize {
    std::iter::from_fn(|| limiter.try_acquire().ok()).count()
}

fn retry_after(refused: Result<(), Denied>) -> Duration {
    let denied = refused.unwrap_err();
    assert_eq!(denied.reason, Reason::Busy);
    denied.retry_after.unwrap()
}

#[test]
fn starts_full_with_the_number_of_the_rate() {
    World::run(async |_| {
        assert_eq!(drain(&RateLimiter::per_second(100)), 100);
        assert_eq!(drain(&RateLimiter::new(Rate::per(5000, secs(3600)))), 5000);
        assert_eq!(drain(&RateLimiter::new(Rate::every(ms(10)))), 1);
        assert_eq!(drain(&RateLimiter::new(Rate::per_second(100)).burst(1)), 1);
        assert_eq!(drain(&RateLimiter::per_second(100).burst(20)), 20);
        assert_eq!(drain(&RateLimiter::per_second(100).burst(20).start_empty()), 0);
    });
}

#[test]
fn an_empty_one_fills_from_its_first_use() {
    World::run(async |_| {
        let limiter = RateLimiter::per_second(10).start_empty();
        sleep(secs(60)).await;
        assert_took!(limiter.acquire(), ms(100));
    });
}

#[test]
fn idling_earns_one_burst() {
    World::run(async |_| {
        for idle in [ms(1050), secs(2), secs(12 * 3600), secs(50 * 365 * 86_400)] {
            let limiter = RateLimiter::new(Rate::per(10, ms(200)));
            assert_eq!(drain(&limiter), 10);
            advance(idle).await;
            assert_eq!(drain(&limiter), 10);
            assert_took!(limiter.acquire(), ms(20));
        }
    });
}

#[test]
fn the_time_to_come_back_is_exact() {
    World::run(async |_| {
        let limiter = RateLimiter::per_second(1).burst(4);
        assert_eq!(drain(&limiter), 4);
        advance(ms(200)).await;
        assert_eq!(retry_after(limiter.try_acquire()), ms(800));
        assert_eq!(retry_after(limiter.try_acquire_many(3)), ms(2800));

        for (rate, burst, permits) in [
            (Rate::per_second(3), 1, 1),
            (Rate::per_second(130), 5, 4),
            (Rate::per_second(u32::MAX), u32::MAX, 1),
            (Rate::per(7, Duration::from_nanos(11)), 1000, 999),
            (Rate::per(1, secs(86_400)), 7, 7),
            (Rate::every(secs(50 * 365 * 86_400)), 7, 1),
        ] {
            let limiter = RateLimiter::new(rate).burst(burst).start_empty();
            let wait = retry_after(limiter.try_acquire_many(permits));
            advance(wait - NANO).await;
            assert_eq!(retry_after(limiter.try_acquire_many(permits)), NANO);
            advance(NANO).await;
            assert_eq!(limiter.try_acquire_many(permits), Ok(()), "{rate}");
        }
    });
}

#[test]
fn a_burst_fits_and_one_more_never_does() {
    World::run(async |_| {
        for burst in [1, 10, u32::MAX - 1] {
            let limiter = RateLimiter::per_second(1).burst(burst);
            for never in [limiter.try_acquire_many(burst + 1), limiter.acquire_many(burst + 1).await] {
                let denied = never.unwrap_err();
                assert_eq!((denied.reason, denied.retry_after), (Reason::NeverFits, None));
            }
            assert_eq!(limiter.snapshot().available, burst, "nothing was taken");
            assert_eq!(assert_took!(limiter.acquire_many(burst), Duration::ZERO), Ok(()));
            assert_eq!(drain(&limiter), 0);
        }
        let limiter = RateLimiter::per_second(1).burst(2).start_empty();
        assert_eq!(assert_took!(limiter.acquire_many(2), secs(2)), Ok(()));
    });
}

#[test]
fn a_year_s_period_gives_its_whole_burst() {
    World::run(async |_| {
        let limiter = RateLimiter::new(Rate::every(secs(365 * 86_400))).burst(1000);
        assert_eq!(drain(&limiter), 1000);
        assert_eq!(retry_after(limiter.try_acquire()), secs(365 * 86_400));
        assert_took!(limiter.acquire(), secs(365 * 86_400));
    });
}

#[test]
fn unlimited_is_unlimited() {
    World::run(async |_| {
        let limiter = RateLimiter::unlimited();
        for _ in 0..1000 {
            assert_took!(limiter.acquire(), Duration::ZERO);
            assert_eq!(limiter.acquire_many(u32::MAX).await, Ok(()));
            assert_eq!(limiter.try_acquire_many(u32::MAX), Ok(()));
        }
        let snapshot = limiter.snapshot();
        assert_eq!((snapshot.rate, snapshot.available, snapshot.burst), (None, u32::MAX, u32::MAX));
        assert_eq!(snapshot.granted, 3000);
    });
}
