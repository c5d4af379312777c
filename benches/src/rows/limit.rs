//! Rate limits: a check that is granted, one that is refused, and a permit that is there.

use std::{hint::black_box, num::NonZeroU32};

use evenkeel::limit::{Rate, RateLimiter};
use governor::{DefaultDirectRateLimiter, Quota};

use crate::row::{AsyncRow, Metric, OURS, Row};

/// So fast, and with so large a burst, that it never refuses.
const FAST: u32 = 4_000_000_000;

pub(crate) fn rows() -> Vec<Row> {
    [granted(), refused()].into_iter().chain(ready().everywhere()).collect()
}

fn governor_of(rate: u32, burst: u32) -> DefaultDirectRateLimiter {
    let number = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
    DefaultDirectRateLimiter::direct(Quota::per_second(number(rate)).allow_burst(number(burst)))
}

fn granted() -> Row {
    let ours = RateLimiter::per_second(FAST).burst(FAST);
    let theirs = governor_of(FAST, FAST);
    Row::new("limit/try-acquire-granted", Metric::Cpu)
        .target(1.2)
        .with(OURS, move |n| (0..n).filter(|_| black_box(ours.try_acquire()).is_ok()).count())
        .with("governor", move |n| (0..n).filter(|_| black_box(theirs.check()).is_ok()).count())
}

fn refused() -> Row {
    let ours = RateLimiter::paced(Rate::every(std::time::Duration::from_secs(86_400)));
    let theirs = DefaultDirectRateLimiter::direct(
        Quota::with_period(std::time::Duration::from_secs(86_400)).expect("a period above zero"),
    );
    ours.try_acquire().ok();
    theirs.check().ok();
    Row::new("limit/try-acquire-refused", Metric::Cpu)
        .target(2.0)
        .with(OURS, move |n| (0..n).filter(|_| black_box(ours.try_acquire()).is_ok()).count())
        .with("governor", move |n| (0..n).filter(|_| black_box(theirs.check()).is_ok()).count())
}

fn ready() -> AsyncRow {
    AsyncRow::new("limit/acquire-ready", Metric::Cpu)
        .with(OURS, |n| async move {
            let limiter = RateLimiter::per_second(FAST).burst(FAST);
            for _ in 0..n {
                limiter.acquire().await;
            }
        })
        .with("governor", |n| async move {
            let limiter = governor_of(FAST, FAST);
            for _ in 0..n {
                limiter.until_ready().await;
            }
        })
        .with("leaky-bucket", |n| async move {
            let full = usize::MAX / 4;
            let limiter = leaky_bucket::RateLimiter::builder().initial(full).max(full).refill(1000).build();
            for _ in 0..n {
                limiter.acquire_one().await;
            }
        })
}
