//! The core of a rate limiter: the part that its handles, futures and timers share.
//!
//! # How it works
//!
//! A request takes the fast path first, an atomic step without a lock ([`fast_path`](super::fast_path)). If that is closed
//! or has no permit, the request goes through the lock: [`Core::with`] closes the fast path, serves the waiters whose
//! turns have come, makes its change, serves again, and opens the fast path if nobody waits. The steps are those of
//! [`State`].
//!
//! Each call that takes the lock serves the waiters. If no call comes, the timer of the first waiter fires; its waker is the
//! core itself, so that a turn depends on no task being polled.
//!
//! Invariants:
//! - No foreign code runs under the lock. Wakers are cloned before it is taken ([`WaitContext`]), and woken and dropped
//!   after it is released. Timers are started and dropped without it, since to poll one may call its waker, which is the
//!   core, on the same thread ([`timers`](super::timers)).
//! - While somebody waits, the lock is released only when a timer is running for the first waiter, or a thread has
//!   claimed its start.
//! - The stage of a future changes under the lock, together with the queue. Wakers and telemetry run later and may panic:
//!   the future is dropped then, and must know whether it has a key.
//!
//! Races:
//! - Between a refusal of the fast path and the lock another thread may have opened the fast path. So a request tries it
//!   again under the lock, and leaves it open if that grants: to close it would send all other threads to the lock.
//! - Between the first look at a waiter and the clone of a new waker, which is made without the lock, its turn may come.
//!   So [`Core::poll`] claims the decision again when it sets the waker.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    task::{Poll, Wake, Waker},
    time::Duration,
};

use evenkeel_base::WakeList;

use self::state::WaitContext;
use super::{
    loom::{Mutex, MutexGuard, lock},
    timer::Timer,
    timers::{RuntimeTimer, StartOutcome, TimerStart},
};
use crate::{
    clock::Counter,
    error::Denied,
    rate::Rate,
    rate_limiter::fast_path::{FastPath, TryAcquire},
    snapshot::Snapshot,
    sync::{entry::Stage, wait_queue::Key},
    telemetry::{self, Kind},
};

pub(crate) use self::state::{Config, Request, State};

#[path = "state.rs"]
mod state;

/// The resolution of tokio's timers.
const TICK: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(crate) struct Core {
    fast_path: FastPath,
    state: Mutex<State>,
}

impl Core {
    pub(crate) fn new(rate: Option<Rate>, config: Config) -> Arc<Self> {
        Self::with_counter(rate, config, Counter::if_asked(config.cpu))
    }

    /// Creates a core whose fast path reads this counter, and not tokio's clock.
    pub(crate) fn with_counter(rate: Option<Rate>, config: Config, counter: Option<Counter>) -> Arc<Self> {
        let core =
            Arc::new(Self { fast_path: FastPath::new(counter), state: Mutex::new(State::new(rate, config)) });
        core.with(|_| ());
        core
    }

    /// Takes a permit by a credit, without a look at the clock or the lock.
    #[inline]
    pub(crate) fn take_credit(&self) -> bool {
        self.fast_path.take_credit()
    }

    /// Takes permits now or not at all.
    #[inline]
    pub(crate) fn try_acquire(self: &Arc<Self>, permits: u32) -> Result<(), Denied> {
        if permits == 1 && self.take_credit() {
            return Ok(());
        }
        match self.fast_path.take_by_clock(permits) {
            TryAcquire::Granted => Ok(()),
            TryAcquire::Refused(nanos) => Err(self.refuse(nanos)),
            TryAcquire::Closed => self.try_acquire_locked(permits),
        }
    }

    #[inline(never)]
    fn try_acquire_locked(self: &Arc<Self>, permits: u32) -> Result<(), Denied> {
        let state = lock(&self.state);
        // Another thread may have opened the fast path while this one waited for the lock.
        match self.fast_path.take(permits) {
            TryAcquire::Granted => Ok(()),
            TryAcquire::Refused(nanos) => {
                drop(state);
                Err(self.refuse(nanos))
            }
            TryAcquire::Closed => self
                .with_locked(state, |state, _| state.try_acquire(permits))
                .inspect_err(|denied| telemetry::refused(Kind::Rate, denied)),
        }
    }

