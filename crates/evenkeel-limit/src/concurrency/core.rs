//! The core of a concurrency limiter: its fast path, and the state behind its lock.
//!
//! # How it works
//!
//! A request takes the [fast path](FastPath) first. If that is closed or has too few permits, the request goes through the
//! lock: [`Core::with`] closes the fast path, makes its change, serves the waiters, and opens the fast path if nobody
//! waits. The steps are those of [`State`].
//!
//! Invariant: no foreign code runs under the lock. A waker is cloned before the lock is taken, and woken and dropped after
//! it is released.
//!
//! Race: a waker is cloned before the lock is taken again, so the request may be decided in between. Each function that
//! stores a clone looks at the decision again first.

use std::{
    mem,
    task::{Poll, Waker},
};

use evenkeel_base::WakeList;
#[cfg(feature = "inspect")]
use tokio::time::Instant;

use super::{
    adaptive::Sample,
    fast_path::FastPath,
    loom::{Mutex, lock},
    state::{Grant, State},
};
use crate::{
    error::{Denied, Reason},
    sync::{edges::CallPlace, entry::Stage, wait_queue::Key},
    telemetry::{self, Kind},
};

pub(super) struct Core {
    fast_path: FastPath,
    state: Mutex<State>,
}

impl Core {
    pub(super) const fn new(fast_path: FastPath, state: Mutex<State>) -> Self {
        Self { fast_path, state }
    }

    /// Takes permits without the lock; `None` if the state behind it has to decide.
    #[inline]
    pub(super) fn take_fast(&self, weight: u32) -> Option<Grant> {
        // An adaptive limit, which measures, has no fast path.
        self.fast_path.take(weight).then(|| Grant::new(weight))
    }

    /// Returns an offer of the fast path, as [`FastPath::offer`] does.
    #[cfg(feature = "inspect")]
    #[inline]
    pub(super) fn offer(&self, weight: u32) -> Option<u64> {
        self.fast_path.offer(weight)
    }

    /// Takes permits of an offer; returns `false` if it has changed.
    #[cfg(feature = "inspect")]
    #[inline]
    pub(super) fn take_offer(&self, offer: u64, weight: u32) -> bool {
        self.fast_path.take_offer(offer, weight)
    }

    /// Takes permits now or not at all.
    #[inline]
    pub(super) fn try_take(&self, weight: u32, _: CallPlace) -> Result<Grant, Denied> {
        self.take_fast(weight).map_or_else(|| self.try_take_locked(weight), Ok)
    }

    #[inline(never)]
    fn try_take_locked(&self, weight: u32) -> Result<Grant, Denied> {
        self.with(|state, _| state.take(weight).inspect_err(|_| state.refused += 1))
            .inspect_err(|denied| telemetry::refused(Kind::Concurrency, denied))
    }

    /// Takes permits, or joins the queue and sets the stage.
    #[inline(never)]
    pub(super) fn enter(
        &self,
        weight: u32,
        max_waiters: usize,
        waker: &Waker,
        stage: &mut Stage,
        call: CallPlace,
    ) -> Poll<Result<Grant, Denied>> {
        if let Ok(grant) = self.with(|state, _| state.take(weight)) {
            return Poll::Ready(Ok(grant));
        }
        // The request probably has to wait. A clone that is not stored is dropped here, after the lock is released.
        let mut waker = waker.clone();
        let poll = self.with(|state, _| state.enqueue(weight, max_waiters, &mut waker, stage, call));
        telemetry::entered(Kind::Concurrency, &poll);
        poll
    }

    /// Returns the decision about a waiter, which frees the key and ends the stage; or has it woken by this waker.
    pub(super) fn poll(
        &self,
        key: Key,
        waker: &Waker,
        stage: &mut Stage,
        _: CallPlace,
    ) -> Poll<Result<Grant, Denied>> {
        let decided = lock(&self.state).decided_or_waker(key, waker, stage);
        let decided = match decided {
            Ok(decided) => decided,
            Err(true) => return Poll::Pending,
            Err(false) => {
                // The guard of the lock is dropped before the waker that is not stored.
                let mut waker = waker.clone();
                let mut state = lock(&self.state);
                let Some(decided) = state.decided(key, stage) else {
                    let waiter = state.queue.waiter_mut(key);
                    mem::swap(&mut waiter.waker, &mut waker);
                    waiter.meta.polled_here();
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

    /// Notes that a waiter leaves the queue at this time.
    #[cfg(feature = "inspect")]
    pub(super) fn note_deadline(&self, key: Key, deadline: Instant) {
        if let Some(waiter) = lock(&self.state).queue.undecided_mut(key) {
            waiter.meta.ends_at(deadline);
        }
    }

    /// Removes a waiter, and takes back its grant; `is_late` if its deadline has passed.
    pub(super) fn leave(&self, key: Key, is_late: bool) {
        drop(self.with(|state, _| {
            state.refused += u64::from(is_late);
            match state.queue.claim(key) {
                Some(decision) => {
                    state.in_use -= u64::from(decision.unwrap_or(0));
                    None
                }
                None => Some(state.queue.cancel(key)),
            }
        }));
        if is_late {
            telemetry::refused(Kind::Concurrency, &Denied::without_time(Reason::Deadline));
        }
    }

    /// Puts back the permits of a grant that was not measured.
    #[inline]
    pub(super) fn put_back(&self, weight: u32) {
        if !self.add(weight) {
            self.settle();
        }
    }

    /// Adds the permits of such a grant; returns `false` if the state has to take them over.
    #[inline]
    pub(super) fn add(&self, weight: u32) -> bool {
        self.fast_path.put_back(weight)
    }

    /// Takes over what was added.
    #[inline(never)]
    pub(super) fn settle(&self) {
        self.with(|_, _| ());
    }

    /// Puts back the permits of a grant that was measured; `sample` makes the sample of it.
    #[inline(never)]
    pub(super) fn put_back_measured(&self, weight: u32, sample: impl FnOnce(&mut State) -> Option<Sample>) {
        self.with(|state, _| {
            let sample = sample(state);
            state.in_use -= u64::from(weight);
            if let (Some(adaptive), Some(sample)) = (&mut state.adaptive, sample) {
                state.limit = adaptive.update(sample);
            }
        });
    }

    /// Looks at the state, and changes nothing: what the fast path has granted since is not in it.
    #[cfg(feature = "inspect")]
    pub(super) fn look<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&lock(&self.state))
    }

    /// Changes the state, serves the waiters that fit then, and wakes them without the lock. `change` runs no foreign code
    /// and drops no waker.
    pub(super) fn with<R>(&self, change: impl FnOnce(&mut State, &mut WakeList) -> R) -> R {
        // Dropped in reverse order: the guard of the lock first.
        let mut wakes = WakeList::new();
        let mut state = lock(&self.state);
        state.settle(&self.fast_path);
        let result = change(&mut state, &mut wakes);
        state.serve(&mut wakes);
        state.open(&self.fast_path);
        result
    }
}
