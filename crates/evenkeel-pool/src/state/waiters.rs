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

use tokio::{
    runtime::{Handle, Id},
    time::Instant,
};

use super::{
    State,
    queue::{Limit, Queued, Served, Waiter, WaiterState},
    shared::Shared,
    slot::{NewSlot, PooledObject, SlotGuard, SlottedObject},
    slots::{Place, SlotUse},
    tasks::TaskKey,
    timers::TimerStart,
};
use crate::{GetError, Manager, Panic, Timeout};

/// The number of holders that a [`Timeout`] names.
const NAMED: usize = 3;

/// A caller at one poll of its future.
pub(crate) struct Caller<'a, M: Manager> {
    pub(crate) shared: &'a Arc<Shared<M>>,
    pub(crate) place: Place,
    pub(crate) waker: &'a Waker,
    /// Its own deadline, if it has one.
    pub(crate) deadline: Option<Instant>,
    prepared: Option<Prepared>,
    /// The place to which it goes back if its object is no good.
    pub(crate) place_in_queue: Option<Queued>,
    /// The time at which it began to wait in this poll.
    waits_from: Option<Instant>,
    /// The timer that it has to start, as the first waiter of its runtime.
    pub(crate) timer: Option<TimerStart>,
}

/// All that a caller brings to wait. It is made, and dropped if it is not needed, without the lock.
pub(crate) struct Prepared {
    waker: Waker,
    runtime: Handle,
    now: Instant,
    task: Option<TaskKey>,
}

impl<'a, M: Manager> Caller<'a, M> {
    pub(crate) fn new(
        shared: &'a Arc<Shared<M>>,
        place: Place,
        deadline: Option<Instant>,
        waker: &'a Waker,
    ) -> Self {
        Self {
            shared,
            place,
            waker,
            deadline,
            prepared: None,
            place_in_queue: None,
            waits_from: None,
            timer: None,
        }
    }

    /// Returns the time if that of the caller is up in the poll in which it begins to wait: no timer watches it.
    pub(crate) fn late(&self, queued: &Option<Queued>) -> Option<Instant> {
        self.waits_from.filter(|now| queued.as_ref().is_some_and(|queued| queued.deadline <= *now))
    }

    /// Makes ready to wait.
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    pub(crate) fn prepare(&mut self) {
        let runtime = Handle::current();
        let (waker, task) = (self.waker.clone(), self.shared.current_task());
        self.prepared = Some(Prepared { waker, runtime, now: Instant::now(), task });
    }
}

impl<M: Manager> Drop for Caller<'_, M> {
    fn drop(&mut self) {
        // It has an object, and leaves its checks to other waiters.
        if let Some(Queued { number, has_checks: true, .. }) = self.place_in_queue {
            self.shared.update(|state| state.slots.detach_checks(number));
        }
        // A waker that panicked kept it from starting the timer on which others rely by now.
        if let Some(timer) = self.timer.take() {
            drop(Panic::catch(|| self.shared.start_timer(timer)));
        }
    }
}

/// The next step of a caller.
pub(crate) enum CheckoutStep<M: Manager> {
    /// Prepare to wait, and ask again.
    Prepare,
    /// Check this object, which was idle.
    Check(SlottedObject<M>),
    /// Spawn a creation in this slot, and wait.
    Create(NewSlot<M>),
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
        let Some(key) = self.first_waiting else { return };
        self.first_waiting = self.next_waiting(key);
        if let WaiterState::Waiting(waker) =
            mem::replace(&mut self.waiters.get_mut(key).state, WaiterState::Called)
        {
            self.called += 1;
            self.deferred.wake(waker);
        }
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
    pub(crate) fn step(
        &mut self,
        queued: &mut Option<Queued>,
        caller: &mut Caller<'_, M>,
    ) -> CheckoutStep<M> {
        let Some(Queued { key, .. }) = *queued else { return self.on_arrival(queued, caller) };
        match &mut self.waiters.get_mut(key).state {
            WaiterState::Waiting(last) if last.will_wake(caller.waker) => CheckoutStep::Wait,
            WaiterState::Waiting(last) => {
                let Some(prepared) = caller.prepared.take() else { return CheckoutStep::Prepare };
                self.deferred.stale = Some(mem::replace(last, prepared.waker));
                self.move_to_runtime(key, prepared.runtime.id(), caller);
                CheckoutStep::Wait
            }
            WaiterState::Called => self.on_called(queued, key, caller),
            WaiterState::Served(_) => self.leave(queued).map_or(CheckoutStep::Wait, CheckoutStep::Done),
            WaiterState::Expired => CheckoutStep::Done(self.expire(queued, Instant::now())),
        }
    }

