//! How do I test code that waits? In a `World`: an hour takes microseconds, and times are exact.

use std::{cell::Cell, io, time::Duration};

use evenkeel_retry::{Backoff, Jitter, Policy};
use evenkeel_testkit::{World, assert_took};

static POLICY: Policy = Policy::new(
    Backoff::exponential(Duration::from_secs(60), Duration::from_secs(3600)).jitter(Jitter::None),
)
.max_attempts(4);

#[test]
fn three_retries_take_seven_minutes() {
    let drawn = World::timeline(async |_| {
        let calls = Cell::new(0);
        let call = POLICY.run(|| {
            calls.set(calls.get() + 1);
            std::future::ready(if calls.get() < 4 { Err(io::Error::other("busy")) } else { Ok("done") })
        });
        // One minute, two, and four.
        let answer = assert_took!(call, Duration::from_secs(7 * 60));
        assert_eq!(answer.unwrap(), "done");
    });
    crate::output::assert_is_drawn("h01_virtual_time", drawn.titled("Test in virtual time"));
}
