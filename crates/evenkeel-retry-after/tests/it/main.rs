//! Tests of evenkeel-retry-after, through the functions of the three crates that have it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod forms;
mod promises;

use std::time::{Duration, SystemTime};

/// The time in all rows.
const NOW: u64 = 1_700_000_000;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}
