//! The headers by which servers tell clients about a limit: written, and read.
//!
//! A server adds them to its responses:
//!
//! ```
//! use evenkeel_limit::{Rate, RateLimiter, http};
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let limiter = RateLimiter::new(Rate::per(100, Duration::from_secs(60)));
//! limiter.try_acquire_many(70).unwrap();
//!
//! let [policy, state] = http::headers("api", &limiter.snapshot()).unwrap();
//! assert_eq!(policy, ("ratelimit-policy", String::from(r#""api";q=100;w=60"#)));
//! assert_eq!(state, ("ratelimit", String::from(r#""api";r=30;t=42"#)));
//!
//! let denied = limiter.try_acquire_many(40).unwrap_err();
//! assert_eq!(http::retry_after(&denied), Some(("retry-after", String::from("6"))));
//! # }
//! ```
//!
//! If a response has both, clients follow `Retry-After`: the time after which this request would have passed.
//!
//! A client obeys them:
//!
//! ```
//! use evenkeel_limit::{RateLimiter, http};
//! use std::time::{Duration, SystemTime};
//!
//! let limiter = RateLimiter::per_second(10);
//! let response = [("content-type", "text/plain"), ("RateLimit", r#""api";r=0;t=42"#)];
//! # let now = SystemTime::UNIX_EPOCH;
//! if let Some(pause) = http::pause(response, now) {
//!     limiter.penalize(pause); // 42 s
//! }
//! # assert_eq!(http::pause(response, now), Some(Duration::from_secs(42)));
//! ```
//!
//! If a 429 has no readable pause, back off, and perhaps lower the rate with
//! [`set_rate`](crate::RateLimiter::set_rate) for a while. The front page of [`evenkeel_retry_after`] lists the other
//! responses that ask for a pause.
//!
//! The fields `RateLimit` and `RateLimit-Policy` follow draft-ietf-httpapi-ratelimit-headers-11, `Retry-After` follows
//! RFC 9110, section 10.2.3. No field that begins with `X-` is standard.

use std::time::{Duration, SystemTime};

use crate::{error::Denied, snapshot::Snapshot};

/// The name and the value of a header.
type Header = (&'static str, String);

/// Returns the fields `RateLimit-Policy` and `RateLimit`; `None` if there is no limit.
///
/// The policy is the rate, as a quota `q` for a window of `w` whole seconds: the time of the rate, rounded up, with the
/// permits that fit into it. The state is `r`, the available permits, and `t`, the seconds until the bucket is full, rounded
/// up. Characters of the name other than printable ASCII become question marks. A number of more than fifteen digits, which
/// no header can have, becomes the largest one of fifteen.
#[must_use]
pub fn headers(name: &str, snapshot: &Snapshot) -> Option<[Header; 2]> {
    let (quota, window) = policy(snapshot)?;
    let printable = name.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' });
    let name = printable.collect::<String>().replace('\\', "\\\\").replace('"', "\\\"");
    let policy = format!("\"{name}\";q={quota};w={window}");
    let state = format!("\"{name}\";r={};t={}", snapshot.available, whole_seconds(snapshot.full_in));
    Some([("ratelimit-policy", policy), ("ratelimit", state)])
}

/// Returns the older fields `X-RateLimit-Limit`, `-Remaining` and `-Reset`, the last in seconds from now; `None` if there
/// is no limit.
///
/// # Examples
///
/// ```
/// use evenkeel_limit::{RateLimiter, http};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), evenkeel_limit::Denied> {
/// let limiter = RateLimiter::per_second(10).burst(40);
/// limiter.try_acquire_many(25)?;
/// let values = http::legacy_headers(&limiter.snapshot()).unwrap().map(|(_, value)| value);
/// assert_eq!(values, ["10", "15", "3"]);
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn legacy_headers(snapshot: &Snapshot) -> Option<[Header; 3]> {
    let (quota, _) = policy(snapshot)?;
    Some([
        ("x-ratelimit-limit", quota.to_string()),
        ("x-ratelimit-remaining", snapshot.available.to_string()),
        ("x-ratelimit-reset", whole_seconds(snapshot.full_in).to_string()),
    ])
}

/// Returns the field `Retry-After` in seconds, rounded up so that an obedient client is not too early; `None` if trying
/// again makes no sense.
#[must_use]
pub fn retry_after(denied: &Denied) -> Option<Header> {
    denied.retry_after.map(|wait| ("retry-after", whole_seconds(wait).to_string()))
}

/// Returns the pause that the headers of a response ask for, for [`penalize`](crate::RateLimiter::penalize); `None` if they
/// ask for none, or for more than a day.
///
/// `Retry-After` and its relatives come first. If they are missing or unreadable, the pause is the time until an exhausted
/// limit is reset: by `RateLimit` in its present form and that of earlier drafts, or by fields such as
/// `X-RateLimit-Remaining` and `-Reset`, each scope with its own; the longest of several. [`evenkeel_retry_after`] lists all
/// forms of numbers, spans and dates; evenkeel-retry's `http::retry_after` reads the same. Unreadable values are ignored.
///
/// `headers` are all headers of the response, as a `&http::HeaderMap` has them. The clock is an argument because only the
/// wall clock can be compared with a date; if the response has a `Date`, that is the clock.
///
/// # Examples
///
/// ```
/// use evenkeel_limit::http::pause;
/// use std::time::{Duration, SystemTime};
///
/// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
/// assert_eq!(pause([("retry-after", "120")], now), Some(Duration::from_secs(120)));
/// assert_eq!(pause([("ratelimit", r#""day";r=7;t=9000, "minute";r=0;t=12"#)], now), Some(Duration::from_secs(12)));
/// let github = [("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "1700000060")];
/// assert_eq!(pause(github, now), Some(Duration::from_secs(60)));
/// assert_eq!(pause([("X-RateLimit-Remaining", "1"), ("X-RateLimit-Reset", "60")], now), None);
/// ```
#[must_use]
pub fn pause<N: AsRef<str>, V: AsRef<[u8]>>(
    headers: impl IntoIterator<Item = (N, V)>,
    now: SystemTime,
) -> Option<Duration> {
    evenkeel_retry_after::retry_after(headers, now)
}

/// Does the same as [`pause`] with a bound of `longest` instead of a day: a longer pause counts as none.
#[must_use]
pub fn pause_within<N: AsRef<str>, V: AsRef<[u8]>>(
    headers: impl IntoIterator<Item = (N, V)>,
    now: SystemTime,
    longest: Duration,
) -> Option<Duration> {
    evenkeel_retry_after::retry_after_within(headers, now, longest)
}

/// Returns the rate as permits in a number of whole seconds.
fn policy(snapshot: &Snapshot) -> Option<(u64, u64)> {
    let rate = snapshot.rate?;
    let window = rate.nanos().div_ceil(SECOND);
    let quota =
        u128::from(rate.permits()) * u128::from(window) * u128::from(SECOND) / u128::from(rate.nanos());
    Some((quota.min(LARGEST) as u64, window))
}

const SECOND: u64 = 1_000_000_000;
/// The largest integer that a header can have, by RFC 9651, section 3.3.1.
const LARGEST: u128 = 999_999_999_999_999;

fn whole_seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add((time.subsec_nanos() > 0).into())
}
