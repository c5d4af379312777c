//! Properties for every response: no panic, bounds, and one answer in all crates.

use std::time::{Duration, SystemTime};

use evenkeel_limit::http::{pause, pause_within};
use evenkeel_retry::http::{retry_after, retry_after_within};
use proptest::{collection::vec, prelude::*, string::string_regex};

use crate::now;

const DAY: Duration = Duration::from_secs(86_400);

fn name() -> impl Strategy<Value = String> {
    let words = "date|retry-after|retry-after-ms|x-retry-in|ratelimit|x|amz|requests|seconds|ms";
    let marks = "remaining|reset|reset-after|reset-ms|resets|left|rate-limit";
    let words = string_regex(&format!("({words}|{marks})(-({words}|{marks})){{0,3}}")).unwrap();
    prop_oneof![words, "[!-~]{0,20}", ".{0,12}"]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let number = r"-?[0-9]{0,40}(\.[0-9]{0,40})?([eE][+-]?[0-9]{1,4})?";
    let span = r"-?([0-9]{1,20}(\.[0-9]{1,12})?(h|m|s|ms|us|µs|ns|d|w|mo|y| minutes|, )){0,5}";
    let date = "[0-9]{1,6}-[0-9]{1,2}-[0-9]{1,2}[Tt ][0-9]{1,2}:[0-9]{1,2}(:[0-9]{1,2}(\\.[0-9]{1,20})?)?(Z|[+-][0-9]{2}:[0-9]{2}| UTC| [+-][0-9]{4}|)";
    let http = "(Mon|Tue|Wed|Thu|Fri|Sat|Sun|Sunday)(, | )[0-9]{1,2}[ -](Jan|Nov|Dec)[ -][0-9]{2,4} [0-9]{2}:[0-9]{2}:[0-9]{2} (GMT|[+-][0-9]{4}|CET)";
    let fields = r#"(("[a-z;=,]{0,4}"|limit=[0-9]{1,4}|r=-?[0-9]{1,4}|t=[0-9]{1,12}|remaining=0|reset=[0-9]{1,19}|[;,"\\ ])){0,8}"#;
    let text = prop_oneof![Just(String::from("0")), number, span, date, http, fields, ".{0,40}"];
    let one = prop_oneof![9 => text.prop_map(String::into_bytes), 1 => vec(any::<u8>(), 0..40)];
    vec(one, 1..3).prop_map(|parts| parts.join(&b','))
}

