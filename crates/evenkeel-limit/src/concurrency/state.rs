//! The state of a concurrency limiter: the data under its lock.
//!
//! # How it works
//!
//! Every call of the [core](super::core) takes over what happened on the fast path (`settle`), makes its change, grants
//! from the front of the queue (`serve`), and lends the permits to the fast path again if nobody waits (`open`).
//!
//! A request takes its weight at once if it fits and no other waits. Else it joins the queue. So a heavy request at the
//! front is never overtaken. A second queue holds the futures that wait until nothing is in use.
//!
//! The weight of a waiter counts as in use from the grant on, before the waiter observes it. A waiter that is dropped in
//! between returns it (`leave`).
//!
//! Invariants:
//! - Nothing that fits waits: every change ends with `serve`.
//! - `in_use` counts between `settle` and `open`; then the fast path has the permits, or those that came back since.
//! - No foreign code runs under the lock. Wakers to be woken are collected in a `WakeList`; other wakers are returned to
//!   the caller.
//! - The stage of a future changes under the lock, together with the queue: foreign code that runs later may panic.

use std::{
    mem,
    task::{Poll, Waker},
};

#[cfg(feature = "inspect")]
use evenkeel_base::Slab;
use evenkeel_base::WakeList;
#[cfg(feature = "inspect")]
use tokio::time::Instant;

#[cfg(feature = "inspect")]
use super::adaptive::{Sample, WorkResult};
use super::{
    adaptive::Adaptive,
    fast_path::{FastPath, Usage},
    snapshot::ConcurrencySnapshot,
};
use crate::{
    error::{Denied, Reason},
    sync::{
        edges::{CallPlace, WaitRecord},
        entry::Stage,
        wait_queue::{Key, WaitQueue, Waiter},
    },
};

#[derive(Debug)]
pub(super) struct State {
    pub(super) limit: u32,
    pub(super) in_use: u64,
    pub(super) queue: WaitQueue<WaitRecord>,
    /// The futures that wait until nothing is in use.
    pub(super) drained: WaitQueue<WaitRecord>,
    pub(super) adaptive: Option<Adaptive>,
    pub(super) closed: bool,
    granted: u64,
    pub(super) refused: u64,
    /// The permits of a limit that adapts: small ones, which know their keys.
    #[cfg(feature = "inspect")]
    measured: Slab<Measured>,
}

/// The data of a new permit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant {
    /// The weight that the permit uses.
    pub(super) weight: u32,
    /// The total weight in use, if the limit adapts.
    #[cfg(not(feature = "inspect"))]
    pub(super) measured: Option<u64>,
    /// The key of what was measured, if the limit adapts.
    #[cfg(feature = "inspect")]
    pub(super) measured: Option<usize>,
}

/// The begin of a permit of a limit that adapts, and the weight in use then.
#[cfg(feature = "inspect")]
#[derive(Debug)]
struct Measured {
    started: Instant,
    in_use: u64,
}

impl Grant {
    /// Returns the grant of a limit that does not adapt.
    #[inline]
    pub(super) fn new(weight: u32) -> Self {
        Self { weight, measured: None }
    }
}

impl State {
    pub(super) const fn new(limit: u32, adaptive: Option<Adaptive>) -> Self {
        Self {
            limit,
            in_use: 0,
            queue: WaitQueue::new(),
            drained: WaitQueue::new(),
            adaptive,
            closed: false,
            granted: 0,
            refused: 0,
            #[cfg(feature = "inspect")]
            measured: Slab::new(),
        }
    }

    pub(super) fn snapshot(&self) -> ConcurrencySnapshot {
        ConcurrencySnapshot {
            limit: self.limit,
            in_use: self.in_use,
            waiting: self.queue.len(),
            granted: self.granted,
            refused: self.refused,
            closed: self.closed,
        }
    }

    /// Takes over what happened without the lock.
    pub(super) fn settle(&mut self, fast_path: &FastPath) {
        match fast_path.close() {
            Usage::Open { available, granted } => {
                self.in_use = u64::from(self.limit - available);
                self.granted += granted;
            }
            Usage::Closed { returned } => self.in_use -= u64::from(returned),
        }
    }

    /// Lets requests pass without the lock, if nobody waits.
    pub(super) fn open(&mut self, fast_path: &FastPath) {
        let nobody_waits = self.queue.is_empty() && self.drained.is_empty();
        // More than the limit may be in use after it was lowered.
        let available = u64::from(self.limit).checked_sub(self.in_use);
        if let Some(available) = available.filter(|_| nobody_waits && !self.closed && self.adaptive.is_none())
        {
            fast_path.open(available as u32);
        }
    }

    /// The heaviest weight that can ever run.
    pub(super) fn ceiling(&self) -> u32 {
        self.adaptive.as_ref().map_or(self.limit, Adaptive::ceiling)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.in_use == 0 && self.queue.is_empty()
    }

    /// The weight that a request for `weight` uses now, if it fits. A weight above an adaptive limit's current value counts
    /// as the whole limit, and so runs alone.
    fn fitting(&self, weight: u32) -> Option<u32> {
        let weight = weight.min(self.limit);
        (self.in_use + u64::from(weight) <= u64::from(self.limit)).then_some(weight)
    }

