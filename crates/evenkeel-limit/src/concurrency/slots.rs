//! The weight in use and the wait queue of a concurrency limit, behind one lock.
//!
//! # How it works
//!
//! A request takes its weight at once if it fits and no other waits. Else it joins the queue, and `serve` grants from the
//! front whenever something changes: a permit goes back, the limit changes, a waiter leaves. So a heavy request at the front
//! is never overtaken. A second queue holds the futures that wait until nothing is in use.
//!
//! The weight of a waiter counts as in use from the grant on, before the waiter observes it. A waiter that is dropped in
//! between returns it (`leave`).
//!
//! Invariants:
//! - Nothing that fits waits: every change ends with `serve`.
//! - No foreign code runs under the lock. Wakers to be woken are collected in a `WakeList`, which is declared before the
//!   guard and so wakes after it is dropped; other wakers are returned to the caller.
//!
//! Race: a waker is cloned before the lock is taken again, so the request may be decided in between. Each function that
//! stores a clone looks at the decision again first.

use std::{
    mem,
    sync::Mutex,
    task::{Poll, Waker},
};

use evenkeel_base::{WakeList, lock};

use super::{
    adaptive::{Adaptive, Sample},
    snapshot::ConcurrencySnapshot,
};
use crate::{
    error::{Denied, Reason},
    sync::{
        entry::Stage,
        wait_queue::{Key, WaitQueue, Waiter},
    },
    telemetry::{self, Kind},
};

/// The data that all users of a limiter share.
#[derive(Debug)]
pub(super) struct Slots {
    pub(super) max_waiters: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: u32,
    in_use: u64,
    queue: WaitQueue<()>,
    /// The futures that wait until nothing is in use.
    drained: WaitQueue<()>,
    adaptive: Option<Adaptive>,
    closed: bool,
    granted: u64,
    refused: u64,
}

/// The data of a new permit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant {
    /// The weight that the permit uses.
    pub(super) weight: u32,
    /// The total weight in use, if the limit adapts.
    pub(super) measured: Option<u64>,
}

impl Slots {
    pub(super) const fn new(limit: u32, adaptive: Option<Adaptive>) -> Self {
        Self {
            max_waiters: usize::MAX,
            state: Mutex::new(State {
                limit,
                in_use: 0,
                queue: WaitQueue::new(),
                drained: WaitQueue::new(),
                adaptive,
                closed: false,
                granted: 0,
                refused: 0,
            }),
        }
    }

    pub(super) fn try_acquire(&self, weight: u32) -> Result<Grant, Denied> {
        let mut state = lock(&self.state);
        let taken = state.take(weight).inspect_err(|_| state.refused += 1);
        drop(state);
        taken.inspect_err(|denied| telemetry::refused(Kind::Concurrency, denied))
    }

    /// Takes a permit, or joins the queue and sets the stage.
    #[inline]
    pub(super) fn enter(&self, weight: u32, waker: &Waker, stage: &mut Stage) -> Poll<Result<Grant, Denied>> {
        let taken = lock(&self.state).take(weight);
        match taken {
            Ok(grant) => Poll::Ready(Ok(grant)),
            Err(_) => self.enqueue(weight, waker, stage),
        }
    }

    /// Slow path of `enter`: the request probably has to wait, so the waker is cloned before the lock is taken again.
    #[inline(never)]
    fn enqueue(&self, weight: u32, waker: &Waker, stage: &mut Stage) -> Poll<Result<Grant, Denied>> {
        // A clone that is not stored is dropped here, after the lock is released.
        let mut waker = waker.clone();
        let poll = lock(&self.state).enqueue(weight, self.max_waiters, &mut waker, stage);
        match &poll {
            Poll::Pending => telemetry::waits(Kind::Concurrency),
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(denied)) => telemetry::refused(Kind::Concurrency, denied),
        }
        poll
    }

    /// Returns the decision about a waiter, which frees the key and ends the stage; or has it woken by this waker.
    pub(super) fn poll(&self, key: Key, waker: &Waker, stage: &mut Stage) -> Poll<Result<Grant, Denied>> {
        let decided = lock(&self.state).decided_or_waker(key, waker, stage);
        let decided = match decided {
            Ok(decided) => decided,
            Err(true) => return Poll::Pending,
            Err(false) => {
                // The guard of the lock is dropped before the waker that is not stored.
                let mut waker = waker.clone();
                let mut state = lock(&self.state);
                let Some(decided) = state.decided(key, stage) else {
                    mem::swap(&mut state.queue.waiter_mut(key).waker, &mut waker);
                    return Poll::Pending;
                };
                decided
            }
        };
        if let Err(denied) = &decided {
            telemetry::refused(Kind::Concurrency, denied);
        }
        Poll::Ready(decided)
    }

    /// Removes a waiter, and takes back its grant; `is_late` if its deadline has passed.
    pub(super) fn leave(&self, key: Key, is_late: bool) {
        drop(self.with(|state, wakes| {
            state.refused += u64::from(is_late);
            let waiter = match state.queue.claim(key) {
                Some(decision) => {
                    state.in_use -= u64::from(decision.unwrap_or(0));
                    None
                }
                None => Some(state.queue.cancel(key)),
            };
            state.serve(wakes);
            waiter
        }));
        if is_late {
            telemetry::refused(Kind::Concurrency, &Denied::without_time(Reason::Deadline));
        }
    }

    pub(super) fn release(&self, weight: u32, sample: Option<Sample>) {
        self.with(|state, wakes| {
            state.in_use -= u64::from(weight);
            if let (Some(adaptive), Some(sample)) = (&mut state.adaptive, sample) {
                state.limit = adaptive.update(sample);
            }
            state.serve(wakes);
        });
    }

    pub(super) fn set_limit(&self, limit: u32) {
        self.with(|state, wakes| {
            state.limit = match &mut state.adaptive {
                Some(adaptive) => adaptive.set(limit),
                None => limit,
            };
            let ceiling = state.ceiling();
            let verdict = |_, waiter: &Waiter<()>| {
                if waiter.permits > ceiling { Err(Denied::NEVER_FITS) } else { Ok(()) }
            };
            state.queue.deny(verdict, |waiter| wakes.push(waiter.waker));
            state.serve(wakes);
        });
    }

    pub(super) fn close(&self) {
        self.with(|state, wakes| {
            state.closed = true;
            state.queue.deny(|_, _| Err(Denied::CLOSED), |waiter| wakes.push(waiter.waker));
            state.serve(wakes);
        });
    }

    /// Waits until nothing is in use and the queue is empty.
    pub(super) fn poll_drained(&self, key: &mut Option<Key>, waker: &Waker) -> Poll<()> {
        let has_waker = lock(&self.state).has_drained_waker(*key, waker);
        match has_waker {
            Some(true) => return Poll::Pending,
            // The waker is cloned without the lock; the end may come meanwhile.
            Some(false) => {
                let mut waker = waker.clone();
                lock(&self.state).enter_drained(key, &mut waker);
            }
            None => *key = None,
        }
        if key.is_some() { Poll::Pending } else { Poll::Ready(()) }
    }

    pub(super) fn leave_drained(&self, key: Key) {
        let mut state = lock(&self.state);
        let waiter = state.drained.claim(key).is_none().then(|| state.drained.cancel(key));
        // The lock is released before the waker of the waiter is dropped.
        drop(state);
        drop(waiter);
    }

    pub(super) fn snapshot(&self) -> ConcurrencySnapshot {
        let state = lock(&self.state);
        ConcurrencySnapshot {
            limit: state.limit,
            in_use: state.in_use,
            waiting: state.queue.len(),
            granted: state.granted,
            refused: state.refused,
            closed: state.closed,
        }
    }

    /// Makes a change that may grant or deny waiters, and wakes them after the lock is released.
    fn with<R>(&self, change: impl FnOnce(&mut State, &mut WakeList) -> R) -> R {
        // Dropped in reverse order: the guard of the lock first.
        let mut wakes = WakeList::new();
        let mut state = lock(&self.state);
        change(&mut state, &mut wakes)
    }
}

