//! What is in use, and who waits for it.

use std::{
    mem,
    sync::{Mutex, PoisonError},
    task::{Poll, Waker},
};

use super::{
    adaptive::{Adaptive, Sample},
    snapshot::ConcurrencySnapshot,
};
use crate::{
    error::{Denied, Reason},
    sync::{
        wait_queue::{Key, WaitQueue, Waiter},
        wake_list::WakeList,
    },
    telemetry::{self, Kind},
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
    queue: WaitQueue<()>,
    /// Those who wait until nothing is in use.
    drained: WaitQueue<()>,
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
        let taken = self.with(|state, _| state.take(weight).inspect_err(|_| state.refused += 1));
        taken.inspect_err(|denied| telemetry::refused(Kind::Concurrency, denied))
    }

    /// Takes a permit now, or a place in the queue.
    #[inline]
    pub(super) fn enter(&self, weight: u32, waker: &Waker) -> Result<Result<Grant, Key>, Denied> {
        match self.with(|state, _| state.take(weight)) {
            Ok(grant) => Ok(Ok(grant)),
            Err(_) => self.queue_up(weight, waker),
        }
    }

    /// The same for one who is likely to have to wait: the waker is cloned before the lock is taken.
    #[inline(never)]
    fn queue_up(&self, weight: u32, waker: &Waker) -> Result<Result<Grant, Key>, Denied> {
        let mut waker = Some(waker.clone());
        let entered = self.with(|state, _| {
            let verdict = match state.take(weight) {
                Ok(grant) => Ok(Ok(grant)),
                Err(denied) if denied.reason != Reason::Busy => Err(denied),
                Err(_) if state.queue.len() >= self.max_waiters => {
                    Err(Denied::without_time(Reason::QueueFull))
                }
                Err(denied) => waker.take().map(|waker| Err(state.wait(weight, waker))).ok_or(denied),
            };
            verdict.inspect_err(|_| state.refused += 1)
        });
        match &entered {
            Ok(Err(_)) => telemetry::waits(Kind::Concurrency),
            Ok(Ok(_)) => {}
            Err(denied) => telemetry::refused(Kind::Concurrency, denied),
        }
        entered
    }

    /// Gives up the place if its turn has come, or it was refused.
    pub(super) fn poll(&self, key: Key, waker: &Waker) -> Poll<Result<Grant, Denied>> {
        let decided = |state: &mut State| {
            let same_waker = |state: &State| state.queue.waiter(key).waker.will_wake(waker);
            state.decided(key).ok_or_else(|| same_waker(state))
        };
        let decided = match self.with(|state, _| decided(state)) {
            Err(true) => return Poll::Pending,
            Err(false) => {
                let mut waker = waker.clone();
                let decided = self.with(|state, _| {
                    let decided = state.decided(key);
                    if decided.is_none() {
                        mem::swap(&mut state.queue.waiter_mut(key).waker, &mut waker);
                    }
                    decided
                });
                let Some(decided) = decided else { return Poll::Pending };
                decided
            }
            Ok(decided) => decided,
        };
        if let Err(denied) = &decided {
            telemetry::refused(Kind::Concurrency, denied);
        }
        Poll::Ready(decided)
    }

    /// Gives up the place, and what was granted; counts a refusal if it was for lack of time.
    pub(super) fn leave(&self, key: Key, refused: bool) {
        drop(self.with(|state, wakes| {
            state.refused += u64::from(refused);
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
        if refused {
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
            state.queue.refuse(verdict, |waiter| wakes.push(waiter.waker));
            state.serve(wakes);
        });
    }

    pub(super) fn close(&self) {
        self.with(|state, wakes| {
            state.closed = true;
            state.queue.refuse(|_, _| Err(Denied::CLOSED), |waiter| wakes.push(waiter.waker));
            state.serve(wakes);
        });
    }

    /// Ready if nothing is in use and nobody waits.
    pub(super) fn poll_drained(&self, key: &mut Option<Key>, waker: &Waker) -> Poll<()> {
        let waits = self.with(|state, _| match *key {
            Some(place) if state.drained.claim(place).is_some() => None,
            Some(place) => Some(state.drained.waiter(place).waker.will_wake(waker)),
            None => (!state.is_idle()).then_some(false),
        });
        match waits {
            Some(true) => return Poll::Pending,
            // The waker is cloned without the lock; meanwhile the end may have come.
            Some(false) => {
                let mut place = Some(waker.clone());
                self.with(|state, _| state.enter_drained(key, &mut place));
            }
            None => *key = None,
        }
        if key.is_some() { Poll::Pending } else { Poll::Ready(()) }
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
    fn with<R>(&self, change: impl FnOnce(&mut State, &mut WakeList) -> R) -> R {
        // Dropped in reverse order: the lock first.
        let mut wakes = WakeList::new();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state, &mut wakes)
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

    fn wait(&mut self, weight: u32, waker: Waker) -> Key {
        self.queue.push(Waiter { permits: weight, waker, meta: () })
    }

    /// Takes what was decided about one who waited.
    fn decided(&mut self, key: Key) -> Option<Result<Grant, Denied>> {
        Some(match self.queue.claim(key)? {
            Ok(weight) => Ok(self.grant(weight)),
            Err(denied) => {
                self.refused += 1;
                Err(denied)
            }
        })
    }

    /// Waits for the end with this waker, unless it has come; gives the waker that is not needed in its place.
    fn enter_drained(&mut self, key: &mut Option<Key>, waker: &mut Option<Waker>) {
        match *key {
            Some(place) if self.drained.claim(place).is_some() => *key = None,
            Some(place) => {
                if let Some(waker) = waker {
                    mem::swap(&mut self.drained.waiter_mut(place).waker, waker);
                }
            }
            None if self.is_idle() => {}
            None => {
                let waiter = waker.take().map(|waker| Waiter { permits: 0, waker, meta: () });
                *key = waiter.map(|waiter| self.drained.push(waiter));
            }
        }
    }

    fn grant(&mut self, weight: u32) -> Grant {
        self.granted += 1;
        Grant { weight, measured: self.adaptive.as_ref().map(|_| self.in_use) }
    }

    fn serve(&mut self, wakes: &mut WakeList) {
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
