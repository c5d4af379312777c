//! No stretch of time gets more than the burst and the permits that the rate earns in it (P1).

use std::{sync::Arc, time::Duration};

use evenkeel_limit::{Rate, RateLimiter};
use evenkeel_testkit::World;
use proptest::prelude::*;
use tokio::time::{Instant, advance, sleep};

use crate::{model::magnitude, rate_bound_seeds};

/// The times of the grants in nanoseconds, with their permits; in order.
type Grants = Vec<(u128, u32)>;

fn assert_every_window(grants: &Grants, permits: u32, nanos: u64, burst: u32) {
    for (first, &(from, _)) in grants.iter().enumerate() {
        let mut granted = 0;
        for &(to, n) in &grants[first..] {
            granted += u128::from(n);
            let above_burst = granted.saturating_sub(burst.into()) * u128::from(nanos);
            assert!(above_burst <= (to - from) * u128::from(permits), "{granted} in {} ns", to - from);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Rates from 1 per day to 4e9 per second, and requests at any time.
    #[test]
    fn of_what_is_tried(
        permits in magnitude(32),
        nanos in prop::sample::select(vec![1_000_000_000, 60_000_000_000, 86_400_000_000_000_u64]),
        burst in magnitude(30),
        tries in prop::collection::vec((magnitude(50), magnitude(30)), 1..60),
    ) {
        let (permits, burst) = (permits as u32, burst as u32);
        World::run(async |_| {
            let limiter = RateLimiter::new(Rate::per(permits, Duration::from_nanos(nanos))).burst(burst);
            let (start, mut grants) = (Instant::now(), vec![]);
            for (step, n) in tries {
                // Up to about the time in which a burst is earned.
                let fill = u128::from(burst) * u128::from(nanos) / u128::from(permits);
                advance(Duration::from_nanos((u128::from(step) % (fill + 1)) as u64)).await;
                let n = (n % u64::from(burst) + 1) as u32;
                for _ in (0..5).take_while(|_| limiter.try_acquire_many(n).is_ok()) {
                    grants.push((start.elapsed().as_nanos(), n));
                }
            }
            assert_every_window(&grants, permits, nanos, burst);
        });
    }

    /// With credits it grants nothing that an exact bucket would refuse, which has seen the same grants at the same
    /// times, and it is no more than a sixteenth of the burst behind that bucket.
    #[test]
    fn of_what_is_tried_fast(
        permits in 1..2000_u32,
        burst in 1..2000_u32,
        steps in prop::collection::vec((magnitude(31), 1..200_usize, 0..4_u32), 1..30),
    ) {
        World::run(async |_| {
            let limiter = RateLimiter::per_second(permits).burst(burst).fast();
            let (start, mut grants) = (Instant::now(), vec![]);
            // A permit has this many parts, of which each nanosecond earns `permits`.
            let parts = |permits: u32| u64::from(permits) * 1_000_000_000;
            let mut level = parts(burst);
            for (step, tries, more) in steps {
                advance(Duration::from_nanos(step)).await;
                level = (level + step * u64::from(permits)).min(parts(burst));
                let requests = std::iter::repeat_n(1, tries).chain([more.min(burst)]);
                for n in requests {
                    let granted = match n {
                        1 => limiter.try_acquire(),
                        n => limiter.try_acquire_many(n),
                    };
                    if granted.is_ok() {
                        assert!(level >= parts(n));
                        level -= parts(n);
                        grants.push((start.elapsed().as_nanos(), n));
                    } else {
                        assert!(level < parts(n + (burst / 16).min(256)), "{} missing", level / parts(1));
                    }
                }
            }
            assert_every_window(&grants, permits, 1_000_000_000, burst);
        });
    }

    /// Tasks that wait and give up, with turns on the ticks of the timer.
    #[test]
    fn of_what_is_waited_for(
        every in 1..20_u64,
        burst in 1..10_u32,
        tasks in prop::collection::vec((0..300_u64, 1..10_u32, prop::option::of(0..200_u64)), 1..60),
    ) {
        World::run(async |_| {
            let limiter = RateLimiter::new(Rate::every(Duration::from_millis(every))).burst(burst);
            let (limiter, start) = (Arc::new(limiter), Instant::now());
            let tasks: Vec<_> = tasks.into_iter().map(|(at, n, max_wait)| {
                let limiter = Arc::clone(&limiter);
                tokio::spawn(async move {
                    sleep(Duration::from_millis(at)).await;
                    let n = n.min(burst);
                    let max_wait = max_wait.map_or(Duration::MAX, Duration::from_millis);
                    let granted = tokio::time::timeout(max_wait, limiter.acquire_many(n)).await;
                    granted.is_ok().then(|| (start.elapsed().as_nanos(), n))
                })
            }).collect();
            let mut grants = vec![];
            for task in tasks {
                grants.extend(task.await.unwrap());
            }
            grants.sort_unstable();
            assert_every_window(&grants, 1, every * 1_000_000, burst);
            assert_eq!(limiter.snapshot().waiting, 0);
        });
    }
}

#[test]
fn of_ten_thousand_histories() {
    rate_bound_seeds::run(10_000);
}
