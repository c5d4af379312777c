//! Timers of groups.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep};

/// As far away as makes no difference: tokio's timers panic at the end of what an `Instant` can express.
const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);

pub(crate) fn sleep_until(at: Instant) -> Sleep {
    tokio::time::sleep_until(at.min(Instant::now() + FAR))
}

/// Polls a timer without regard to the budget of tokio's task: what is polled before it and never short of work uses
/// that up each time, and the time would not be seen to be over.
pub(crate) fn poll_timer(timer: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
    pin!(unconstrained(timer)).poll(cx)
}