    pub(super) fn take(&mut self, weight: u32) -> Result<Grant, Denied> {
        if self.closed {
            return Err(Denied::CLOSED);
        }
        if weight > self.ceiling() {
            return Err(Denied::NEVER_FITS);
        }
        let fitting = self.fitting(weight).filter(|_| self.queue.is_empty());
        let weight = fitting.ok_or(Denied::without_time(Reason::Busy))?;
        self.in_use += u64::from(weight);
        Ok(self.grant(weight))
    }

    /// Takes a permit, or pushes a waiter with this waker, which is replaced by another one, and sets the stage.
    pub(super) fn enqueue(
        &mut self,
        weight: u32,
        max_waiters: usize,
        waker: &mut Waker,
        stage: &mut Stage,
        call: CallPlace,
    ) -> Poll<Result<Grant, Denied>> {
        let denied = match self.take(weight) {
            Ok(grant) => return Poll::Ready(Ok(grant)),
            Err(denied) if denied.reason != Reason::Busy => denied,
            Err(_) if self.queue.len() >= max_waiters => Denied::without_time(Reason::QueueFull),
            Err(_) => {
                // The record is made here: what the fast path has granted was granted before the wait began.
                *stage = Stage::Queued(self.queue.push(waiter(weight, waker, WaitRecord::new(call))));
                return Poll::Pending;
            }
        };
        self.refused += 1;
        Poll::Ready(Err(denied))
    }

    /// Claims the decision about a waiter; without one, returns whether its waker is the same as this.
    pub(super) fn decided_or_waker(
        &mut self,
        key: Key,
        waker: &Waker,
        stage: &mut Stage,
    ) -> Result<Result<Grant, Denied>, bool> {
        self.decided(key, stage).ok_or_else(|| self.queue.waiter(key).waker.will_wake(waker))
    }

    /// Claims the decision about a waiter, and ends its stage.
    pub(super) fn decided(&mut self, key: Key, stage: &mut Stage) -> Option<Result<Grant, Denied>> {
        let decision = self.queue.claim(key)?;
        *stage = Stage::Done;
        Some(match decision {
            Ok(weight) => Ok(self.grant(weight)),
            Err(denied) => {
                self.refused += 1;
                Err(denied)
            }
        })
    }

    /// Whether this waker is stored for the end; `None` if the end has come.
    pub(super) fn has_drained_waker(&mut self, key: Option<Key>, waker: &Waker) -> Option<bool> {
        match key {
            Some(queued) if self.drained.claim(queued).is_some() => None,
            Some(queued) => Some(self.drained.waiter(queued).waker.will_wake(waker)),
            None => (!self.is_idle()).then_some(false),
        }
    }

    /// Stores the waker for the end, unless the end has come. Leaves the waker that is not needed in its place, for the
    /// caller to drop.
    pub(super) fn enter_drained(&mut self, key: &mut Option<Key>, waker: &mut Waker, call: CallPlace) {
        match *key {
            Some(queued) if self.drained.claim(queued).is_some() => *key = None,
            Some(queued) => {
                let waiter = self.drained.waiter_mut(queued);
                mem::swap(&mut waiter.waker, waker);
                waiter.meta.polled_here();
            }
            None if self.is_idle() => {}
            None => *key = Some(self.drained.push(waiter(0, waker, WaitRecord::new(call)))),
        }
    }

    fn grant(&mut self, weight: u32) -> Grant {
        self.granted += 1;
        Grant { weight, measured: self.measure() }
    }

    #[cfg(not(feature = "inspect"))]
    fn measure(&self) -> Option<u64> {
        self.adaptive.as_ref().map(|_| self.in_use)
    }

    #[cfg(feature = "inspect")]
    fn measure(&mut self) -> Option<usize> {
        self.adaptive.as_ref()?;
        Some(self.measured.insert(Measured { started: Instant::now(), in_use: self.in_use }))
    }

    /// Makes the sample of a permit that was measured, if its work had a result.
    #[cfg(feature = "inspect")]
    pub(super) fn take_measured(&mut self, key: usize, result: Option<WorkResult>) -> Option<Sample> {
        let Measured { started, in_use } = self.measured.remove(key)?;
        Some(Sample { result: result?, started, now: Instant::now(), in_use })
    }

    /// Grants waiters in order as long as the first one fits.
    #[inline]
    pub(super) fn serve(&mut self, wakes: &mut WakeList) {
        // Most calls find nobody, and should not pay for a call of the loops below.
        if !self.queue.is_empty() || !self.drained.is_empty() {
            self.serve_waiters(wakes);
        }
    }

    #[inline(never)]
    fn serve_waiters(&mut self, wakes: &mut WakeList) {
        while let Some(first) = self.queue.front()
            && let Some(weight) = self.fitting(first.permits)
        {
            self.in_use += u64::from(weight);
            if let Some(waiter) = self.queue.serve(weight) {
                wakes.push(waiter.waker);
            }
        }
        if self.is_idle() {
            while let Some(waiter) = self.drained.serve(0) {
                wakes.push(waiter.waker);
            }
        }
    }
}

/// Creates a waiter, and leaves a waker in place of its own that does nothing.
fn waiter<M>(permits: u32, waker: &mut Waker, meta: M) -> Waiter<M> {
    Waiter { permits, waker: mem::replace(waker, Waker::noop().clone()), meta }
}
