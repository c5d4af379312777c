//! The time in which the store does not answer.

use std::{error, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::store::BoxError;
use crate::{limiter::RateLimiter, rate::Rate};

/// How long a store that has failed is left alone: at first, and at most.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];

/// The time since the first of the calls that failed.
#[derive(Debug)]
pub(super) struct Outage {
    pub(super) cause: Arc<dyn error::Error + Send + Sync>,
    /// The next call, and how long it was to wait for that.
    pub(super) until: Instant,
    pause: Duration,
    /// What this process goes by meanwhile.
    pub(super) share: Option<Arc<RateLimiter>>,
}

impl Outage {
    pub(super) fn new(cause: BoxError, share: Option<RateLimiter>) -> Self {
        let pause = PAUSES[0];
        Self { cause: cause.into(), until: Instant::now() + pause, pause, share: share.map(Arc::new) }
    }

    /// Another call has failed.
    pub(super) fn goes_on(self, cause: BoxError) -> Self {
        let pause = (self.pause * 2).min(PAUSES[1]);
        Self { cause: cause.into(), until: Instant::now() + pause, pause, ..self }
    }
}

/// The part of one process: empty at first, so that an outage grants no burst.
pub(super) fn share(rate: Rate, burst: u32, processes: u32) -> RateLimiter {
    let time = Duration::from_nanos(rate.nanos().saturating_mul(processes.into()));
    let limiter = RateLimiter::new(Rate::per(rate.permits(), time));
    limiter.burst((burst / processes).max(1)).start_empty().oversize_as_debt()
}
