//! The wait queue: whose turn it is, and what a caller does next.
//!
//! # How it works
//!
//! A caller that finds no idle object asks for its next step at each poll, and after each step that it has taken itself
//! ([`State::step`]). Checks and wakers are foreign code, so the state only says what to do: check this object, create
//! one in this slot, wait. `Waiting -> Called -> Waiting` are the states of a waiter that is woken and finds something to
//! do; `Served` and `Expired` are the last ones, in which it is out of the queue.
//!
//! - **The waker is cloned without the lock.** If a step needs a clone that the caller has not made, the answer is
//!   [`CheckoutStep::Prepare`], and the caller asks again.
//! - **A called waiter leaves the queue with the object that it checks**, so that most need no further step. If the object
//!   fails, or its check is pending, the caller goes back to its place, by its number in the order of arrival.
//! - **An object in a step is owned by the caller**: if the wake of another waiter panics, it is dropped, and not lost.
//! - **A waiter that leaves passes on what it was called to.** A result that it was served is returned, so that
//!   the caller can pass that on.

use std::{mem, sync::Arc, task::Waker};

use tokio::{runtime::Id, time::Instant};

use super::{
    State,
    caller::{Caller, CheckoutStep, Prepared},
    queue::{Position, Served, Waiter, WaiterState},
    shared::Shared,
    slot::{NewSlot, PooledObject, SlotGuard, SlottedObject},
    slots::{Place, SlotUse},
    tasks::TaskKey,
};
use crate::{GetError, Manager, Timeout};

/// The number of holders that a [`Timeout`] names.
const NAMED: usize = 3;

impl<M: Manager> State<M> {
    /// Returns the number of waiters for which no task works.
    pub(super) fn waiters_without_task(&self) -> usize {
        self.waiters.len().saturating_sub(self.slots.creating + self.slots.awaited_checks)
    }

    /// Calls the next waiter if fewer than `wanted` are called, and there is something that it can take.
    pub(super) fn call_next_below(&mut self, wanted: usize) {
        if let Some(waker) = self.next_below(wanted) {
            self.deferred.wake(waker);
        }
    }

    /// Does the same, and returns the waker.
    ///
    /// It calls one waiter. If more are due, that one calls the next when it is polled or leaves.
    #[inline]
    pub(super) fn next_below(&mut self, wanted: usize) -> Option<Waker> {
        let is_due = self.called < wanted && self.called < self.idle.len() + self.allowed_creations();
        if is_due { self.call_next() } else { None }
    }

    #[inline(never)]
    fn call_next(&mut self) -> Option<Waker> {
        let key = self.first_waiting?;
        self.first_waiting = self.next_waiting(key);
        let state = mem::replace(&mut self.waiters.get_mut(key).state, WaiterState::Called);
        let WaiterState::Waiting(waker) = state else { return None };
        self.called += 1;
        Some(waker)
    }

    /// Returns the first waiter behind this one that is not called. Those in front of the first one are all called.
    fn next_waiting(&self, key: usize) -> Option<usize> {
        let mut next = self.waiters.next(key);
        while let Some(key) = next
            && matches!(self.waiters.get(key).state, WaiterState::Called)
        {
            next = self.waiters.next(key);
        }
        next
    }

    /// Takes an idle object for a caller.
    #[inline(never)]
    fn pop_idle(&mut self, caller: &Caller<'_, M>) -> Option<SlottedObject<M>> {
        self.lease_idle(caller.place, caller.shared.current_task()).map(|pooled| {
            let slot = SlotGuard::new(caller.shared, pooled.idle_slot);
            SlottedObject { pooled, slot }
        })
    }

    /// Returns the next step of a caller, which joins the queue if it has to wait.
    pub(crate) fn step(&mut self, queued: &mut Option<usize>, caller: &mut Caller<'_, M>) -> CheckoutStep<M> {
        let Some(key) = *queued else { return self.arrive(queued, caller) };
        match &mut self.waiters.get_mut(key).state {
            WaiterState::Waiting(last) if last.will_wake(caller.waker) => {
                // The waker of a thread is the same in each runtime that it enters.
                if let Some(runtime) = caller.runtime {
                    self.move_to_runtime(key, runtime, caller);
                }
                CheckoutStep::Wait
            }
            WaiterState::Waiting(last) => {
                let Some(prepared) = caller.prepared.take() else { return CheckoutStep::Prepare };
                self.deferred.stale = Some(mem::replace(last, prepared.waker));
                self.move_to_task(key, prepared.task);
                self.move_to_runtime(key, prepared.runtime, caller);
                CheckoutStep::Wait
            }
            WaiterState::Called => self.on_called(queued, key, caller),
            WaiterState::Served(_) => self.leave(queued).map_or(CheckoutStep::Wait, CheckoutStep::Done),
            WaiterState::Expired => CheckoutStep::Done(self.expire(queued, caller.position, Instant::now())),
        }
    }

