//! A stage: its limit, its timeout and its numbers.

use std::{
    future::poll_fn,
    mem,
    pin::pin,
    sync::{
        Mutex,
        atomic::{
            AtomicU64, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    task::Poll,
    time::Duration,
};

use evenkeel_base::lock;
use evenkeel_limit::{ConcurrencyLimiter, Permit};
use tokio::time::Instant;

use crate::{
    edges::{CallPlace, StageEdges},
    token::LeaseHolder,
};

pub(crate) struct Stage {
    pub(crate) name: Box<str>,
    limiter: ConcurrencyLimiter,
    /// The futures that wait for the limit.
    queued: AtomicUsize,
    /// In nanoseconds; 0 for none.
    timeout: AtomicU64,
    failed: AtomicU64,
    /// The turns that ended in no result: failed, or dropped.
    fruitless: AtomicU64,
    waiting: AtomicU64,
    working: AtomicU64,
    last_failure: Mutex<Option<String>>,
    pub(crate) edges: StageEdges,
}

/// The right to run in a stage; unless it is [done](Turn::done), it counts as one without a result.
///
/// It stands for a permit of the limiter, and is smaller: each item moves it about in each stage.
pub(crate) struct Turn<'a> {
    stage: &'a Stage,
}

impl<'a> Turn<'a> {
    #[inline]
    fn new(stage: &'a Stage, permit: Permit<'a>) -> Self {
        // It is borrowed, and owns nothing but its weight.
        mem::forget(permit);
        Self { stage }
    }

    /// Returns whether its end may wake an item that waits for the limit.
    #[inline]
    pub(crate) fn is_awaited(&self) -> bool {
        self.stage.queued.load(Relaxed) > 0
    }

    #[inline]
    pub(crate) fn done(self) {
        self.stage.limiter.put_back(1);
        mem::forget(self);
    }
}

impl Drop for Turn<'_> {
    #[cold]
    fn drop(&mut self) {
        self.stage.fruitless.fetch_add(1, Relaxed);
        self.stage.limiter.put_back(1);
    }
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
    /// `kind` is the kind of stage, in words.
    pub(crate) fn new(name: &str, call: CallPlace, kind: &'static str) -> Self {
        let limiter = ConcurrencyLimiter::new(u32::MAX);
        // The stage describes itself.
        #[cfg(feature = "inspect")]
        let limiter = limiter.unlisted();
        Self {
            name: name.into(),
            limiter,
            queued: AtomicUsize::new(0),
            timeout: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            fruitless: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            working: AtomicU64::new(0),
            last_failure: Mutex::new(None),
            edges: StageEdges::new(call, kind),
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

    /// Takes a turn if nobody waits for one and the limit is not reached.
    #[inline]
    pub(crate) fn try_enter(&self) -> Option<Turn<'_>> {
        // While others wait, it would be refused.
        if self.queued.load(Relaxed) > 0 {
            return None;
        }
        Some(Turn::new(self, self.limiter.try_acquire().ok()?))
    }

    /// Waits for a turn, first come, first served; returns `None` when the leases are lost.
    pub(crate) async fn wait(&self, mut leases: impl LeaseHolder) -> Option<Turn<'_>> {
        let start = Instant::now();
        self.queued.fetch_add(1, Relaxed);
        self.edges.begin_wait(start);
        let _waiting = Waiting { stage: self, start };
        let mut permit = pin!(self.limiter.acquire());
        let mut is_watched = false;
        poll_fn(|cx| {
            // Only behind the watch, a lease that is lost wakes this.
            if !mem::replace(&mut is_watched, true) {
                leases.watch(cx);
            }
            if leases.is_lost() {
                return Poll::Ready(None);
            }
            // It fails only for a limiter that is closed, which this one never is.
            permit.as_mut().poll(cx).map(|permit| permit.ok().map(|permit| Turn::new(self, permit)))
        })
        .await
    }

    pub(crate) fn worked(&self, time: Duration) {
        self.working.fetch_add(nanos(time), Relaxed);
    }

    /// Counts a failure; returns its reason, with the name of the stage.
    pub(crate) fn failed(&self, problem: &str) -> String {
        let reason = format!("stage `{}`: {problem}", self.name);
        self.failed.fetch_add(1, Relaxed);
        *lock(&self.last_failure) = Some(reason.clone());
        reason
    }

    /// Describes the items that wait for the limit.
    #[cfg(feature = "inspect")]
    pub(crate) fn waiters(&self, now: Instant) -> Vec<evenkeel_inspect::WaiterEdge> {
        let mut waiters = self.limiter.waiters(now);
        waiters.iter_mut().for_each(|waiter| waiter.place = self.edges.call.0);
        waiters
    }

    pub(crate) fn snapshot(&self) -> StageSnapshot {
        let limiter = self.limiter.snapshot();
        StageSnapshot {
            name: self.name.to_string(),
            limit: limiter.limit,
            in_flight: limiter.in_use,
            queued: limiter.waiting,
            done: (limiter.granted - limiter.in_use).saturating_sub(self.fruitless.load(Relaxed)),
            failed: self.failed.load(Relaxed),
            waiting: Duration::from_nanos(self.waiting.load(Relaxed)),
            working: Duration::from_nanos(self.working.load(Relaxed)),
            last_failure: lock(&self.last_failure).clone(),
        }
    }
}

/// A future that waits for the limit.
struct Waiting<'a> {
    stage: &'a Stage,
    start: Instant,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.stage.queued.fetch_sub(1, Relaxed);
        self.stage.edges.end_wait();
        self.stage.waiting.fetch_add(nanos(self.start.elapsed()), Relaxed);
    }
}