    #[inline]
    fn refuse(&self, nanos: u64) -> Denied {
        self.fast_path.count_refusal();
        let denied = Denied::busy(Duration::from_nanos(nanos));
        telemetry::refused(Kind::Rate, &denied);
        denied
    }

    /// Takes one permit without the lock and without a future that waits, and says whether the request is likely to wait.
    #[inline(always)]
    pub(crate) fn take_one(&self) -> Result<(), bool> {
        if self.take_credit() {
            return Ok(());
        }
        match self.fast_path.take_one_by_clock() {
            TryAcquire::Granted => Ok(()),
            TryAcquire::Refused(_) => Err(true),
            TryAcquire::Closed => Err(self.fast_path.has_waiters()),
        }
    }

    /// Takes permits now, or joins the queue and sets the stage. For one permit, [`take_one`](Self::take_one) has said that
    /// it is likely to wait.
    pub(crate) fn enter(
        self: &Arc<Self>,
        request: Request,
        mut waits: bool,
        waker: &Waker,
        stage: &mut Stage,
    ) -> Poll<Result<(), Denied>> {
        if request.permits != 1 {
            waits = match self.fast_path.take_many_by_clock(request.permits) {
                TryAcquire::Granted => return Poll::Ready(Ok(())),
                TryAcquire::Refused(_) => true,
                TryAcquire::Closed => self.fast_path.has_waiters(),
            };
        }
        self.enter_slow(waits, request, waker, stage)
    }

    /// Clones the waker at once for a request that is likely to wait; for another one only if it has to.
    #[inline(never)]
    fn enter_slow(
        self: &Arc<Self>,
        waits: bool,
        request: Request,
        waker: &Waker,
        stage: &mut Stage,
    ) -> Poll<Result<(), Denied>> {
        let poll = if waits { None } else { self.enter_locked(request, None, stage) };
        let poll = poll
            .or_else(|| self.enter_locked(request, Some(WaitContext::here(waker)), stage))
            .expect("a request with a context can wait");
        telemetry::entered(Kind::Rate, &poll);
        poll
    }

    /// Returns `None` for a request that has to wait and has no context.
    #[inline(never)]
    fn enter_locked(
        self: &Arc<Self>,
        request: Request,
        mut context: Option<WaitContext>,
        stage: &mut Stage,
    ) -> Option<Poll<Result<(), Denied>>> {
        let state = lock(&self.state);
        // Another thread may have opened the fast path while this one waited for the lock.
        if matches!(self.fast_path.take(request.permits), TryAcquire::Granted) {
            return Some(Poll::Ready(Ok(())));
        }
        self.with_locked(state, |state, _| state.enter(request, &mut context, stage))
    }

    /// Returns the decision about a waiter, which frees the key and ends the stage; or has it woken by this waker.
    pub(crate) fn poll(
        self: &Arc<Self>,
        key: Key,
        waker: &Waker,
        stage: &mut Stage,
    ) -> Poll<Result<(), Denied>> {
        let claimed = self.with(|state| state.claim(key, stage).ok_or_else(|| state.has_context(key, waker)));
        let decision = match claimed {
            Ok(decision) => decision,
            Err(true) => return Poll::Pending,
            Err(false) => {
                let mut context = WaitContext::anywhere(waker);
                // The turn may have come while the waker was cloned.
                let moved = self.with(|state| match state.claim(key, stage) {
                    Some(decision) => Ok(Some(decision)),
                    None if state.is_stranded(key, &context) => Err(()),
                    None => {
                        state.set_context(key, &mut context);
                        Ok(None)
                    }
                });
                match moved {
                    Ok(Some(decision)) => decision,
                    Ok(None) => return Poll::Pending,
                    Err(()) => panic!("waiting for permits in a tokio runtime that has been shut down"),
                }
            }
        };
        if let Err(denied) = &decision {
            telemetry::refused(Kind::Rate, denied);
        }
        Poll::Ready(decision)
    }

    /// Removes a waiter, and returns its permits if they were granted.
    pub(crate) fn leave(self: &Arc<Self>, key: Key) {
        drop(self.with(|state| state.leave(key)));
    }

    pub(crate) fn snapshot(self: &Arc<Self>) -> Snapshot {
        self.with(|state| state.snapshot(self.fast_path.refused()))
    }

