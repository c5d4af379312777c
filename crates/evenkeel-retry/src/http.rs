//! Reads from an HTTP response whether another attempt is worth it, and how long to wait before it.
//!
//! The crate [`evenkeel_retry_after`] lists the headers and their forms; evenkeel-limit's `http::pause` reads the same.

use std::time::Duration;

#[doc(inline)]
pub use evenkeel_retry_after::{retry_after, retry_after_within};

use crate::Verdict;

/// Returns the verdict on the status of a response that is not a success; `wait` is what [`retry_after`] has read from its
/// headers.
///
/// | status | meaning | without `wait` | with it |
/// |---|---|---|---|
/// | 408, 425, 429 | too slow, too early, too many requests | retry | retry after it |
/// | 500, 502, 503, 504 | the server is in trouble, or not there | retry | retry after it |
/// | 520 to 524 | Cloudflare, for a server behind it | retry | retry after it |
/// | 529 | overloaded, as some services say | retry | retry after it |
/// | 403 | forbidden; by some services, GitHub for one, too many requests | permanent | retry after it |
/// | any other | the request is wrong, or not for this server | permanent | permanent |
///
/// It does not know whether the request may be repeated: after a 5xx it may have taken effect. See
/// [`Retry::at_most_once`](crate::Retry::at_most_once). A service with rules of its own has an arm of its own before this call.
///
/// # Examples
///
/// ```
/// use evenkeel_retry::{Verdict, http::{retry_after, verdict}};
/// use std::time::{Duration, SystemTime};
///
/// let wait = retry_after([("Retry-After", "7")], SystemTime::now());
/// assert_eq!(verdict(503, wait), Verdict::RetryAfter(Duration::from_secs(7)));
/// assert_eq!(verdict(503, None), Verdict::Retry);
/// assert_eq!(verdict(404, None), Verdict::Permanent);
/// ```
#[must_use]
pub const fn verdict(status: u16, wait: Option<Duration>) -> Verdict {
    match (status, wait) {
        (403 | 408 | 425 | 429 | 500 | 502..=504 | 520..=524 | 529, Some(wait)) => Verdict::RetryAfter(wait),
        (408 | 425 | 429 | 500 | 502..=504 | 520..=524 | 529, None) => Verdict::Retry,
        _ => Verdict::Permanent,
    }
}
