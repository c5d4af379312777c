//! Short names for durations.

use std::time::Duration;

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// The longest time that a rule waits for an implementation.
pub(crate) const WEEK: Duration = secs(7 * 24 * 60 * 60);
