//! Limits from configuration files.

use std::time::Duration;

use evenkeel_limit::{Adaptive, ConcurrencyLimiter, InvalidRate, Keyed, Rate, RateLimiter};
use evenkeel_testkit::World;
use proptest::prelude::*;
use serde_json::{from_str, to_string};

#[test]
fn a_limiter_is_read_from_a_configuration() {
    let limiter: RateLimiter = from_str(
        r#"{
            "rate": {"permits": 600, "per": "1m"}, "burst": 30, "start_empty": true, "fast": true,
            "oversize_as_debt": true, "max_waiters": 7, "max_pause": "10m"
        }"#,
    )
    .unwrap();
    let expected = RateLimiter::new(Rate::per(600, Duration::from_secs(60))).burst(30).start_empty();
    let (got, expected) = (limiter.snapshot(), expected.snapshot());
    assert_eq!((got.rate, got.burst, got.available), (expected.rate, 30, 0));
    limiter.penalize(Duration::MAX);
    assert!(limiter.snapshot().paused_for <= Duration::from_secs(600));

    let limiter: RateLimiter = from_str(r#"{"rate": {"permits": 10, "per": "1s"}}"#).unwrap();
    assert_eq!((limiter.snapshot().burst, limiter.snapshot().available), (10, 10), "the defaults");

    let keyed: Keyed<u8> =
        from_str(r#"{"rate": {"permits": 1, "per": "1h"}, "burst": 2, "max_keys": 1, "max_pause": "5s"}"#)
            .unwrap();
    keyed.penalize(&1, Duration::MAX);
    assert!(keyed.limiter(&1).snapshot().paused_for <= Duration::from_secs(5));
    assert!(keyed.resume(&1));
    keyed.limiter(&1).refund(2);
    assert_eq!([1, 1, 1].map(|key| keyed.try_acquire(&key).is_ok()), [true, true, false]);
}

#[test]
fn keys_that_look_at_the_clock_once_can_be_configured() {
    World::run(async |_| {
        let text = r#"{"rate": {"permits": 64, "per": "1s"}, "fast": true}"#;
        let keyed: Keyed<u8> = from_str(text).unwrap();
        // One that reads the clock, and four that do not: those count as granted at the next reading.
        assert!((0..5).all(|_| keyed.try_acquire(&1).is_ok()));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!((0..100).filter(|_| keyed.try_acquire(&1).is_ok()).count(), 60);
    });
}

#[cfg(feature = "quanta")]
#[test]
fn the_clock_can_be_configured() {
    let text = r#"{"rate": {"permits": 1, "per": "1h"}, "clock": "cpu"}"#;
    let limiter: RateLimiter = from_str(text).unwrap();
    assert_eq!([(); 2].map(|()| limiter.try_acquire().is_ok()), [true, false]);
    let keyed: Keyed<u8> = from_str(text).unwrap();
    assert_eq!([(); 2].map(|()| keyed.try_acquire(&1).is_ok()), [true, false]);
    let unknown = from_str::<RateLimiter>(&text.replace("cpu", "sundial")).unwrap_err().to_string();
    assert!(unknown.starts_with("unknown variant `sundial`, expected `tokio` or `cpu`"), "{unknown}");
}

#[test]
fn a_window_that_slides_can_be_configured() {
    World::run(async |_| {
        let limiter: RateLimiter =
            from_str(r#"{"rate": {"permits": 2, "per": "1m"}, "sliding": true}"#).unwrap();
        limiter.try_acquire_many(2).unwrap();
        let denied = limiter.try_acquire().unwrap_err();
        assert_eq!(denied.retry_after, Some(Duration::from_secs(60)), "and not the half of it");
    });
}

#[test]
fn a_concurrency_limit_is_a_number_or_adapts() {
    let limit = |text| from_str::<ConcurrencyLimiter>(text).unwrap().snapshot().limit;
    assert_eq!(limit(r#"{"limit": 5, "max_waiters": 10}"#), 5);
    assert_eq!(limit(r#"{"limit": {"gradient": {"min": 2, "max": 100, "initial": 20}}}"#), 20);
    assert_eq!(limit(r#"{"limit": {"aimd": {"min": 2, "max": 100}}}"#), 2);
}

#[test]
fn a_bad_configuration_is_an_error_that_says_why() {
    let rate = |text| from_str::<Rate>(text).unwrap_err().to_string();
    assert!(rate(r#"{"permits": 0, "per": "1s"}"#).starts_with(&InvalidRate::ZeroPermits.to_string()));
    assert!(rate(r#"{"permits": 1, "per": "0s"}"#).starts_with(&InvalidRate::ZeroTime.to_string()));
    assert!(rate(r#"{"permits": 1, "per": "1000years"}"#).starts_with(&InvalidRate::TimeTooLong.to_string()));
    assert!(rate(r#"{"permits": 1, "per": "1s", "burst": 1}"#).contains("unknown field"));
    assert!(rate(r#"{"permits": 1, "per": "now"}"#).contains("expected number"));

    let limiter = |rest: &str| {
        let text = format!(r#"{{"rate": {{"permits": 1, "per": "1s"}}, {rest}}}"#);
        from_str::<RateLimiter>(&text).unwrap_err().to_string()
    };
    assert!(limiter(r#""burst": 0"#).starts_with("a burst of zero permits"));
    assert!(limiter(r#""max_waiters": 0"#).starts_with("a queue for zero waiters"));
    assert!(limiter(r#""max_pause": "0s""#).starts_with("pauses of no time"));
    assert!(limiter(r#""bursts": 1"#).contains("unknown field"));
    assert!(from_str::<RateLimiter>("{}").unwrap_err().to_string().contains("missing field `rate`"));

    let keyed = |rest: &str| {
        let text = format!(r#"{{"rate": {{"permits": 1, "per": "1s"}}, {rest}}}"#);
        from_str::<Keyed<u8>>(&text).unwrap_err().to_string()
    };
    assert!(keyed(r#""burst": 0"#).starts_with("a burst of zero permits"));
    assert!(keyed(r#""max_keys": 0"#).starts_with("room for zero keys"));

    let concurrency = |text: &str| from_str::<ConcurrencyLimiter>(text).unwrap_err().to_string();
    assert!(concurrency(r#"{"limit": 0}"#).starts_with("a limit of zero permits"));
    assert!(concurrency(r#"{"limit": 1, "max_waiters": 0}"#).starts_with("a queue for zero waiters"));
    assert!(
        concurrency(r#"{"limit": {"aimd": {"min": 3, "max": 2}}}"#).starts_with("a limit from more than to")
    );
    assert!(concurrency(r#"{"limit": {"vegas": {}}}"#).contains("expected `aimd` or `gradient`"));
    assert!(concurrency(r#"{"limit": {"aimd": {"min": 1}}}"#).contains("missing field `max`"));
    for number in ["-1", "4294967296", "1.5", "\"ten\""] {
        let message = concurrency(&format!(r#"{{"limit": {number}}}"#));
        assert!(message.contains("expected a limit of 32 bits, or one that adapts"), "{message}");
    }
    let adaptive = |text| from_str::<Adaptive>(text).unwrap_err().to_string();
    assert!(adaptive(r#"{"aimd": {"min": 0, "max": 1}}"#).starts_with("a limit from zero"));
    assert!(adaptive(r#"{"aimd": {"min": 3, "max": 2}}"#).starts_with("a limit from more than to"));
    assert!(adaptive(r#"{"gradient": {"min": 1, "max": 2, "initial": 3}}"#).starts_with("an initial limit"));
}

proptest! {
    #[test]
    fn a_rate_is_read_back(permits in 1..=u32::MAX, nanos in 1..=u64::MAX) {
        let rate = Rate::per(permits, Duration::from_nanos(nanos));
        prop_assert_eq!(from_str::<Rate>(&to_string(&rate).unwrap()).unwrap(), rate);
    }
}
