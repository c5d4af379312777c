//! Timers of tokio that take any instant, and that a busy task notices.

use std::{
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    task::coop::unconstrained,
    time::{self, Instant, Sleep},
};

/// A wait that ends no program: tokio's timers panic at the end of what an `Instant` can express.
const THIRTY_YEARS: Duration = Duration::from_secs(30 * 365 * 86_400);

/// Returns the instant 30 years after `now`, in place of one that `Instant` or a timer cannot express.
#[inline]
#[must_use]
pub fn far_future(now: Instant) -> Instant {
    now + THIRTY_YEARS
}

/// Returns a timer that fires at `at`, or in 30 years if that is earlier.
#[inline]
pub fn sleep_until(at: Instant) -> Sleep {
    time::sleep_until(at.min(far_future(Instant::now())))
}

/// Polls a timer outside the cooperative budget of the tokio task.
///
/// An operation that always has work uses the budget up in each poll, and the timer would never be seen to have fired.
#[inline]
pub fn poll_timer(timer: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
    pin!(unconstrained(timer)).poll(cx)
}