    /// Notes that a waiter is polled by this task: a future may go to another task after its first poll.
    fn move_to_task(&mut self, key: usize, task: Option<TaskKey>) {
        let before = mem::replace(&mut self.waiters.get_mut(key).task, task);
        if before != task {
            before.into_iter().for_each(|before| self.slots.tasks.wait_ends(before));
            task.into_iter().for_each(|task| self.slots.tasks.wait_begins(task));
        }
    }

    /// Returns the first step of a caller, which has no place in the queue.
    #[inline]
    pub(crate) fn arrive(
        &mut self,
        queued: &mut Option<usize>,
        caller: &mut Caller<'_, M>,
    ) -> CheckoutStep<M> {
        if self.closed {
            return CheckoutStep::Done(Err(GetError::Closed));
        }
        // Waiters that are called have an idle object each; a newcomer lets all others go first.
        let may_take = match caller.position {
            Some(_) => self.called < self.idle.len(),
            None => self.waiters.is_empty(),
        };
        if may_take && let Some(object) = self.pop_idle(caller) {
            return CheckoutStep::Check(object);
        }
        let Some(prepared) = caller.prepared.take() else { return CheckoutStep::Prepare };
        let now = prepared.now;
        self.join_queue(queued, caller, prepared);
        if self.is_deadlocked() {
            self.leave(queued);
            return CheckoutStep::Done(Err(GetError::Deadlock(self.holders(now))));
        }
        self.create_if_due(caller)
    }

    #[inline]
    fn join_queue(
        &mut self,
        queued: &mut Option<usize>,
        caller: &mut Caller<'_, M>,
        prepared: Prepared,
    ) -> usize {
        let Prepared { waker, runtime, now, task } = prepared;
        let position = caller.position.get_or_insert_with(|| {
            self.arrivals += 1;
            let (number, ahead) = (self.arrivals, self.waiters.len());
            Position { number, since: now, ahead, has_checks: false }
        });
        let (number, since) = (position.number, position.since);
        let waiter = Waiter {
            place: caller.place,
            state: WaiterState::Waiting(waker),
            has_checks: mem::take(&mut position.has_checks),
            number,
            since,
            own_deadline: caller.deadline,
            runtime,
            task,
        };
        caller.begin_wait(now, &waiter);
        if let Some(task) = task {
            self.slots.tasks.wait_begins(task);
        }
        // A newcomer is the last one; a caller that comes back passes those that came later.
        let next = match self.arrivals == number {
            true => None,
            false => self.waiters.iter().find(|(_, other)| other.number > number).map(|(key, _)| key),
        };
        let key = match next {
            Some(next) => self.waiters.insert_before(next, waiter),
            None => self.waiters.push_back(waiter),
        };
        self.is_waiting(key);
        caller.timer = self.timers.join(key, &self.waiters, &self.limits, &mut self.deferred);
        self.slots.set_time(now);
        *queued = Some(key);
        key
    }

    /// Records that a waiter is not called.
    fn is_waiting(&mut self, key: usize) {
        let number = |key| self.waiters.get(key).number;
        if self.first_waiting.is_none_or(|first| number(key) < number(first)) {
            self.first_waiting = Some(key);
        }
    }

    /// A future may move to another runtime: the timer there serves it then.
    fn move_to_runtime(&mut self, key: usize, runtime: Id, caller: &mut Caller<'_, M>) {
        let last = mem::replace(&mut self.waiters.get_mut(key).runtime, runtime);
        // The timer may have been cut.
        if last != runtime || !self.timers.reach(runtime) {
            self.timers.leave_runtime(last);
            caller.timer = self.timers.join_runtime(runtime);
        }
    }

