//! Limiters on a counter that is moved by hand, beside tokio's clock, which is paused.

use std::{sync::Arc, time::Duration};

use evenkeel_testkit::World;
use proptest::prelude::*;
use quanta::Mock;
use tokio::time::{Instant, advance};

use super::{Counter, HORIZON};
use crate::{Keyed, Rate, RateLimiter};

/// A permit, in parts of which a nanosecond earns the number of the rate.
const PERMIT: i128 = 1_000_000_000;
const MILLI: Duration = Duration::from_millis(1);

/// Moves the counter, whose ticks are nanoseconds, and tokio's clock.
async fn pass(mock: &Mock, counted: u64, real: u64) {
    mock.increment(counted);
    advance(Duration::from_nanos(real)).await;
}

fn counter() -> (Counter, Arc<Mock>) {
    let (counter, mock) = Counter::mock();
    mock.increment(1_u64 << 40);
    (counter, mock)
}

fn granted(limiter: &RateLimiter) -> usize {
    (0..2000).filter(|_| limiter.try_acquire().is_ok()).count()
}

#[test]
fn the_counter_ends_at_the_horizon() {
    let (counter, _) = counter();
    for ticks in [0, 1, 1023, HORIZON] {
        assert_eq!(counter.nanos(5, 5 + ticks), Some(ticks));
    }
    assert_eq!(counter.nanos(5, 5 + HORIZON + 1), None, "beyond the horizon");
    assert_eq!(counter.nanos(5, 4), None, "before");
}

#[test]
fn permits_are_earned_by_the_counter() {
    World::run(async |_| {
        let (counter, mock) = counter();
        let limiter = RateLimiter::new(Rate::every(Duration::from_micros(10))).burst(4).on(counter);
        assert_eq!(granted(&limiter), 4);
        pass(&mock, 9_999, 20_000).await;
        let denied = limiter.try_acquire().unwrap_err();
        assert_eq!(denied.retry_after, Some(Duration::from_nanos(1)), "tokio's clock is not read yet");
        mock.increment(1_u64);
        assert_eq!(granted(&limiter), 1);
        // Behind the horizon tokio's clock is read, and nothing is lost.
        pass(&mock, 2_000_000, 10_000).await;
        assert_eq!(granted(&limiter), 2);
    });
}

#[test]
fn a_counter_that_stands_still_or_leaps_changes_no_rate() {
    World::run(async |_| {
        let (counter, mock) = counter();
        let limiter = RateLimiter::per_second(1000).burst(10).on(counter);
        assert_eq!(granted(&limiter), 10);
        for (back, ahead) in [(0, 0), (0, 1), (500_000, 0), (1 << 39, 0), (0, 1 << 50)] {
            mock.decrement(back);
            mock.increment(ahead);
            assert!(granted(&limiter) <= 1, "no more than in a millisecond, before tokio's clock says so");
            advance(Duration::from_secs(1)).await;
            mock.increment(2 * HORIZON);
            assert_eq!(granted(&limiter), 10);
        }
    });
}

#[test]
fn waiters_have_their_turns_by_tokio_s_clock() {
    World::run(async |_| {
        let (counter, mock) = counter();
        let limiter = RateLimiter::per_second(100).burst(1).on(counter);
        limiter.acquire().await;
        let start = Instant::now();
        for turn in 1..=5 {
            // Whatever the counter does.
            mock.increment(turn * 700_000);
            limiter.acquire().await;
            assert_eq!(start.elapsed(), 10 * MILLI * turn as u32);
        }
        let denied = limiter.acquire().by(start + 59 * MILLI).await.unwrap_err();
        assert_eq!((denied.reason, start.elapsed()), (crate::Reason::Deadline, 50 * MILLI));
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// The level of an exact bucket from which the same permits are taken is never below zero, but for what is earned in
    /// twice the error of the counter in a millisecond; and a refusal is right but for as much.
    #[test]
    fn as_an_exact_bucket_within_the_error_of_the_counter(
        rate in (10..31_u32).prop_map(|bits| 1 << bits),
        burst in 1..300_u32,
        keyed in any::<bool>(),
        // In thousandths.
        error in prop_oneof![Just(0), -500..=500_i64],
        // Thousandths of permits that are earned meanwhile, and requests.
        steps in prop::collection::vec((0..300_000_u64, 0..400_u32), 1..60),
    ) {
        World::run(async |_| {
            let (counter, mock) = counter();
            let limiter = RateLimiter::per_second(rate).burst(burst).on(counter.clone());
            let keys: Keyed<u8> = Keyed::per_second(rate).burst(burst).on(counter);
            let full = i128::from(burst) * PERMIT;
            // The buckets of keys are exact to the nanosecond.
            let mut slack = 2 * i128::from(error.unsigned_abs()) * 1000 + 1;
            slack = (slack + i128::from(keyed)) * i128::from(rate);
            let (mut level, mut real, mut counted) = (full, 0, 0);
            for (earned, requests) in steps {
                let nanos = (earned * 1_000_000 / u64::from(rate)).min(3_000_000);
                real += nanos as i64;
                let target = real + real * error / 1000;
                pass(&mock, (target - counted) as u64, nanos).await;
                counted = target;
                level = (level + i128::from(nanos) * i128::from(rate)).min(full);
                for _ in 0..requests {
                    let granted = if keyed { keys.try_acquire(&7) } else { limiter.try_acquire() };
                    if granted.is_ok() {
                        level -= PERMIT;
                        let strict = error == 0 && !keyed;
                        assert!(level >= if strict { 0 } else { -slack }, "{level} of {slack}");
                    } else {
                        assert!(level < PERMIT + slack, "{level} of {slack}");
                    }
                }
            }
        });
    }
}
