//! The wait queue: whose turn it is, and what a caller does next.
//!
//! # How it works
//!
//! A caller asks for its next step at each poll, and after each step that it has taken itself ([`State::step`]). Checks
//! and wakers are foreign code, so the state only says what to do: check this object, create one in this slot, wait.
//! `Waiting -> Called -> Waiting` are the states of a waiter that is woken and finds something to do; `Served` is the
//! last one, in which it is out of the queue.
//!
//! - **The waker is cloned without the lock.** If a step needs a clone that the caller has not made, the answer is
//!   [`CheckoutStep::CloneWaker`], and the caller asks again.
//! - **A called waiter stays called while it checks an object**, so that no other is called for the room that it may
//!   need next. While it is busy without the lock a task may serve it, or the pool may close: then the check goes on
//!   for the next waiter, and the caller takes its result.
//! - **An object in a step is owned by the caller**: if the wake of another waiter panics, it is dropped, and not lost.
//! - **A waiter that leaves passes on what it was called to.** A result that it was served is returned, so that
//!   the caller can pass that on.

use std::{mem, sync::Arc, task::Waker};

use tokio::time::Instant;

use super::{
    State,
    shared::Shared,
    slot::{SlotGuard, SlottedObject},
    slots::{Place, SlotUse},
};
use crate::{GetError, Manager, Timeout};

/// The number of holders that a [`Timeout`] names.
const NAMED: usize = 3;

pub(super) struct Waiter<M: Manager> {
    pub(super) place: Place,
    state: WaiterState<M>,
    /// The number of objects that it took and that tasks check now.
    pub(super) checks: usize,
}

enum WaiterState<M: Manager> {
    Waiting(Waker),
    /// Woken, and not polled since.
    Called,
    /// Out of the queue.
    Served(Served<M>),
}

/// An object, or the reason why there is none.
pub(crate) type Served<M> = Result<SlottedObject<M>, GetError<<M as Manager>::Error>>;

/// The position of a caller in the wait queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queued {
    key: usize,
    ahead: usize,
    since: Instant,
}

/// A caller at one poll of its future.
pub(crate) struct Caller<'a, M: Manager> {
    pub(crate) shared: &'a Arc<Shared<M>>,
    pub(crate) place: Place,
    pub(crate) now: Instant,
    pub(crate) waker: &'a Waker,
    // For the queue. It is made, and dropped if it is not needed, without the lock.
    pub(crate) cloned_waker: Option<Waker>,
}

impl<M: Manager> Caller<'_, M> {
    pub(crate) fn clone_waker(&mut self) {
        self.cloned_waker = Some(self.waker.clone());
    }
}

/// The next step of a caller.
pub(crate) enum CheckoutStep<M: Manager> {
    /// Clone the waker, and ask again.
    CloneWaker,
    /// Check this object, which was idle.
    Check(SlottedObject<M>),
    /// Spawn a creation in this slot, which begins at this time if not at once, and wait.
    Create(SlotGuard<M>, Option<Instant>),
    Wait,
    Done(Served<M>),
}

impl<M: Manager> State<M> {
    /// Returns the number of waiters for which no task works.
    pub(super) fn waiters_without_task(&self) -> usize {
        self.waiters.len().saturating_sub(self.slots.creating + self.slots.awaited_checks)
    }

    /// Calls the next waiter if fewer than `wanted` are called, and there is something that it can take.
    ///
    /// It calls one waiter. If more are due, that one calls the next when it is polled or leaves.
    pub(super) fn call_next_below(&mut self, wanted: usize) {
        if self.called < wanted && self.called < self.idle.len() + self.allowed_creations() {
            self.call_next();
        }
    }

    #[inline(never)]
    fn call_next(&mut self) {
        let next = self.waiters.iter().find(|(_, waiter)| matches!(waiter.state, WaiterState::Waiting(_)));
        if let Some((key, _)) = next
            && let WaiterState::Waiting(waker) =
                mem::replace(&mut self.waiters.get_mut(key).state, WaiterState::Called)
        {
            self.called += 1;
            self.deferred.wake(waker);
        }
    }

