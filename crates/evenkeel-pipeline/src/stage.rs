//! A stage: its limit, its timeout and its numbers.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Mutex,
        atomic::{
            AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
    task::Poll,
    time::Duration,
};

use evenkeel_base::lock;
use evenkeel_limit::{ConcurrencyLimiter, Permit};
use tokio::time::Instant;

/// One of so many first polls is timed, which spares the others two readings of the clock.
pub(crate) const SAMPLED: u64 = 32;

pub(crate) struct Stage {
    pub(crate) name: Box<str>,
    limiter: ConcurrencyLimiter,
    /// In nanoseconds; 0 for none.
    timeout: AtomicU64,
    begun: AtomicU64,
    done: AtomicU64,
    failed: AtomicU64,
    waiting: AtomicU64,
    working: AtomicU64,
    last_failure: Mutex<Option<String>>,
}

/// The numbers of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StageSnapshot {
    /// The name of the stage.
    pub name: String,
    /// The items, or batches, that may be in flight at once.
    pub limit: u32,
    /// The items, or batches, in flight.
    pub in_flight: u64,
    /// The items, or batches, that wait for the limit.
    pub queued: usize,
    /// The items, or batches, that were done.
    pub done: u64,
    /// The items, or batches, that failed.
    pub failed: u64,
    /// The time that those which have begun waited for the limit, in sum.
    pub waiting: Duration,
    /// The time that those which have ended were in flight, in sum. The time that a processor takes before the first await
    /// is measured for one of 32 and scaled; all else is measured.
    pub working: Duration,
    /// The reason of the last failure.
    pub last_failure: Option<String>,
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Stage {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            limiter: ConcurrencyLimiter::new(u32::MAX),
            timeout: AtomicU64::new(0),
            begun: AtomicU64::new(0),
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            working: AtomicU64::new(0),
            last_failure: Mutex::new(None),
        }
    }

    pub(crate) fn set_limit(&self, limit: u32) {
        self.limiter.set_limit(limit);
    }

    pub(crate) fn set_timeout(&self, timeout: Duration) {
        self.timeout.store(nanos(timeout), SeqCst);
    }

    pub(crate) fn timeout(&self) -> Option<Duration> {
        match self.timeout.load(Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    /// Waits for its turn, first come, first served.
    pub(crate) async fn enter(&self) -> Option<Permit<'_>> {
        let mut permit = pin!(self.limiter.acquire());
        if let Poll::Ready(permit) = poll_fn(|cx| Poll::Ready(permit.as_mut().poll(cx))).await {
            return permit.ok();
        }
        let start = Instant::now();
        let permit = permit.await;
        self.waiting.fetch_add(nanos(start.elapsed()), Relaxed);
        permit.ok()
    }

    /// Notes that work begins; returns whether its first poll is to be timed.
    pub(crate) fn begin(&self) -> bool {
        self.begun.fetch_add(1, Relaxed).is_multiple_of(SAMPLED)
    }

    pub(crate) fn worked(&self, time: Duration) {
        self.working.fetch_add(nanos(time), Relaxed);
    }

    pub(crate) fn succeeded(&self) {
        self.done.fetch_add(1, Relaxed);
    }

    /// Counts a failure; returns its reason, with the name of the stage.
    pub(crate) fn failed(&self, problem: &str) -> String {
        let reason = format!("stage `{}`: {problem}", self.name);
        self.failed.fetch_add(1, Relaxed);
        *lock(&self.last_failure) = Some(reason.clone());
        reason
    }

    pub(crate) fn snapshot(&self) -> StageSnapshot {
        let limiter = self.limiter.snapshot();
        StageSnapshot {
            name: self.name.to_string(),
            limit: limiter.limit,
            in_flight: limiter.in_use,
            queued: limiter.waiting,
            done: self.done.load(Relaxed),
            failed: self.failed.load(Relaxed),
            waiting: Duration::from_nanos(self.waiting.load(Relaxed)),
            working: Duration::from_nanos(self.working.load(Relaxed)),
            last_failure: lock(&self.last_failure).clone(),
        }
    }
}
