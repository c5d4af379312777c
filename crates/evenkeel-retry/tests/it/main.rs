//! Tests of evenkeel-retry, all in virtual time.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attempts;
mod backoff;
mod boxed;
mod budget;
mod cancel;
mod deadline;
mod fleet;
mod hedge;
#[cfg(feature = "http")]
mod http;
mod limits;
mod migration;
mod nested;
mod panics;
mod reset_after;
mod retry;
#[cfg(feature = "serde")]
mod serde;
mod size;
#[cfg(any(feature = "metrics", feature = "tracing"))]
mod telemetry;
#[cfg(feature = "tower")]
mod tower;

use std::{cell::RefCell, fmt, time::Duration};

use evenkeel_retry::{Backoff, Jitter, Policy};
use tokio::time::Instant;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Delays of exactly 100, 200, 400, ... ms.
const fn doubling() -> Policy {
    Policy::new(Backoff::exponential(ms(100), ms(10_000)).jitter(Jitter::None))
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Refused(u32);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused {}", self.0)
    }
}

impl std::error::Error for Refused {}

/// An operation that notes when it is called, and fails the first `failures` times.
struct Flaky {
    start: Instant,
    failures: u32,
    calls: RefCell<Vec<Duration>>,
}

impl Flaky {
    fn failing(failures: u32) -> Self {
        Self { start: Instant::now(), failures, calls: RefCell::default() }
    }

    async fn call(&self) -> Result<u32, Refused> {
        let number = self.note();
        if number <= self.failures { Err(Refused(number)) } else { Ok(number) }
    }

    fn note(&self) -> u32 {
        let mut calls = self.calls.borrow_mut();
        calls.push(self.start.elapsed());
        u32::try_from(calls.len()).unwrap()
    }

    /// When it was called, in milliseconds.
    fn times(&self) -> Vec<u128> {
        self.calls.borrow().iter().map(Duration::as_millis).collect()
    }
}
