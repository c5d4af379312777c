//! What is in use, and who waits for it.

use std::{
    sync::{Mutex, PoisonError},
    task::{Poll, Waker},
};

use super::{
    adaptive::{Adaptive, Sample},
    snapshot::ConcurrencySnapshot,
};
use crate::{
    denied::{Denied, Reason},
    queue::{Key, Queue, Waiter},
    report::{self, Kind},
};

/// All that the users of one limit share.
#[derive(Debug)]
pub(super) struct Slots {
    pub(super) max_waiters: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: u32,
    in_use: u64,
    queue: Queue<()>,
    /// Those who wait until nothing is in use.
    drained: Queue<()>,
    adaptive: Option<Adaptive>,
    closed: bool,
    granted: u64,
    refused: u64,
}

/// What was granted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant {
    /// The weight that is in use by it.
    pub(super) weight: u32,
    /// All that is in use with it, if that is to be measured.
    pub(super) measured: Option<u64>,
}

impl Slots {
    pub(super) const fn new(limit: u32, adaptive: Option<Adaptive>) -> Self {
        Self {
            max_waiters: usize::MAX,
            state: Mutex::new(State {
                limit,
                in_use: 0,
                queue: Queue::new(),
                drained: Queue::new(),
                adaptive,
                closed: false,
                granted: 0,
                refused: 0,
            }),
        }
    }

    pub(super) fn try_acquire(&self, weight: u32) -> Result<Grant, Denied> {
        let taken = self.with(|state, _| state.take(weight).inspect_err(|_| state.refused += 1));
        taken.inspect_err(|denied| report::refused(Kind::Concurrency, denied))
    }

    /// Takes a permit now, or a place in the queue.
    pub(super) fn enter(&self, weight: u32, waker: &Waker) -> Result<Result<Grant, Key>, Denied> {
        let entered = self.with(|state, _| {
            let verdict = match state.take(weight) {
                Err(denied) if denied.reason != Reason::Busy => Err(denied),
                Err(_) if state.queue.len() >= self.max_waiters => {
                    Err(Denied::without_time(Reason::QueueFull))
                }
                Err(_) => {
                    Ok(Err(state.queue.push(Waiter { permits: weight, waker: waker.clone(), note: () })))
                }
                Ok(grant) => Ok(Ok(grant)),
            };
            verdict.inspect_err(|_| state.refused += 1)
        });
        match &entered {
            Ok(Err(_)) => report::waits(Kind::Concurrency),
            Ok(Ok(_)) => {}
            Err(denied) => report::refused(Kind::Concurrency, denied),
        }
        entered
    }

    /// Gives up the place if its turn has come, or it was refused.
    pub(super) fn poll(&self, key: Key, waker: &Waker) -> Poll<Result<Grant, Denied>> {
        let (poll, _replaced) = self.with(|state, _| match state.queue.claim(key) {
            Some(Ok(weight)) => (Poll::Ready(Ok(state.grant(weight))), None),
            Some(Err(denied)) => {
                state.refused += 1;
                (Poll::Ready(Err(denied)), None)
            }
            None => (Poll::Pending, state.queue.set_waker(key, waker)),
        });
        if let Poll::Ready(Err(denied)) = &poll {
            report::refused(Kind::Concurrency, denied);
        }
        poll
    }

    /// Gives up the place, and what was granted; counts a refusal if it was for lack of time.
    pub(super) fn leave(&self, key: Key, refused: bool) {
        drop(self.with(|state, called| {
            state.refused += u64::from(refused);
            let waiter = match state.queue.claim(key) {
                Some(decision) => {
                    state.in_use -= u64::from(decision.unwrap_or(0));
                    None
                }
                None => Some(state.queue.cancel(key)),
            };
            state.serve(called);
            waiter
        }));
        if refused {
            report::refused(Kind::Concurrency, &Denied::without_time(Reason::Deadline));
        }
    }