impl State {
    /// The heaviest weight that can ever run.
    fn ceiling(&self) -> u32 {
        self.adaptive.as_ref().map_or(self.limit, Adaptive::ceiling)
    }

    fn is_idle(&self) -> bool {
        self.in_use == 0 && self.queue.is_empty()
    }

    /// The weight that a request for `weight` uses now, if it fits. A weight above an adaptive limit's current value counts
    /// as the whole limit, and so runs alone.
    fn fitting(&self, weight: u32) -> Option<u32> {
        let weight = weight.min(self.limit);
        (self.in_use + u64::from(weight) <= u64::from(self.limit)).then_some(weight)
    }

    fn take(&mut self, weight: u32) -> Result<Grant, Denied> {
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
    fn enqueue(
        &mut self,
        weight: u32,
        max_waiters: usize,
        waker: &mut Waker,
        stage: &mut Stage,
    ) -> Poll<Result<Grant, Denied>> {
        let denied = match self.take(weight) {
            Ok(grant) => return Poll::Ready(Ok(grant)),
            Err(denied) if denied.reason != Reason::Busy => denied,
            Err(_) if self.queue.len() >= max_waiters => Denied::without_time(Reason::QueueFull),
            Err(_) => {
                *stage = Stage::Queued(self.queue.push(waiter(weight, waker)));
                return Poll::Pending;
            }
        };
        self.refused += 1;
        Poll::Ready(Err(denied))
    }

    /// Claims the decision about a waiter; without one, returns whether its waker is the same as this.
    fn decided_or_waker(
        &mut self,
        key: Key,
        waker: &Waker,
        stage: &mut Stage,
    ) -> Result<Result<Grant, Denied>, bool> {
        self.decided(key, stage).ok_or_else(|| self.queue.waiter(key).waker.will_wake(waker))
    }

    /// Claims the decision about a waiter, and ends its stage.
    fn decided(&mut self, key: Key, stage: &mut Stage) -> Option<Result<Grant, Denied>> {
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
    fn has_drained_waker(&mut self, key: Option<Key>, waker: &Waker) -> Option<bool> {
        match key {
            Some(queued) if self.drained.claim(queued).is_some() => None,
            Some(queued) => Some(self.drained.waiter(queued).waker.will_wake(waker)),
            None => (!self.is_idle()).then_some(false),
        }
    }

    /// Stores the waker for the end, unless the end has come. Leaves the waker that is not needed in its place, for the
    /// caller to drop.
    fn enter_drained(&mut self, key: &mut Option<Key>, waker: &mut Waker) {
        match *key {
            Some(queued) if self.drained.claim(queued).is_some() => *key = None,
            Some(queued) => mem::swap(&mut self.drained.waiter_mut(queued).waker, waker),
            None if self.is_idle() => {}
            None => *key = Some(self.drained.push(waiter(0, waker))),
        }
    }

    fn grant(&mut self, weight: u32) -> Grant {
        self.granted += 1;
        Grant { weight, measured: self.adaptive.as_ref().map(|_| self.in_use) }
    }

    /// Grants waiters in order as long as the first one fits.
    #[inline]
    fn serve(&mut self, wakes: &mut WakeList) {
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
fn waiter(permits: u32, waker: &mut Waker) -> Waiter<()> {
    Waiter { permits, waker: mem::replace(waker, Waker::noop().clone()), meta: () }
}