    /// Returns an idle object for a newcomer, unless a waiter comes first.
    pub(crate) fn take_idle(&mut self, caller: &Caller<'_, M>) -> Option<SlottedObject<M>> {
        if self.waiters.is_empty() { self.pop_idle(caller) } else { None }
    }

    /// Takes an idle object and a slot for its lease.
    fn pop_idle(&mut self, caller: &Caller<'_, M>) -> Option<SlottedObject<M>> {
        let object = self.idle.pop()?;
        let slot = self.slots.take(caller.place, caller.now, SlotUse::Lease);
        Some(SlottedObject { object, slot: SlotGuard::new(caller.shared, slot) })
    }

    /// Returns the next step of a caller, which joins the queue if it has to wait.
    pub(crate) fn step(
        &mut self,
        queued: &mut Option<Queued>,
        caller: &mut Caller<'_, M>,
    ) -> CheckoutStep<M> {
        let Some(Queued { key, .. }) = *queued else { return self.on_arrival(queued, caller) };
        match &mut self.waiters.get_mut(key).state {
            WaiterState::Waiting(last) if last.will_wake(caller.waker) => CheckoutStep::Wait,
            WaiterState::Waiting(last) => {
                let Some(waker) = caller.cloned_waker.take() else { return CheckoutStep::CloneWaker };
                self.deferred.rare().stale = Some(mem::replace(last, waker));
                CheckoutStep::Wait
            }
            WaiterState::Called => self.on_called(key, caller),
            WaiterState::Served(_) => self.leave(queued).map_or(CheckoutStep::Wait, CheckoutStep::Done),
        }
    }

    fn on_arrival(&mut self, queued: &mut Option<Queued>, caller: &mut Caller<'_, M>) -> CheckoutStep<M> {
        if self.closed {
            return CheckoutStep::Done(Err(GetError::Closed));
        }
        if let Some(object) = self.take_idle(caller) {
            return CheckoutStep::Check(object);
        }
        let Some(waker) = caller.cloned_waker.take() else { return CheckoutStep::CloneWaker };
        self.join_queue(queued, caller, waker);
        self.create_if_due(caller)
    }

    fn join_queue(&mut self, queued: &mut Option<Queued>, caller: &Caller<'_, M>, waker: Waker) -> usize {
        let ahead = self.waiters.len();
        let waiter = Waiter { place: caller.place, state: WaiterState::Waiting(waker), checks: 0 };
        let key = self.waiters.push_back(waiter);
        *queued = Some(Queued { key, ahead, since: caller.now });
        key
    }

    /// Returns the step of a waiter that was called. It stays called until its object has passed the check.
    fn on_called(&mut self, key: usize, caller: &mut Caller<'_, M>) -> CheckoutStep<M> {
        if let Some(object) = self.pop_idle(caller) {
            return CheckoutStep::Check(object);
        }
        let Some(waker) = caller.cloned_waker.take() else { return CheckoutStep::CloneWaker };
        self.wait_again(key, waker);
        self.create_if_due(caller)
    }

    /// Begins a creation if a waiter needs one.
    ///
    /// Any caller can begin it, called or not: its result goes to the first waiter. Idle objects are left to the
    /// waiters that are called.
    fn create_if_due(&mut self, caller: &Caller<'_, M>) -> CheckoutStep<M> {
        if self.waiters_without_task() > self.idle.len() && self.allowed_creations() > 0 {
            let from = self.backoff.begin_pause();
            let used_for = from.map_or(SlotUse::Creation(self.backoff.failures), |_| SlotUse::Pause);
            let slot = self.slots.take(caller.place, caller.now, used_for);
            return CheckoutStep::Create(SlotGuard::new(caller.shared, slot), from);
        }
        CheckoutStep::Wait
    }

    fn wait_again(&mut self, key: usize, waker: Waker) {
        self.waiters.get_mut(key).state = WaiterState::Waiting(waker);
        self.called -= 1;
    }

