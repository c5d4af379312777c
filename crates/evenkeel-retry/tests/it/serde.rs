//! Configurations: read, written, and rejected with the reason.

use std::time::Duration;

use evenkeel_retry::{Backoff, Budget, InvalidPolicy, Jitter, Policy};
use evenkeel_testkit::World;
use proptest::prelude::*;
use serde_json::{from_str, to_string};

use crate::ms;

#[test]
fn a_policy_is_read_from_a_configuration() {
    World::run(async |_| {
        let policy: Policy = from_str(
            r#"{
                "backoff": {"exponential": {"initial": "100ms", "cap": "10s", "ratio": [3, 2], "jitter": "equal"}},
                "max_attempts": 5,
                "attempt_timeout": "2s",
                "total_timeout": "1m 30s",
                "reset_after": "1h",
                "budget": {"permille": 100, "reserve": 20}
            }"#,
        )
        .unwrap();
        let backoff = Backoff::exponential(ms(100), ms(10_000)).ratio(3, 2).jitter(Jitter::Equal);
        let expected = Policy::new(backoff)
            .max_attempts(5)
            .attempt_timeout(ms(2000))
            .total_timeout(ms(90_000))
            .reset_after(ms(3_600_000))
            .budget(Budget::permille(100).reserve(20));
        assert_eq!(format!("{policy:?}"), format!("{expected:?}"));
    });
}

#[test]
fn what_is_left_out_is_the_default() {
    let policy: Policy = from_str(r#"{"backoff": {"fixed": {"delay": "1s"}}}"#).unwrap();
    assert_eq!(format!("{policy:?}"), format!("{:?}", Policy::fixed(ms(1000))));
    let unlimited: Policy =
        from_str(r#"{"backoff": {"fixed": {"delay": "0s"}}, "attempt_timeout": "none"}"#).unwrap();
    let expected = Policy::fixed(Duration::ZERO).attempt_timeout(Duration::MAX);
    assert_eq!(format!("{unlimited:?}"), format!("{expected:?}"));
}

#[test]
fn a_bad_configuration_is_an_error_that_says_why() {
    let refused = |text: &str| from_str::<Policy>(text).unwrap_err().to_string();
    for (backoff, why) in [
        (r#"{"exponential": {"initial": "2s", "cap": "1s"}}"#, InvalidPolicy::InitialAboveCap),
        (r#"{"linear": {"initial": "2s", "cap": "1s"}}"#, InvalidPolicy::InitialAboveCap),
        (r#"{"fibonacci": {"initial": "2s", "cap": "1s"}}"#, InvalidPolicy::InitialAboveCap),
        (r#"{"exponential": {"initial": "1s", "cap": "1s", "ratio": [1, 0]}}"#, InvalidPolicy::Ratio),
        (r#"{"exponential": {"initial": "1s", "cap": "1s", "ratio": [1, 2]}}"#, InvalidPolicy::Ratio),
        (r#"{"linear": {"initial": "1s", "cap": "1s", "ratio": [2, 1]}}"#, InvalidPolicy::NoRatio),
        (r#"{"fixed": {"delay": "1s", "jitter": {"percent": 101}}}"#, InvalidPolicy::Jitter),
    ] {
        assert!(refused(&format!(r#"{{"backoff": {backoff}}}"#)).starts_with(&why.to_string()), "{backoff}");
    }
    let with = |rest: &str| refused(&format!(r#"{{"backoff": {{"fixed": {{"delay": "1s"}}}}, {rest}}}"#));
    assert!(with(r#""max_attempts": 0"#).starts_with(&InvalidPolicy::NoAttempts.to_string()));
    assert!(
        with(r#""budget": {"permille": 1, "reserve": 0}"#).starts_with(&InvalidPolicy::Reserve.to_string())
    );
    assert!(with(r#""reset_after": "0s""#).starts_with(&InvalidPolicy::ResetAfter.to_string()));
    assert!(with(r#""max_attempt": 3"#).contains("unknown field"));
    assert!(with(r#""total_timeout": "soon""#).contains("expected number"));
    assert!(with(r#""total_timeout": 30"#).contains("expected a string"));
    assert!(with(r#""budget": {"permille": 1, "share": 1}"#).contains("unknown field"));
    for backoff in [
        r#"{"fixed": {"delay": "1s", "cap": "1s"}}"#,
        r#"{"linear": {"initial": "1s", "cap": "1s", "growth": 2}}"#,
        r#"{"constant": {"delay": "1s"}}"#,
        r#"{"fixed": {"delay": "1s", "jitter": "some"}}"#,
    ] {
        assert!(refused(&format!(r#"{{"backoff": {backoff}}}"#)).contains("unknown"), "{backoff}");
    }
}

#[test]
fn limits_without_end_are_written_and_read_back() {
    for limit in [Duration::MAX, Duration::from_secs(u64::MAX), Duration::ZERO, Duration::from_nanos(1)] {
        let policy = Policy::fixed(limit).attempt_timeout(limit).total_timeout(limit).max_retry_after(limit);
        let read: Policy = from_str(&to_string(&policy).unwrap()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{policy:?}"));
    }
}

#[test]
fn own_steps_are_not_written() {
    const STEPS: &[Duration] = &[ms(5)];
    assert!(to_string(&Backoff::steps(STEPS)).unwrap_err().to_string().contains("own steps"));
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        kind in 0..4_u8, a: u64, b: u64, percent in 0..=100_u8, attempts in 1..9_u32, limit in prop::option::of(1_u32..),
        permille in 0..5000_u32, per_second: u32, reserve in 1_u32.., seed: Option<u64>,
    ) {
        World::run(async |_| {
            let (initial, cap) = (Duration::from_nanos(a.min(b)), Duration::from_nanos(a.max(b)));
            let backoff = match kind {
                0 => Backoff::fixed(initial),
                1 => Backoff::linear(initial, cap),
                2 => Backoff::exponential(initial, cap).ratio(7, 4),
                _ => Backoff::fibonacci(initial, cap),
            };
            let limit = limit.map_or(Duration::MAX, |limit| ms(u64::from(limit)));
            let budget = Budget::permille(permille).per_second(per_second).reserve(reserve);
            let mut policy = Policy::new(backoff.jitter(Jitter::Percent(percent)))
                .max_attempts(attempts).attempt_timeout(limit).total_timeout(limit).reset_after(limit).budget(budget);
            if let Some(seed) = seed { policy = policy.seed(seed) }
            let read: Policy = from_str(&to_string(&policy).unwrap()).unwrap();
            assert_eq!(format!("{read:?}"), format!("{policy:?}"));
        });
    }
}
