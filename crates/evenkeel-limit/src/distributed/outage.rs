//! The time in which the store does not answer.

use std::{error, mem, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{algorithm::bucket::Bucket, rate::Rate};

/// How long a store that has failed is left alone: at first, and at most.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];

/// What a call ended with that failed.
pub(super) type Cause = Arc<dyn error::Error + Send + Sync>;

/// The time since the first of the calls that failed.
#[derive(Debug)]
pub(super) struct Outage {
    pub(super) cause: Cause,
    /// Whether it is told under every policy, since it does not pass by itself.
    pub(super) misconfigured: bool,
    since: Instant,
    /// The next call, and how long it was to wait for that.
    pub(super) until: Instant,
    pause: Duration,
    /// What this process goes by meanwhile.
    share: Option<Bucket>,
}

impl Outage {
    pub(super) fn new(cause: Cause, misconfigured: bool) -> Self {
        let (since, pause) = (Instant::now(), PAUSES[0]);
        Self { cause, misconfigured, since, until: since + pause, pause, share: None }
    }

    /// Another call has failed; returns the cause before.
    pub(super) fn continue_with(&mut self, cause: Cause, misconfigured: bool) -> Cause {
        self.pause = (self.pause * 2).min(PAUSES[1]);
        self.until = Instant::now() + self.pause;
        self.misconfigured = misconfigured;
        mem::replace(&mut self.cause, cause)
    }

    /// Sets what this process goes by, unless it has it already.
    pub(super) fn set_share(&mut self, share: Option<impl FnOnce() -> Bucket>) {
        self.share = share.map(|share| self.share.take().unwrap_or_else(share));
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
