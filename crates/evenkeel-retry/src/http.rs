//! Reading what an HTTP server says about another attempt.

use std::time::{Duration, SystemTime};

/// How long a `Retry-After` field asks to wait, from `now` on; none if its value is neither of the two forms.
///
/// The forms are those of RFC 9110, section 10.2.3: a number of seconds, or an HTTP-date. A date that has passed
/// asks for no wait. The clock is an argument because only the wall clock can be compared with a date.
///
/// # Examples
/// ```
/// use evenkeel_retry::http::retry_after;
/// use std::time::{Duration, SystemTime};
///
/// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
/// assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
/// assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:40 GMT", now), Some(Duration::from_secs(3)));
/// assert_eq!(retry_after("soon", now), None);
/// ```
#[must_use]
pub fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit ask for longer than anybody waits.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}
