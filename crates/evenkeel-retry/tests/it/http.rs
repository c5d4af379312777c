use std::time::{Duration, SystemTime};

use evenkeel_retry::http::retry_after;
use proptest::prelude::*;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

proptest! {
    #[test]
    fn seconds_and_dates_say_the_same(seconds in 0..100_000_000_u64) {
        let expected = Some(Duration::from_secs(seconds));
        prop_assert_eq!(retry_after(&seconds.to_string(), now()), expected);
        let date = httpdate::fmt_http_date(now() + Duration::from_secs(seconds));
        prop_assert_eq!(retry_after(&date, now()), expected);
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in ".{0,40}") {
        let _ = retry_after(&text, now());
    }
}

#[test]
fn odd_values_have_a_defined_reading() {
    assert_eq!(retry_after(" 5 ", now()), Some(Duration::from_secs(5)));
    assert_eq!(retry_after("0", now()), Some(Duration::ZERO));
    assert_eq!(
        retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now()),
        Some(Duration::ZERO),
        "a date that has passed"
    );
    assert_eq!(retry_after("99999999999999999999999", now()), Some(Duration::from_secs(u64::MAX)));
    let in_a_minute = now() + Duration::from_secs(60);
    assert_eq!(httpdate::fmt_http_date(in_a_minute), "Fri, 15 Jan 2027 08:01:00 GMT");
    for date in
        ["Fri, 15 Jan 2027 08:01:00 GMT", "Friday, 15-Jan-27 08:01:00 GMT", "Fri Jan 15 08:01:00 2027"]
    {
        assert_eq!(retry_after(date, now()), Some(Duration::from_secs(60)), "{date}");
    }
    let far = retry_after("Fri, 31 Dec 9999 23:59:59 GMT", now()).unwrap();
    assert_eq!(far, Duration::from_secs(253_402_300_799 - 1_800_000_000));
    for wrong in [
        "Fri, 15 Jan 2027 08:01:00 +0200",
        "Fri, 15 Jan 2027 08:01:00 CET",
        "Fri, 15 Jan 2027 24:01:00 GMT",
        "Fri, 15 Jan 2027 08:01:60 GMT",
        "Sat, 15 Jan 2027 08:01:00 GMT",
        "Tue, 30 Feb 2027 08:01:00 GMT",
        "Sun, 06 Nov 1569 08:49:37 GMT",
    ] {
        assert_eq!(retry_after(wrong, now()), None, "{wrong:?}");
    }
    for wrong in ["", "-1", "+1", "1.5", "1e3", "soon", "5 s", "\u{0665}", "0x10"] {
        assert_eq!(retry_after(wrong, now()), None, "{wrong:?}");
    }
}
