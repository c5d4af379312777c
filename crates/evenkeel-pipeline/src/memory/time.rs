//! Times that may be forever.

use std::time::Duration;

use evenkeel_base::far_future;
use tokio::time::Instant;

pub(super) fn after(now: Instant, time: Duration) -> Instant {
    now.checked_add(time).unwrap_or_else(|| far_future(now))
}