fn time() -> impl Strategy<Value = SystemTime> {
    let ago = (0..=1_u64 << 40).prop_map(|seconds| SystemTime::UNIX_EPOCH - Duration::from_secs(seconds));
    let then = (0..=1_u64 << 40).prop_map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    prop_oneof![ago, then, Just(now())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// No panic, nothing beyond the bound, and one answer.
    #[test]
    fn any_headers_are_read(headers in vec((name(), value()), 0..6), now in time(), longest: u64, nanos in 0..1_000_000_000_u32) {
        let headers = || headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        let wait = evenkeel_retry_after::retry_after(headers(), now);
        prop_assert!(wait.is_none_or(|wait| wait <= DAY), "{wait:?}");
        prop_assert_eq!(pause(headers(), now), wait);
        prop_assert_eq!(retry_after(headers(), now), wait);
        for longest in [Duration::ZERO, Duration::new(longest, nanos), Duration::MAX] {
            let wait = evenkeel_retry_after::retry_after_within(headers(), now, longest);
            prop_assert!(wait.is_none_or(|wait| wait <= longest), "{wait:?}");
            prop_assert_eq!(pause_within(headers(), now, longest), wait);
            prop_assert_eq!(retry_after_within(headers(), now, longest), wait);
        }
    }

    /// One time is one pause, in every notation.
    #[test]
    fn all_forms_of_a_time_are_one_pause(seconds in 0..86_400_u64) {
        let at = crate::NOW + seconds;
        let http = httpdate::fmt_http_date(now() + Duration::from_secs(seconds));
        let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        for value in [
            seconds.to_string(),
            format!("{seconds}.0"),
            format!("{seconds}s"),
            format!("{}ms", seconds * 1000),
            format!("{hours}h{minutes}m{rest}s"),
            format!("PT{hours}H{minutes}M{rest}S"),
            at.to_string(),
            format!("{at}000"),
            format!("{at}000000"),
            format!("{at}000000000"),
            format!("{}.{:09}e9", at / 1_000_000_000, at % 1_000_000_000),
            http,
        ] {
            for headers in [
                vec![("retry-after", value.as_str())],
                vec![("x-ratelimit-reset", &value), ("x-ratelimit-remaining", "0")],
            ] {
                let wait = evenkeel_retry_after::retry_after(headers.iter().copied(), now());
                prop_assert_eq!(wait, Some(Duration::from_secs(seconds)), "{:?}", headers);
            }
        }
    }

    /// The permits of one scope say nothing about another scope.
    #[test]
    fn scopes_are_apart(one in "[j-q]{3,8}", other in "[j-q]{3,8}", seconds in 1..86_400_u64, before: bool) {
        prop_assume!(one != other);
        let name = |mark: &str, scope: &str| {
            if before { format!("v-ratelimit-{scope}-{mark}") } else { format!("v-ratelimit-{mark}-{scope}") }
        };
        let wait = |remaining: [(&str, &str); 2]| {
            let [first, second] = remaining.map(|(scope, value)| (name("remaining", scope), value.to_owned()));
            let reset = (name("reset", &one), seconds.to_string());
            evenkeel_retry_after::retry_after([first, reset, second], now())
        };
        prop_assert_eq!(wait([(&one, "0"), (&other, "5")]), Some(Duration::from_secs(seconds)));
        prop_assert_eq!(wait([(&one, "5"), (&other, "0")]), None);
    }
}

#[test]
fn a_bound_of_any_length_can_be_set() {
    let within = |value: &str, longest| retry_after_within([("retry-after", value)], now(), longest);
    let month = Duration::from_secs(30 * 86_400);
    assert_eq!(within("2592000", month), Some(month));
    assert_eq!(within("2592000.1", month), None);
    assert_eq!(within("1702592000", month), Some(month));
    assert_eq!(within("1702592001", month), None);
    assert_eq!(within("0.001", Duration::ZERO), None);
    assert_eq!(within("0", Duration::ZERO), Some(Duration::ZERO));
    let far = within("Fri, 31 Dec 9999 23:59:59 GMT", Duration::MAX).unwrap();
    assert_eq!(far, Duration::from_secs(253_402_300_799 - crate::NOW));
}

/// The work is bounded for every response: 256 values of 256 bytes, names of 128 bytes, 16 parameters of an item.
#[test]
fn what_is_read_is_bounded() {
    let wait = |headers: &[(String, String)]| {
        evenkeel_retry_after::retry_after(headers.iter().map(|(name, value)| (name, value)), now())
    };
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let behind = |count: usize| header("retry-after", &format!("{}5", "?, ".repeat(count)));
    assert_eq!((wait(&[behind(255)]), wait(&[behind(256)])), (seconds(5), None));

    let lines = |count: usize| {
        let mut lines = vec![header("retry-after", "?"); count];
        lines.extend([header("x-ratelimit-remaining", "0"), header("x-ratelimit-reset", "60")]);
        lines
    };
    assert_eq!((wait(&lines(254)), wait(&lines(255))), (seconds(60), None));

    // The server's clock is no value of a limit.
    let mut late = lines(254);
    late.insert(0, header("date", "Tue, 14 Nov 2023 21:13:20 GMT"));
    late.last_mut().unwrap().1 = String::from("1699996460");
    assert_eq!(wait(&late), seconds(60));

    let named = |length: usize| header(&format!("{}-retry-after", "x".repeat(length - 12)), "5");
    assert_eq!((wait(&[named(128)]), wait(&[named(129)])), (seconds(5), None));

    let long = |length: usize| header("retry-after", &format!("{:0length$}", 5));
    assert_eq!((wait(&[long(256)]), wait(&[long(257)])), (seconds(5), None));

    let item = |count: usize| header("ratelimit", &format!("{}r=0;t=5", "a=1;".repeat(count)));
    assert_eq!((wait(&[item(14)]), wait(&[item(15)])), (seconds(5), None));
}
