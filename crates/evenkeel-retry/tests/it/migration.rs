//! The policies that the guide names for the crate `backoff` 0.4, beside the original where that is right.

use std::{future::ready, time::Duration};

use backoff::backoff::Backoff as _;
use evenkeel_retry::{Backoff, Jitter, Policy, Verdict};
use evenkeel_testkit::World;
use proptest::prelude::*;
use tokio::time::Instant;

use crate::ms;

/// The errors that an operation of backoff's makes, as an enum of the program.
#[derive(Debug, PartialEq, Eq)]
enum Busy {
    ForGood,
    ForNow,
    Later(Duration),
}

fn verdict(error: &Busy) -> Verdict {
    match error {
        Busy::ForGood => Verdict::Permanent,
        Busy::ForNow => Verdict::Retry,
        Busy::Later(wait) => Verdict::RetryAfter(*wait),
    }
}

/// A constant backoff of theirs that ends after some retries.
struct Times(u32);

impl backoff::backoff::Backoff for Times {
    fn next_backoff(&mut self) -> Option<Duration> {
        self.0 = self.0.checked_sub(1)?;
        Some(ms(100))
    }
}

proptest! {
    #[test]
    fn without_jitter_the_intervals_are_theirs(initial in 1..100_000_u64, more in 0..10_000_000_u64, tenths in 10..50_u32) {
        World::run(async |_| {
            let (initial, max) = (ms(initial), ms(initial + more));
            let mut builder = backoff::ExponentialBackoffBuilder::new();
            let builder = builder.with_initial_interval(initial).with_max_interval(max);
            let builder = builder.with_multiplier(f64::from(tenths) / 10.0).with_randomization_factor(0.0);
            let mut theirs = builder.with_max_elapsed_time(None).build();
            let ours = Backoff::exponential(initial, max).ratio(tenths, 10).jitter(Jitter::None);
            for n in 1..=30 {
                let (a, b) = (ours.delay(n, 0), theirs.next_backoff().unwrap());
                // They cut each interval to whole nanoseconds, and ours rounds it up.
                assert!(a.abs_diff(b) <= a / 10_000, "{a:?} and {b:?}");
            }
        });
    }

    /// Errors for good, errors for now, and the end of the backoff, as they treat them.
    #[test]
    fn the_outcome_and_the_times_are_theirs(script in prop::collection::vec((0..3_u8, 100..500_u64), 1..8), times in 0..8_u32) {
        World::run(async |_| {
            let start = Instant::now();
            let mut steps = script.iter();
            let policy = Policy::fixed(ms(100)).max_attempts(times + 1).attempt_timeout(Duration::MAX);
            let ours = policy.run(|| ready(match steps.next() {
                Some((0, _)) => Err(Busy::ForGood),
                Some((1, _)) => Err(Busy::ForNow),
                Some((_, wait)) => Err(Busy::Later(ms(*wait))),
                None => Ok(()),
            })).classify(verdict);
            let (ours, took) = (ours.await.map_err(|gave_up| gave_up.last.unwrap()), start.elapsed());
            let start = Instant::now();
            let mut steps = script.iter();
            let theirs = backoff::future::retry(Times(times), || ready(match steps.next() {
                Some((0, _)) => Err(backoff::Error::permanent(Busy::ForGood)),
                Some((1, _)) => Err(backoff::Error::transient(Busy::ForNow)),
                // Theirs is bounded by nothing.
                Some((_, wait)) => Err(backoff::Error::retry_after(Busy::Later(ms(*wait)), ms(*wait))),
                None => Ok(()),
            }));
            let theirs = theirs.await;
            if script.iter().all(|(kind, _)| *kind < 2) || script.len() <= times as usize {
                assert_eq!((ours, took), (theirs, start.elapsed()));
            }
        });
    }
}
