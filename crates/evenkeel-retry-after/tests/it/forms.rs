//! Forms of names and values, table by table.

mod limits;
mod retry_after;
mod senseless;
mod together;

use std::time::Duration;

use crate::now;

const fn sec(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

const fn ms(millis: u64) -> Option<Duration> {
    Some(Duration::from_millis(millis))
}

const fn nanos(nanos: u64) -> Option<Duration> {
    Some(Duration::from_nanos(nanos))
}

/// A form, headers that have it, and the wait; at 2023-11-14T22:13:20Z.
type Row = (&'static str, &'static [(&'static str, &'static str)], Option<Duration>);

#[test]
fn every_form_is_read_the_same_by_both() {
    let tables = [
        retry_after::RETRY_AFTER,
        senseless::SENSELESS,
        limits::LIMITS,
        together::STRUCTURED,
        together::TOGETHER,
    ];
    for (form, headers, expected) in tables.into_iter().flatten() {
        let headers = || headers.iter().copied();
        assert_eq!(evenkeel_limit::http::pause(headers(), now()), *expected, "pause: {form}");
        assert_eq!(evenkeel_retry::http::retry_after(headers(), now()), *expected, "retry_after: {form}");
    }
    assert!(tables.iter().map(|table| table.len()).sum::<usize>() >= 200);
}

#[test]
fn latin_1_is_read() {
    let headers = [("retry-after", &b"12\xb5s"[..])];
    assert_eq!(evenkeel_retry_after::retry_after(headers, now()), nanos(12_000));
}