    fn on_arrival(&mut self, queued: &mut Option<Queued>, caller: &mut Caller<'_, M>) -> CheckoutStep<M> {
        if self.closed {
            return CheckoutStep::Done(Err(GetError::Closed));
        }
        // Waiters that are called have an idle object each; a newcomer lets all others go first.
        let may_take = match caller.place_in_queue {
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

    fn join_queue(
        &mut self,
        queued: &mut Option<Queued>,
        caller: &mut Caller<'_, M>,
        prepared: Prepared,
    ) -> usize {
        let Prepared { waker, runtime, now, task } = prepared;
        let limit = caller.deadline.map_or(Limit::Common, |_| Limit::Own);
        let place = caller.place_in_queue.take().unwrap_or_else(|| {
            let deadline = caller.deadline.unwrap_or_else(|| caller.shared.acquire_deadline(now));
            let number = self.arrivals;
            self.arrivals += 1;
            Queued { key: 0, number, has_checks: false, ahead: self.waiters.len(), since: now, deadline }
        });
        let Queued { number, has_checks, deadline, .. } = place;
        let waiter = Waiter {
            place: caller.place,
            state: WaiterState::Waiting(waker),
            has_checks,
            number,
            deadline,
            limit,
            runtime: runtime.id(),
            task,
        };
        if let Some(task) = task {
            self.slots.tasks.wait_begins(task);
        }
        // A newcomer is the last one; a caller that comes back passes those that came later.
        let next = match self.arrivals == number + 1 {
            true => None,
            false => self.waiters.iter().find(|(_, other)| other.number > number).map(|(key, _)| key),
        };
        let key = match next {
            Some(next) => self.waiters.insert_before(next, waiter),
            None => self.waiters.push_back(waiter),
        };
        self.is_waiting(key);
        caller.timer = self.timers.join(key, &self.waiters, &mut self.deferred);
        caller.waits_from = Some(now);
        self.slots.set_time(now);
        *queued = Some(Queued { key, ..place });
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
        if last != runtime {
            self.timers.leave_runtime(last);
            caller.timer = self.timers.join_runtime(runtime);
        }
    }

    /// Returns the step of a waiter that was called: it leaves the queue with an idle object, or waits again.
    fn on_called(
        &mut self,
        queued: &mut Option<Queued>,
        key: usize,
        caller: &mut Caller<'_, M>,
    ) -> CheckoutStep<M> {
        if let Some((pooled, place_in_queue)) = self.take_called(queued, caller.place) {
            caller.place_in_queue = place_in_queue;
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
        queued: &mut Option<Queued>,
        place: Place,
    ) -> Option<(Box<PooledObject<M>>, Option<Queued>)> {
        let key = queued.as_ref()?.key;
        if !matches!(self.waiters.get(key).state, WaiterState::Called) {
            return None;
        }
        let pooled = self.lease_idle(place, self.waiters.get(key).task)?;
        self.leave_position(key);
        let has_checks = self.waiters.remove(key).has_checks;
        self.called -= 1;
        Some((pooled, queued.take().map(|queued| Queued { has_checks, ..queued })))
    }

    /// Begins a creation if a waiter needs one.
    ///
    /// Any caller can begin it, called or not: its result goes to the first waiter. Idle objects are left to the
    /// waiters that are called.
    fn create_if_due(&mut self, caller: &Caller<'_, M>) -> CheckoutStep<M> {
        if self.waiters_without_task() > self.idle.len() && self.allowed_creations() > 0 {
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

    fn wait_again(&mut self, key: usize, prepared: Prepared, caller: &mut Caller<'_, M>) {
        caller.waits_from = Some(prepared.now);
        self.waiters.get_mut(key).state = WaiterState::Waiting(prepared.waker);
        self.called -= 1;
        self.is_waiting(key);
        self.move_to_runtime(key, prepared.runtime.id(), caller);
    }

    /// Returns the step of a caller that leaves the check of its object to a task; it is prepared to wait.
    pub(crate) fn wait_for_check(
        &mut self,
        slot: usize,
        queued: &mut Option<Queued>,
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
    pub(crate) fn leave(&mut self, queued: &mut Option<Queued>) -> Option<Served<M>> {
        let key = queued.take()?.key;
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
        while let Some(key) = self.timers.pop_due(now, &self.waiters) {
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
    pub(crate) fn expire(&mut self, queued: &mut Option<Queued>, now: Instant) -> Served<M> {
        let Some(Queued { ahead, since, .. }) = *queued else {
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
        if let Some(waker) = self.serve(key, served) {
            self.deferred.wake(waker);
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
