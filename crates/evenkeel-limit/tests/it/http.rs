//! Headers, written and read.

use std::time::{Duration, SystemTime};

use evenkeel_limit::{Denied, Rate, RateLimiter, Snapshot, http};
use evenkeel_testkit::{World, assert_took};
use proptest::prelude::*;
use tokio::time::advance;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + secs(seconds)
}

fn fields(snapshot: &Snapshot) -> (String, String, String) {
    let [policy, state] = http::headers("a", snapshot).unwrap();
    (policy.1, state.1, http::legacy_headers(snapshot).unwrap().map(|(_, value)| value).join(" "))
}

#[test]
fn a_response_tells_the_policy_and_the_state() {
    World::run(async |_| {
        for (rate, burst, policy) in [
            (Rate::per_second(10), 40, "q=10;w=1"),
            (Rate::per(5000, secs(3600)), 100, "q=5000;w=3600"),
            (Rate::every(ms(250)), 4, "q=4;w=1"),
            (Rate::per(3, ms(1500)), 3, "q=4;w=2"),
            (Rate::every(secs(60)), 1, "q=1;w=60"),
        ] {
            let limiter = RateLimiter::new(rate).burst(burst);
            assert_eq!(fields(&limiter.snapshot()).0, format!("\"a\";{policy}"));
        }
        let limiter = RateLimiter::per_second(10).burst(40);
        assert_eq!(fields(&limiter.snapshot()).1, "\"a\";r=40;t=0");
        limiter.try_acquire_many(25).unwrap();
        let (_, state, legacy) = fields(&limiter.snapshot());
        assert_eq!((state.as_str(), legacy.as_str()), ("\"a\";r=15;t=3", "10 15 3"), "2.5 s, rounded up");
        limiter.penalize(secs(7));
        assert_eq!(fields(&limiter.snapshot()).1, "\"a\";r=0;t=11", "7 s, and 3.9 s for all but one");
        assert!(http::headers("a", &RateLimiter::unlimited().snapshot()).is_none());
        assert!(http::legacy_headers(&RateLimiter::unlimited().snapshot()).is_none());
    });
}

#[test]
fn a_number_is_a_structured_integer() {
    let limiter = RateLimiter::new(Rate::per(u32::MAX, Duration::from_nanos(1)));
    assert_eq!(fields(&limiter.snapshot()).0, "\"a\";q=999999999999999;w=1");
}

