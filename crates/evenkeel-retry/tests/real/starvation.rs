//! Time limits of operations that always have work.

use std::{cell::Cell, future::ready, time::Duration};

use evenkeel_retry::{Backoff, Policy};
use tokio::time::{Instant, timeout};

use crate::ms;

/// The timer of the time-out has to be looked at while the rounds go on, on a runtime of one thread.
#[tokio::test]
#[ignore = "real tier"]
async fn a_time_out_ends_any_number_of_rounds_without_delay() {
    let policy = Policy::new(Backoff::none()).max_attempts(u32::MAX);
    let (start, rounds) = (Instant::now(), Cell::new(0_u32));
    let call = policy.run(|| {
        rounds.set(rounds.get() + 1);
        ready(Err::<(), _>("busy"))
    });
    assert!(timeout(ms(10), call).await.is_err());
    assert!(start.elapsed() < Duration::from_secs(2), "{:?} and {} rounds", start.elapsed(), rounds.get());
    assert!(rounds.get() > 1, "it was at work");

    let million = policy.max_attempts(1_000_000);
    let call = million.run(|| ready(Err::<(), _>("busy")));
    let _ = timeout(ms(10), call).await;
    assert!(start.elapsed() < Duration::from_secs(4));
}