    /// Returns the step of a caller that leaves the check of its object to a task; it has cloned its waker.
    pub(crate) fn wait_for_check(
        &mut self,
        slot: usize,
        queued: &mut Option<Queued>,
        caller: &mut Caller<'_, M>,
    ) -> CheckoutStep<M> {
        let key = queued.as_ref().map(|queued| queued.key);
        let waits = match key {
            Some(key) => matches!(self.waiters.get(key).state, WaiterState::Called),
            None => !self.closed,
        };
        if !waits {
            // A task has served it while it was busy, or the pool was closed.
            self.move_check_to_task(slot, None);
            return self.step(queued, caller);
        }
        let waker = caller.cloned_waker.take().expect("the waker was cloned before");
        let key = match key {
            Some(key) => {
                self.wait_again(key, waker);
                key
            }
            None => self.join_queue(queued, caller, waker),
        };
        self.move_check_to_task(slot, Some(key));
        CheckoutStep::Wait
    }

    /// Ends the wait of a caller, which has an object or gives up; returns the result that it was served, if any.
    pub(crate) fn leave(&mut self, queued: &mut Option<Queued>) -> Option<Served<M>> {
        let key = queued.take()?.key;
        self.detach_checks(key);
        match self.waiters.remove(key).state {
            WaiterState::Served(served) => return Some(served),
            WaiterState::Waiting(waker) => self.deferred.rare().stale = Some(waker),
            WaiterState::Called => {
                self.called -= 1;
                // Passes the call on.
                self.call_next_below(self.waiters.len());
            }
        }
        None
    }

    /// Ends the wait of a caller whose time is up: returns the result that it was served in the last moment, or a report.
    pub(crate) fn expire(&mut self, queued: &mut Option<Queued>, now: Instant) -> Served<M> {
        let Some(Queued { ahead, since, .. }) = *queued else {
            unreachable!("only a waiter runs out of time")
        };
        self.leave(queued).unwrap_or_else(|| {
            self.counts.timeouts += 1;
            Err(GetError::Timeout(Box::new(Timeout {
                waited: now.saturating_duration_since(since),
                ahead,
                snapshot: self.snapshot(),
                holders: self.holders(now).take(NAMED).collect(),
                last_failure: self.last_failure.as_ref().map(|failure| failure.text.clone()),
                cause: self.last_failure.as_ref().map(|failure| Arc::clone(&failure.error)),
            })))
        })
    }

    /// Takes a waiter out of the queue with its result; returns its waker, unless it was called, and so woken, already.
    pub(super) fn serve(&mut self, key: usize, served: Served<M>) -> Option<Waker> {
        self.detach_checks(key);
        self.waiters.unlink(key);
        match mem::replace(&mut self.waiters.get_mut(key).state, WaiterState::Served(served)) {
            WaiterState::Waiting(waker) => return Some(waker),
            WaiterState::Called => self.called -= 1,
            WaiterState::Served(_) => unreachable!("it would not be in the queue"),
        }
        None
    }

    pub(super) fn serve_and_wake(&mut self, key: usize, served: Served<M>) {
        if let Some(waker) = self.serve(key, served) {
            self.deferred.wake(waker);
        }
    }

    /// Takes the results of all callers that were served and have not taken them: none of them can be polled any more.
    pub(crate) fn take_served(&mut self) -> Vec<Served<M>> {
        let served = |waiter: &mut Waiter<M>| match &mut waiter.state {
            WaiterState::Served(served) => Some(mem::replace(served, Err(GetError::Closed))),
            WaiterState::Waiting(_) | WaiterState::Called => None,
        };
        self.waiters.values_mut().filter_map(served).collect()
    }

    /// Returns the number of waiters if there is no object that could come to them, and zero else.
    pub(crate) fn hopeless_waiters(&self) -> usize {
        if self.size() == self.slots.creating { self.waiters.len() } else { 0 }
    }

    /// Fails the first waiter, or returns the error if nobody waits.
    pub(crate) fn fail_first(&mut self, error: GetError<M::Error>) -> Option<GetError<M::Error>> {
        let Some(key) = self.waiters.front() else { return Some(error) };
        self.serve_and_wake(key, Err(error));
        None
    }
}