    pub(super) fn release(&self, weight: u32, sample: Option<Sample>) {
        self.with(|state, called| {
            state.in_use -= u64::from(weight);
            if let (Some(adaptive), Some(sample)) = (&mut state.adaptive, sample) {
                state.limit = adaptive.update(sample);
            }
            state.serve(called);
        });
    }

    pub(super) fn set_limit(&self, limit: u32) {
        self.with(|state, called| {
            state.limit = match &mut state.adaptive {
                Some(adaptive) => adaptive.set(limit),
                None => limit,
            };
            let ceiling = state.ceiling();
            let verdict = |_, waiter: &Waiter<()>| {
                if waiter.permits > ceiling { Err(Denied::NEVER_FITS) } else { Ok(()) }
            };
            state.queue.refuse(verdict, |waiter| called.push(Called(waiter.waker)));
            state.serve(called);
        });
    }

    pub(super) fn close(&self) {
        self.with(|state, called| {
            state.closed = true;
            state.queue.refuse(|_, _| Err(Denied::CLOSED), |waiter| called.push(Called(waiter.waker)));
            state.serve(called);
        });
    }

    /// Ready if nothing is in use and nobody waits.
    pub(super) fn poll_drained(&self, key: &mut Option<Key>, waker: &Waker) -> Poll<()> {
        let (poll, _replaced) = self.with(|state, _| {
            let mut replaced = None;
            match *key {
                Some(place) if state.drained.claim(place).is_some() => *key = None,
                Some(place) => replaced = state.drained.set_waker(place, waker),
                None if state.is_idle() => {}
                None => {
                    *key = Some(state.drained.push(Waiter { permits: 0, waker: waker.clone(), note: () }))
                }
            }
            (if key.is_some() { Poll::Pending } else { Poll::Ready(()) }, replaced)
        });
        poll
    }

    pub(super) fn leave_drained(&self, key: Key) {
        drop(self.with(|state, _| match state.drained.claim(key) {
            Some(_) => None,
            None => Some(state.drained.cancel(key)),
        }));
    }

    pub(super) fn snapshot(&self) -> ConcurrencySnapshot {
        self.with(|state, _| ConcurrencySnapshot {
            limit: state.limit,
            in_use: state.in_use,
            waiting: state.queue.len(),
            granted: state.granted,
            refused: state.refused,
            closed: state.closed,
        })
    }

    /// Nothing of others is called or dropped under the lock.
    fn with<R>(&self, change: impl FnOnce(&mut State, &mut Vec<Called>) -> R) -> R {
        // Dropped in reverse order: the lock first.
        let mut called = Vec::new();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state, &mut called)
    }
}

/// One who is woken when this is dropped, even if the waker of another panics.
struct Called(Waker);

impl Drop for Called {
    fn drop(&mut self) {
        self.0.wake_by_ref();
    }
}

impl State {
    /// The heaviest that can ever run.
    fn ceiling(&self) -> u32 {
        self.adaptive.as_ref().map_or(self.limit, Adaptive::ceiling)
    }

    fn is_idle(&self) -> bool {
        self.in_use == 0 && self.queue.is_empty()
    }

    /// The weight in use by one that asks for so much. What is heavier than an adaptive limit for now runs alone.
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

    fn grant(&mut self, weight: u32) -> Grant {
        self.granted += 1;
        Grant { weight, measured: self.adaptive.as_ref().map(|_| self.in_use) }
    }

    fn serve(&mut self, called: &mut Vec<Called>) {
        while let Some(first) = self.queue.front()
            && let Some(weight) = self.fitting(first.permits)
        {
            self.in_use += u64::from(weight);
            called.extend(self.queue.serve(weight).map(|waiter| Called(waiter.waker)));
        }
        if self.is_idle() {
            called.extend(std::iter::from_fn(|| self.drained.serve(0)).map(|waiter| Called(waiter.waker)));
        }
    }
}
