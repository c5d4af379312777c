//! The time in which the store does not answer.

use std::{error, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::store::BoxError;
use crate::{bucket::Bucket, rate::Rate};

/// How long a store that has failed is left alone: at first, and at most.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];

/// What a call ended with that failed.
pub(super) type Cause = Arc<dyn error::Error + Send + Sync>;

/// The time since the first of the calls that failed.
#[derive(Debug)]
pub(super) struct Outage {
    pub(super) cause: Cause,
    since: Instant,
    /// The next call, and how long it was to wait for that.
    pub(super) until: Instant,
    pause: Duration,
    /// What this process goes by meanwhile.
    share: Option<Bucket>,
}

impl Outage {
    pub(super) fn new(cause: BoxError, share: Option<Bucket>) -> Self {
        let (since, pause) = (Instant::now(), PAUSES[0]);
        Self { cause: cause.into(), since, until: since + pause, pause, share }
    }

    /// Another call has failed.
    pub(super) fn goes_on(self, cause: BoxError) -> Self {
        let pause = (self.pause * 2).min(PAUSES[1]);
        Self { cause: cause.into(), until: Instant::now() + pause, pause, ..self }
    }

    pub(super) fn lasted(&self) -> Duration {
        self.since.elapsed()
    }

    /// The share, as of now.
    pub(super) fn share(&mut self) -> Option<&mut Bucket> {
        let share = self.share.as_mut()?;
        share.advance(Instant::now());
        Some(share)
    }
}

/// The part of one process: empty at first, so that an outage grants no burst.
pub(super) fn share(rate: Rate, burst: u32, processes: u32) -> Bucket {
    let time = Duration::from_nanos(rate.nanos().saturating_mul(processes.into()));
    let burst = (burst / processes).max(1);
    let mut share = Bucket::full(Rate::per(rate.permits(), time), burst, Instant::now());
    share.spend(burst);
    share
}
