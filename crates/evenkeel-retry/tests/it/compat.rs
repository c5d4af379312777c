//! The drop-in for `backoff` 0.4 beside the original, where that is right; and where it is not, what we do instead.

use std::{cell::RefCell, future::ready, time::Duration};

use evenkeel_retry::compat::backoff::{
    Backoff as _, Error, ExponentialBackoff, ExponentialBackoffBuilder,
    backoff::Constant,
    future::{retry, retry_notify},
};
use evenkeel_testkit::{World, assert_took, cancel};
use proptest::prelude::*;
use tokio::time::Instant;

use crate::{Flaky, Refused, ms};

proptest! {
    #[test]
    fn without_jitter_the_intervals_are_theirs(initial in 1..100_000_u64, more in 0..10_000_000_u64, tenths in 10..50_u32) {
        World::run(async |_| {
            let (initial, max, multiplier) = (ms(initial), ms(initial + more), f64::from(tenths) / 10.0);
            let mut theirs = backoff::ExponentialBackoffBuilder::new();
            let mut theirs = theirs.with_initial_interval(initial).with_max_interval(max).with_multiplier(multiplier)
                .with_randomization_factor(0.0).with_max_elapsed_time(None).build();
            let mut ours = ExponentialBackoffBuilder::new();
            let mut ours = ours.with_initial_interval(initial).with_max_interval(max).with_multiplier(multiplier)
                .with_randomization_factor(0.0).with_max_elapsed_time(None).build();
            for _ in 0..30 {
                let (a, b) = (ours.next_backoff().unwrap(), backoff::backoff::Backoff::next_backoff(&mut theirs).unwrap());
                // They cut each interval to whole nanoseconds, we round it.
                assert!(a.abs_diff(b) <= a / 1_000_000, "{a:?} and {b:?}");
            }
        });
    }

    #[test]
    fn with_jitter_a_delay_is_in_their_range_and_never_above_the_maximum(factor in 0.0..=1.0_f64, steps in 0..20_usize) {
        World::run(async |_| {
            let mut ours = ExponentialBackoff { randomization_factor: factor, max_interval: ms(5000), ..ExponentialBackoff::default() };
            for _ in 0..steps { ours.next_backoff(); }
            let interval = ours.current_interval.as_secs_f64();
            let delay = ours.next_backoff().unwrap().as_secs_f64();
            let longest = (interval * (1.0 + factor)).min(5.0);
            assert!(interval * (1.0 - factor) - 1e-6 <= delay && delay <= longest + 1e-6);
        });
    }

    /// Errors for good, errors for now, and the end of the backoff, as they treat them.
    #[test]
    fn the_outcome_and_the_times_are_theirs(script in prop::collection::vec((0..3_u8, 0..500_u64), 1..8), times in 0..8_u32) {
        World::run(async |_| {
            let start = Instant::now();
            let mut steps = script.iter();
            let ours = retry_notify(Times(times, Constant::new(ms(100))), || ready(match steps.next() {
                Some((0, _)) => Err(Error::permanent("for good")),
                Some((1, _)) => Err(Error::transient("for now")),
                Some((_, wait)) => Err(Error::retry_after("later", ms(*wait))),
                None => Ok(()),
            }), |_, _| {});
            let (ours, took) = (ours.await, start.elapsed());
            let start = Instant::now();
            let mut steps = script.iter();
            let theirs = backoff::future::retry_notify(Times(times, Constant::new(ms(100))), || ready(match steps.next() {
                Some((0, _)) => Err(backoff::Error::permanent("for good")),
                Some((1, _)) => Err(backoff::Error::transient("for now")),
                // Theirs is bounded by nothing.
                Some((_, wait)) => Err(backoff::Error::retry_after("later", ms(*wait))),
                None => Ok(()),
            }), |_, _| {});
            let theirs = theirs.await;
            if script.iter().all(|(kind, _)| *kind < 2) || script.len() <= times as usize {
                assert_eq!((ours, took), (theirs, start.elapsed()));
            }
        });
    }
}

/// A backoff that ends.
struct Times(u32, Constant);

impl Times {
    fn next(&mut self) -> Option<Duration> {
        self.0 = self.0.checked_sub(1)?;
        self.1.next_backoff()
    }
}

impl evenkeel_retry::compat::backoff::Backoff for Times {
    fn next_backoff(&mut self) -> Option<Duration> {
        self.next()
    }
}

impl backoff::backoff::Backoff for Times {
    fn next_backoff(&mut self) -> Option<Duration> {
        self.next()
    }
}

#[test]
fn the_operation_is_called_when_polled_and_after_its_delay() {
    World::run(async |_| {
        let flaky = Flaky::failing(2);
        let call = retry(Constant::new(ms(100)), async || Ok(flaky.call().await?));
        assert_eq!(flaky.times(), [0_u128; 0]);
        assert_eq!(assert_took!(call, ms(200)), Ok(3));
        assert_eq!(flaky.times(), [0, 100, 200]);
    });
}

#[test]
fn the_elapsed_time_is_the_runtimes() {
    World::run(async |_| {
        let call = retry(ExponentialBackoff::default(), || ready(Err::<(), _>(Error::transient(Refused(1)))));
        let (outcome, took) = evenkeel_testkit::took(call).await;
        assert_eq!(outcome, Err(Refused(1)));
        assert!(took <= Duration::from_secs(900) && took > Duration::from_secs(800), "{took:?}");
    });
}

#[test]
fn a_wait_that_is_asked_for_uses_up_the_backoff() {
    World::run(async |_| {
        let call =
            retry(Times(3, Constant::new(ms(1))), || ready(Err::<(), _>(Error::retry_after(1, ms(100)))));
        assert_eq!(assert_took!(call, ms(300)), Err(1));
        let ends = ExponentialBackoff { max_elapsed_time: Some(ms(1000)), ..ExponentialBackoff::default() };
        let call = retry(ends, || ready(Err::<(), _>(Error::retry_after(1, ms(400)))));
        assert!(evenkeel_testkit::took(call).await.1 <= ms(1200));
    });
}

#[test]
fn what_makes_no_sense_does_no_harm() {
    World::run(async |_| {
        for factor in [f64::NAN, f64::INFINITY, -2.0, 0.0, 1e300] {
            let mut ours =
                ExponentialBackoff { multiplier: factor, randomization_factor: factor, ..Default::default() };
            for _ in 0..2000 {
                let Some(delay) = ours.next_backoff() else { panic!("it never waits, so it never ends") };
                assert!(delay <= ours.max_interval);
            }
        }
        let mut long =
            ExponentialBackoff { initial_interval: Duration::MAX, max_interval: ms(7), ..Default::default() };
        long.reset();
        assert!(long.next_backoff().unwrap() <= ms(7));
    });
}

#[test]
fn dropped_at_any_await_it_makes_no_other_attempt() {
    let cuts = cancel::every_point(
        async || std::rc::Rc::new(RefCell::new(0)),
        async |made| {
            let operation = async || {
                *made.borrow_mut() += 1;
                tokio::task::yield_now().await;
                if *made.borrow() < 3 { Err(Error::transient(())) } else { Ok(()) }
            };
            retry(Constant::new(ms(10)), operation).await.unwrap();
        },
        async |made| {
            let before = *made.borrow();
            tokio::time::sleep(ms(1000)).await;
            assert_eq!(*made.borrow(), before);
        },
    );
    assert_eq!(cuts.points(), 5);
}
