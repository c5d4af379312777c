//! The size of a call in flight: bytes of the future, counted.

use std::time::Duration;

use backon::Retryable as _;
use evenkeel_retry::Policy;

use crate::Refused;

async fn holds_a_sleep() -> Result<u32, Refused> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(1)
}

#[test]
fn a_call_is_smaller_than_backons() {
    let policy = Policy::fixed(Duration::from_secs(1));
    let operation = size_of_val(&holds_a_sleep());
    let ours = size_of_val(&policy.run(holds_a_sleep));
    let theirs = size_of_val(&holds_a_sleep.retry(backon::ExponentialBuilder::default()));
    // With a time limit, too: its timer is boxed when an attempt is first pending.
    assert!(ours * 4 <= theirs * 3, "{ours} bytes, and backon's {theirs}");
    assert!(ours <= operation + 40, "{ours} bytes around {operation}");
    let driven = size_of_val(&policy.start());
    assert!(driven <= 32, "{driven} bytes for a loop");
}