    /// Returns whether nobody waits, and it is as good as a new one. It serves nobody and runs no foreign code, so that
    /// the caller may hold a lock.
    pub(crate) fn is_unused(&self) -> bool {
        let mut state = lock(&self.state);
        let unused = state.is_unused(&self.fast_path);
        state.open(&self.fast_path);
        unused
    }

    /// Looks at the state under the lock, and changes nothing: nobody is served, and no clock is read.
    #[cfg(feature = "inspect")]
    pub(crate) fn view<R>(&self, view: impl FnOnce(&State, &FastPath) -> R) -> R {
        view(&lock(&self.state), &self.fast_path)
    }

    /// Makes a change after which turns come at other times, and denies the waiters that cannot be served any more.
    pub(crate) fn change<R>(self: &Arc<Self>, change: impl FnOnce(&mut State) -> R) -> R {
        self.with_locked(lock(&self.state), |state, wakes| {
            let result = change(state);
            state.review(wakes);
            result
        })
    }

    /// Changes the state, serves the waiters whose turns have come, and sees that a timer runs for the next one.
    pub(crate) fn with<R>(self: &Arc<Self>, change: impl FnOnce(&mut State) -> R) -> R {
        self.with_locked(lock(&self.state), |state, _| change(state))
    }

    /// Does the same with the lock taken. `change` runs no foreign code and drops no waker: it returns them.
    fn with_locked<R>(
        self: &Arc<Self>,
        locked: MutexGuard<'_, State>,
        change: impl FnOnce(&mut State, &mut WakeList) -> R,
    ) -> R {
        // They drop in reverse order, after the lock: first the wakers are woken, then the old timers are dropped.
        let mut unused = Vec::new();
        let mut wakes = WakeList::new();
        let (result, start) = self.pass(locked, &mut wakes, &mut unused, change);
        if let Some(start) = start {
            self.start_timers(start, &mut wakes, &mut unused);
        }
        result
    }

    /// Passes through the lock once, and returns a timer that has to be started.
    #[inline]
    fn pass<R>(
        &self,
        locked: MutexGuard<'_, State>,
        wakes: &mut WakeList,
        unused: &mut Vec<RuntimeTimer>,
        change: impl FnOnce(&mut State, &mut WakeList) -> R,
    ) -> (R, Option<TimerStart>) {
        let mut state = locked;
        state.settle(&self.fast_path);
        state.serve(wakes);
        let result = change(&mut state, wakes);
        state.serve(wakes);
        state.timers.remove_unused(unused);
        let start = state.claim_start();
        state.open(&self.fast_path);
        (result, start)
    }

    /// Starts timers without the lock, by the protocol of [`timers`](super::timers), until none is missing.
    #[inline(never)]
    fn start_timers(
        self: &Arc<Self>,
        first: TimerStart,
        wakes: &mut WakeList,
        unused: &mut Vec<RuntimeTimer>,
    ) {
        let waker = Waker::from(Arc::clone(self));
        let mut panicked = None;
        let mut next = Some(first);
        while let Some(start) = next {
            let timer = AssertUnwindSafe(|| Timer::start(&start.runtime, start.wait, &waker));
            let outcome = match catch_unwind(timer) {
                Ok(timer) => timer.map_or(StartOutcome::Gone, StartOutcome::Timer),
                Err(panic) => {
                    panicked.get_or_insert(panic);
                    StartOutcome::Failed
                }
            };
            let has_fired = matches!(&outcome, StartOutcome::Timer(timer) if timer.has_fired());
            // Declared before the guard, so that the timer is dropped after the lock is released.
            let _replaced;
            let mut state = lock(&self.state);
            _replaced = state.started(&start, outcome, wakes);
            next =
                if state.needs_maintenance() { self.pass(state, wakes, unused, |_, _| ()).1 } else { None };
            if let Some(start) = next.as_mut().filter(|_| has_fired) {
                // A full batch of waiters is to be woken first, and the turn of the next one may have come already.
                // To start its timer at once would repeat this loop until the last of them.
                start.wait = start.wait.max(TICK);
            }
        }
        if let Some(panic) = panicked {
            resume_unwind(panic);
        }
    }
}

impl Wake for Core {
    fn wake(self: Arc<Self>) {
        self.with(|_| ());
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.with(|_| ());
    }
}