#[test]
fn a_name_is_a_structured_string() {
    let name = |name| http::headers(name, &RateLimiter::per_second(1).snapshot()).unwrap()[0].1.clone();
    assert_eq!(name(r#"a "b" \c"#), r#""a \"b\" \\c";q=1;w=1"#);
    assert_eq!(name("line\r\nfeed ö"), r#""line??feed ?";q=1;w=1"#);
}

#[test]
fn who_comes_back_when_told_is_not_too_early() {
    World::run(async |_| {
        let seconds =
            |denied: Denied| http::retry_after(&denied).map(|(_, value)| value.parse::<u64>().unwrap());
        let limiter = RateLimiter::new(Rate::per(130, secs(60))).burst(1);
        for _ in 0..50 {
            limiter.try_acquire().unwrap();
            let denied = limiter.try_acquire().unwrap_err();
            advance(secs(seconds(denied).unwrap())).await;
        }
        let exact = RateLimiter::per_second(1).burst(2).start_empty();
        assert_eq!(seconds(exact.try_acquire_many(2).unwrap_err()), Some(2), "whole seconds are not rounded");
        assert_eq!(seconds(exact.try_acquire_many(3).unwrap_err()), None);
    });
}

#[test]
fn a_client_reads_all_the_forms() {
    let pause = |headers: &[(&str, &str)]| http::pause(headers.iter().copied(), at(1_700_000_000));
    for (headers, expected) in [
        (&[("Retry-After", " 120 ")][..], Some(120)),
        (&[("retry-after", "Tue, 14 Nov 2023 22:13:50 GMT")], Some(30)),
        (&[("retry-after", "Tue, 14 Nov 2023 22:13:00 GMT")], Some(0)),
        (&[("retry-after", "soon")], None),
        (&[("RateLimit", r#""a";r=0;t=42"#)], Some(42)),
        (&[("ratelimit", r#""a"; t=42; r=0, "b";r=0;t=7, "c";r=1;t=99"#)], Some(42)),
        (&[("ratelimit", r#""a";r=0"#)], None),
        (&[("ratelimit", "limit=100, remaining=0, reset=30")], Some(30)),
        (&[("ratelimit", "limit=100, remaining=1, reset=30")], None),
        (&[("ratelimit-remaining", "0"), ("ratelimit-reset", "5")], Some(5)),
        (&[("X-Rate-Limit-Reset", "5"), ("X-Rate-Limit-Remaining", "0")], Some(5)),
        (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1700000060")], Some(60)),
        (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1600000000")], Some(0)),
        (&[("x-ratelimit-remaining", "-1"), ("x-ratelimit-reset", "60")], Some(60)),
        (&[("x-ratelimit-reset", "60")], None),
        (&[("retry-after", "3"), ("ratelimit", r#""a";r=0;t=9"#)], Some(3)),
        (&[("retry-after", "soon"), ("ratelimit", r#""a";r=0;t=9"#)], Some(9)),
        (&[("retry-after", "3"), ("retry-after", "5"), ("retry-after", "4")], Some(5)),
        (&[("ratelimit", r#""a, b;r=7;t=1";r=0;t=9"#)], Some(9)),
        (&[("ratelimit", r#""a\";r=0;t=99";r=7;t=9"#)], None),
        (&[("ratelimit", r#""a\\";r=0;t=9"#)], Some(9)),
        (&[("ratelimit", r#""a;r=0;t=9"#)], None),
        (&[("ratelimit", r#""a";r=0;t=3"#), ("ratelimit", r#""b";r=0;t=9"#)], Some(9)),
        (&[("ratelimit-remaining", "0"), ("ratelimit-remaining", "?"), ("ratelimit-reset", "5")], Some(5)),
        (&[("ratelimit-reset", "5"), ("ratelimit-reset", ""), ("ratelimit-remaining", "0")], Some(5)),
        (&[("x-ratelimit-remaining", "9"), ("ratelimit-remaining", "0"), ("ratelimit-reset", "5")], Some(5)),
        (&[("retry-after", "99999999999999999999999")], None),
        (&[], None),
    ] {
        assert_eq!(pause(headers), expected.map(secs), "{headers:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A client that obeys the written headers finds permits after the pause.
    #[test]
    fn both_ends_agree(
        name in r#"[a-z;=, "\\]{0,8}"#,
        permits in 1..5000_u32,
        time in 1..7_200_000_u64,
        burst in 1..100_u32,
    ) {
        World::run(async |_| {
            let server = RateLimiter::new(Rate::per(permits, ms(time))).burst(burst);
            let client = RateLimiter::per_second(u32::MAX);
            while server.try_acquire().is_ok() {}
            let headers = http::headers(&name, &server.snapshot()).unwrap();
            let pause = http::pause(headers.iter().map(|(name, value)| (*name, value.as_str())), at(0)).unwrap();
            client.penalize(pause);
            assert_took!(client.acquire(), pause);
            assert!(server.try_acquire().is_ok());
        });
    }

    #[test]
    fn nothing_makes_it_panic(name in ".{0,12}", value in ".{0,40}", numbers in "[a-z=;,0-9\" ]{0,40}", now: u32) {
        for value in [&value, &numbers] {
            let headers = [("ratelimit", value.as_str()), (&name, value), ("retry-after", value)];
            let _ = http::pause(headers, at(now.into()));
        }
    }
}
