//! tokio's clock, for peers that take one.

use std::time::Duration;

use governor::{
    clock::{self, ReasonablyRealtime},
    nanos::Nanos,
};
use tokio::time::Instant;

/// The time since it was made.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokioClock(Instant);

impl TokioClock {
    pub(super) fn new() -> Self {
        Self(Instant::now())
    }
}

impl clock::Clock for TokioClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.elapsed().into()
    }
}

/// Not while it is paused; but governor waits in real time then with any clock, its own included.
impl ReasonablyRealtime for TokioClock {}

impl ratelimit::Clock for TokioClock {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