    /// Returns the step of a waiter that was called: it leaves the queue with an idle object, or waits again.
    fn on_called(
        &mut self,
        queued: &mut Option<usize>,
        key: usize,
        caller: &mut Caller<'_, M>,
    ) -> CheckoutStep<M> {
        if let Some(pooled) = self.take_called(queued, caller.position, caller.place) {
            let slot = SlotGuard::new(caller.shared, pooled.idle_slot);
            return CheckoutStep::Check(SlottedObject { pooled, slot });
        }
        let Some(prepared) = caller.prepared.take() else { return CheckoutStep::Prepare };
        self.wait_again(key, prepared, caller);
        self.create_if_due(caller)
    }

    /// Takes an idle object for a waiter that is called, which leaves the queue with it.
    pub(super) fn take_called(
        &mut self,
        queued: &mut Option<usize>,
        position: &mut Option<Position>,
        place: Place,
    ) -> Option<Box<PooledObject<M>>> {
        let key = (*queued)?;
        let waiter = self.waiters.get(key);
        if !matches!(waiter.state, WaiterState::Called) {
            return None;
        }
        let (task, has_checks) = (waiter.task, waiter.has_checks);
        let pooled = self.lease_idle(place, task)?;
        self.leave_position(key);
        self.waiters.discard(key);
        self.called -= 1;
        *queued = None;
        if has_checks && let Some(position) = position {
            position.has_checks = true;
        }
        Some(pooled)
    }

    /// Begins a creation if a waiter needs one.
    ///
    /// Any caller can begin it, called or not: its result goes to the first waiter. Idle objects are left to the
    /// waiters that are called.
    fn create_if_due(&mut self, caller: &Caller<'_, M>) -> CheckoutStep<M> {
        if self.size() < self.max
            && self.waiters_without_task() > self.idle.len()
            && self.allowed_creations() > 0
        {
            return CheckoutStep::Create(self.begin(caller.place, caller.shared));
        }
        CheckoutStep::Wait
    }

    /// Returns whether all objects are leased by tasks that wait.
    fn is_deadlocked(&self) -> bool {
        let at_work = self.slots.creating + self.slots.checking + self.idle.len();
        self.limits.detects_deadlocks
            && at_work == 0
            && self.slots.len() >= self.max
            && self.slots.tasks.are_stuck()
    }

    /// Takes a slot for a creation, or for its pause.
    pub(super) fn begin(&mut self, place: Place, shared: &Arc<Shared<M>>) -> NewSlot<M> {
        let from = self.backoff.begin_pause();
        let used_for = from.map_or(SlotUse::Creation(self.backoff.failures), |_| SlotUse::Pause);
        let slot = SlotGuard::new(shared, self.slots.take(place, used_for));
        NewSlot { slot, from, generation: self.generation }
    }

    /// Takes a slot for a creation if there are fewer than `n` objects, those that are being created included.
    pub(crate) fn create_below(
        &mut self,
        n: usize,
        place: Place,
        shared: &Arc<Shared<M>>,
    ) -> Option<NewSlot<M>> {
        let is_due = !self.closed && self.size() < n && self.allowed_creations() > 0;
        is_due.then(|| self.begin(place, shared))
    }

    /// Returns whether there are fewer than `n` objects, and one is being created.
    pub(crate) fn is_creating_below(&self, n: usize) -> bool {
        self.objects() < n.min(self.max) && self.slots.creating > 0 && !self.closed && !self.is_failing()
    }

    fn wait_again(&mut self, key: usize, prepared: Prepared, caller: &mut Caller<'_, M>) {
        self.move_to_task(key, prepared.task);
        let waiter = self.waiters.get_mut(key);
        waiter.state = WaiterState::Waiting(prepared.waker);
        caller.begin_wait(prepared.now, waiter);
        self.called -= 1;
        self.is_waiting(key);
        // A timer that looked meanwhile has stopped watching it.
        self.timers.watch(key, &self.waiters, &self.limits, &mut self.deferred);
        self.move_to_runtime(key, prepared.runtime, caller);
    }

    /// Returns the step of a caller that leaves the check of its object to a task; it is prepared to wait.
    pub(crate) fn wait_for_check(
        &mut self,
        slot: usize,
        queued: &mut Option<usize>,
        caller: &mut Caller<'_, M>,
    ) -> CheckoutStep<M> {
        if self.closed {
            self.move_check_to_task(slot, None);
            return self.step(queued, caller);
        }
        let prepared = caller.prepared.take().expect("the caller prepared before");
        let key = self.join_queue(queued, caller, prepared);
        let waiter = self.waiters.get_mut(key);
        waiter.has_checks = true;
        let number = waiter.number;
        self.move_check_to_task(slot, Some(number));
        CheckoutStep::Wait
    }

