#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// Files in reading order: `response.rs` collects the headers and decides, `name.rs` classifies a header by its name, and
// `value.rs` parses a value.

mod name;
mod response;
mod value;

use std::time::{Duration, SystemTime};

use response::Response;

const DAY: Duration = Duration::from_secs(86_400);

/// Returns how long the headers of a response ask to wait, from `now` on; `None` if they do not, or not in a form that can
/// be read.
///
/// Works as [`retry_after_within`] with a bound of one day: a longer wait counts as one that cannot be read.
///
/// # Examples
///
/// ```
/// use evenkeel_retry_after::retry_after;
/// use std::time::{Duration, SystemTime};
///
/// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
/// let seconds = |seconds| Some(Duration::from_secs(seconds));
///
/// assert_eq!(retry_after([("Retry-After", "120")], now), seconds(120));
/// assert_eq!(retry_after([("Retry-After", "Tue, 14 Nov 2023 22:14:20 GMT")], now), seconds(60));
/// let tokens = [("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "6m0s")];
/// assert_eq!(retry_after(tokens, now), seconds(360));
/// assert_eq!(retry_after([("x-ratelimit-remaining", "7"), ("x-ratelimit-reset", "60")], now), None);
/// assert_eq!(retry_after([("Retry-After", "99999999999999999999999999")], now), None);
/// ```
#[must_use]
pub fn retry_after<N: AsRef<str>, V: AsRef<[u8]>>(
    headers: impl IntoIterator<Item = (N, V)>,
    now: SystemTime,
) -> Option<Duration> {
    retry_after_within(headers, now, DAY)
}

/// Returns how long the headers of a response ask to wait, from `now` on; a wait of more than `longest` counts as one that
/// cannot be read.
///
/// `headers` are all headers of the response, in any order; a `&http::HeaderMap` is such an iterator. `now` is the time by
/// the wall clock, because only that can be compared with a date; where the response has a readable `Date`, dates and
/// Unix times are compared with it instead, so that a clock that is off does no harm. The forms that are read are on the
/// [front page](crate).
///
/// # Examples
///
/// ```
/// use evenkeel_retry_after::retry_after_within;
/// use std::time::{Duration, SystemTime};
///
/// let week = Duration::from_secs(7 * 86_400);
/// let wait = |value| retry_after_within([("retry-after", value)], SystemTime::UNIX_EPOCH, week);
/// assert_eq!(wait("604800"), Some(week));
/// assert_eq!(wait("604801"), None);
/// ```
#[must_use]
pub fn retry_after_within<N: AsRef<str>, V: AsRef<[u8]>>(
    headers: impl IntoIterator<Item = (N, V)>,
    now: SystemTime,
    longest: Duration,
) -> Option<Duration> {
    let mut response = Response::default();
    for (name, value) in headers {
        response.add(name.as_ref(), value.as_ref());
    }
    response.wait(value::since_epoch(now), longest)
}
