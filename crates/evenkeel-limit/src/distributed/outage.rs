//! The time in which the store fails, and the local limiter that serves meanwhile.

use std::{error, mem, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{algorithm::bucket::Bucket, rate::Rate};

/// The pause after the first failed call. Each further pause is twice as long.
const MIN_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// The error of a failed call.
pub(super) type Cause = Arc<dyn error::Error + Send + Sync>;

/// The time since the first of the last calls, all of which failed.
#[derive(Debug)]
pub(super) struct Outage {
    pub(super) cause: Cause,
    /// Whether every policy reports it: a mistake does not pass by itself.
    pub(super) misconfigured: bool,
    since: Instant,
    /// When the store is called again.
    pub(super) until: Instant,
    pause: Duration,
    /// The local share of this process, under `OnFailure::LocalShare`.
    pub(super) local_share: Option<Bucket>,
}

impl Outage {
    pub(super) fn new(cause: Cause, misconfigured: bool) -> Self {
        let since = Instant::now();
        Self { cause, misconfigured, since, until: since + MIN_PAUSE, pause: MIN_PAUSE, local_share: None }
    }

    /// Adds another failed call, and returns the previous cause.
    pub(super) fn continue_with(&mut self, cause: Cause, misconfigured: bool) -> Cause {
        self.pause = (self.pause * 2).min(MAX_PAUSE);
        self.until = Instant::now() + self.pause;
        self.misconfigured = misconfigured;
        mem::replace(&mut self.cause, cause)
    }

    /// Returns the time of the first failure, and that of the last one.
    #[cfg(feature = "inspect")]
    pub(super) fn failures(&self) -> (Instant, Instant) {
        (self.since, self.until - self.pause)
    }

    pub(super) fn lasted(&self) -> Duration {
        self.since.elapsed()
    }
}

/// Creates the share of one process: empty at first, so that an outage grants no burst.
pub(super) fn share(rate: Rate, burst: u32, processes: u32) -> Bucket {
    let time = Duration::from_nanos(rate.nanos().saturating_mul(processes.into()));
    let burst = (burst / processes).max(1);
    let mut share = Bucket::full(Rate::per(rate.permits(), time), burst, Instant::now());
    share.spend(burst);
    share
}