    /// Takes a waiter out of the queue, and out of all that refers to its position there.
    fn unlink(&mut self, key: usize) {
        self.leave_position(key);
        self.waiters.unlink(key);
    }

    /// Takes a waiter that leaves the queue out of all that refers to its position there.
    fn leave_position(&mut self, key: usize) {
        if self.first_waiting == Some(key) {
            self.first_waiting = self.next_waiting(key);
        }
        self.timers.leave(key, &self.waiters);
        if let Some(task) = self.waiters.get(key).task {
            self.slots.tasks.wait_ends(task);
        }
    }

    /// Ends the wait of a caller, which has an object or gives up; returns the result that it was served, if any.
    pub(crate) fn leave(&mut self, queued: &mut Option<usize>) -> Option<Served<M>> {
        let key = queued.take()?;
        if matches!(self.waiters.get(key).state, WaiterState::Waiting(_) | WaiterState::Called) {
            self.detach_checks(key);
            self.leave_position(key);
        }
        match self.waiters.remove(key).state {
            WaiterState::Served(served) => return Some(*served),
            WaiterState::Waiting(waker) => self.deferred.stale = Some(waker),
            WaiterState::Called => {
                self.called -= 1;
                // Passes the call on.
                self.call_next_below(self.waiters.len());
            }
            WaiterState::Expired => {}
        }
        None
    }

    /// Takes the waiters whose time is up out of the queue, and returns their wakers.
    pub(crate) fn expire_due(&mut self, now: Instant) -> Vec<Waker> {
        let mut wakers = Vec::new();
        while let Some(key) = self.timers.pop_due(now, &self.waiters, &self.limits) {
            // A called one was woken, and looks at its deadline itself.
            if matches!(self.waiters.get(key).state, WaiterState::Waiting(_)) {
                self.detach_checks(key);
                self.unlink(key);
                let state = mem::replace(&mut self.waiters.get_mut(key).state, WaiterState::Expired);
                if let WaiterState::Waiting(waker) = state {
                    wakers.push(waker);
                }
            }
        }
        wakers
    }

    /// Ends the wait of a caller whose time is up: returns the result that it was served in the last moment, or a report.
    pub(crate) fn expire(
        &mut self,
        queued: &mut Option<usize>,
        position: &Option<Position>,
        now: Instant,
    ) -> Served<M> {
        let Some(Position { ahead, since, .. }) = *position else {
            unreachable!("only a waiter runs out of time")
        };
        self.leave(queued).unwrap_or_else(|| {
            self.counts.timeouts += 1;
            let mut holders = self.holders(now);
            holders.truncate(NAMED);
            Err(GetError::Timeout(Box::new(Timeout {
                waited: now.saturating_duration_since(since),
                ahead,
                snapshot: self.snapshot(),
                holders,
                last_failure: self.last_failure.as_ref().map(|failure| failure.text.clone()),
                cause: self.last_failure.as_ref().map(|failure| Arc::clone(&failure.error)),
            })))
        })
    }

    /// Takes a waiter out of the queue with its result; returns its waker, unless it was called, and so woken, already.
    pub(super) fn serve(&mut self, key: usize, served: Served<M>) -> Option<Waker> {
        self.detach_checks(key);
        self.unlink(key);
        match mem::replace(&mut self.waiters.get_mut(key).state, WaiterState::Served(Box::new(served))) {
            WaiterState::Waiting(waker) => return Some(waker),
            WaiterState::Called => self.called -= 1,
            WaiterState::Served(_) | WaiterState::Expired => unreachable!("it would not be in the queue"),
        }
        None
    }

    pub(super) fn serve_and_wake(&mut self, key: usize, served: Served<M>) {
        match self.serve(key, served) {
            Some(waker) => self.deferred.wake(waker),
            // It was called: passes the call on.
            None => self.call_next_below(self.waiters.len()),
        }
    }

    /// Takes the results of all callers that were served and have not taken them: none of them can be polled any more.
    pub(crate) fn take_served(&mut self) -> Vec<Served<M>> {
        let served = |waiter: &mut Waiter<M>| match &mut waiter.state {
            WaiterState::Served(served) => Some(mem::replace(&mut **served, Err(GetError::Closed))),
            WaiterState::Waiting(_) | WaiterState::Called | WaiterState::Expired => None,
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
