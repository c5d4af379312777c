//! HTTP servers, sockets and the scheduler, in real time.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod http;
mod sockets;
mod starvation;

use std::time::Duration;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
