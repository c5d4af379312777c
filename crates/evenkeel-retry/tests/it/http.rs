//! The wait that the headers of a response ask for.

use std::time::{Duration, SystemTime};

use evenkeel_retry::{
    Verdict,
    http::{retry_after, retry_after_within, verdict},
};
use proptest::prelude::*;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn wait(value: &str) -> Option<Duration> {
    retry_after([("Retry-After", value)], now())
}

proptest! {
    #[test]
    fn seconds_and_dates_say_the_same(seconds in 0..200_000_u64) {
        let expected = Some(Duration::from_secs(seconds)).filter(|_| seconds <= 86_400);
        prop_assert_eq!(wait(&seconds.to_string()), expected);
        let date = httpdate::fmt_http_date(now() + Duration::from_secs(seconds));
        prop_assert_eq!(wait(&date), expected);
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in ".{0,40}") {
        let _ = wait(&text);
    }
}

#[test]
fn odd_values_have_a_defined_reading() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(wait(" 5 "), seconds(5));
    assert_eq!(wait("0"), Some(Duration::ZERO));
    assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO), "a date that has passed");
    let in_a_minute = now() + Duration::from_secs(60);
    assert_eq!(httpdate::fmt_http_date(in_a_minute), "Fri, 15 Jan 2027 08:01:00 GMT");
    for date in [
        "Fri, 15 Jan 2027 08:01:00 GMT",
        "Friday, 15-Jan-27 08:01:00 GMT",
        "Fri Jan 15 08:01:00 2027",
        "Fri, 15 Jan 2027 10:01:00 +0200",
    ] {
        assert_eq!(wait(date), seconds(60), "{date}");
    }
    for wrong in [
        "Fri, 15 Jan 2027 08:01:00 CET",
        "Fri, 15 Jan 2027 24:01:00 GMT",
        "Sat, 15 Jan 2027 08:01:00 GMT",
        "Tue, 30 Feb 2027 08:01:00 GMT",
        "Sun, 06 Nov 1569 08:49:37 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "99999999999999999999999",
    ] {
        assert_eq!(wait(wrong), None, "{wrong:?}");
    }
    for wrong in ["", "-1", "soon", "\u{0665}", "0x10"] {
        assert_eq!(wait(wrong), None, "{wrong:?}");
    }
}

#[test]
fn the_bound_can_be_set() {
    let within = |longest| retry_after_within([("Retry-After", "90")], now(), Duration::from_secs(longest));
    assert_eq!(within(90), Some(Duration::from_secs(90)));
    assert_eq!(within(89), None);
}

#[test]
fn a_status_and_its_wait_have_a_verdict() {
    let wait = Duration::from_secs(5);
    let transient = [408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529];
    for status in 0..=u16::MAX {
        let (bare, waited) = match status {
            403 => (Verdict::Permanent, Verdict::RetryAfter(wait)),
            _ if transient.contains(&status) => (Verdict::Retry, Verdict::RetryAfter(wait)),
            _ => (Verdict::Permanent, Verdict::Permanent),
        };
        assert_eq!((verdict(status, None), verdict(status, Some(wait))), (bare, waited), "{status}");
    }
    assert_eq!(verdict(429, Some(Duration::ZERO)), Verdict::RetryAfter(Duration::ZERO));
}
