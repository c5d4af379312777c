//! Reads from an HTTP response how long to wait before another attempt.

use std::time::{Duration, SystemTime};

/// Returns how long the headers of a response ask to wait, from `now` on; `None` if they do not, or ask for more than a
/// day.
///
/// Reads `Retry-After` and its relatives, and the reset of each rate limit that has nothing left, in the forms that are
/// listed in [`evenkeel_retry_after`]; evenkeel-limit's `http::pause` reads the same. `headers` are all headers of the
/// response, as a `&http::HeaderMap` has them. The clock is an argument because only the wall clock can be compared
/// with a date; where the response has a `Date`, that is the clock.
///
/// # Examples
/// ```
/// use evenkeel_retry::http::retry_after;
/// use std::time::{Duration, SystemTime};
///
/// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
/// let wait = |value| retry_after([("Retry-After", value)], now);
/// assert_eq!(wait("120"), Some(Duration::from_secs(120)));
/// assert_eq!(wait("Sun, 06 Nov 1994 08:49:40 GMT"), Some(Duration::from_secs(3)));
/// assert_eq!(wait("soon"), None);
/// let limited = [("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "1m30s")];
/// assert_eq!(retry_after(limited, now), Some(Duration::from_secs(90)));
/// ```
#[must_use]
pub fn retry_after<N: AsRef<str>, V: AsRef<[u8]>>(
    headers: impl IntoIterator<Item = (N, V)>,
    now: SystemTime,
) -> Option<Duration> {
    evenkeel_retry_after::retry_after(headers, now)
}

/// Works as [`retry_after`] with a bound of `longest` instead of a day: a longer wait counts as none.
#[must_use]
pub fn retry_after_within<N: AsRef<str>, V: AsRef<[u8]>>(
    headers: impl IntoIterator<Item = (N, V)>,
    now: SystemTime,
    longest: Duration,
) -> Option<Duration> {
    evenkeel_retry_after::retry_after_within(headers, now, longest)
}
