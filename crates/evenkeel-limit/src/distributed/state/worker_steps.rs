//! The steps of the worker: the next call or sleep, and the consequences of an answer.

use std::{mem, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{CallOutcome, CallRequest, EMPTY_TTL, LEASE_TTL, State, WaiterMeta, WorkerAction};
use crate::{
    distributed::{
        OnFailure,
        error::Failure,
        outage::{self, Cause, Outage},
        store::{Answer, CallError, Taken},
    },
    error::Denied,
    sync::{
        entry::Mode,
        wait_queue::{WaitQueue, Waiter},
    },
};

/// The distance between calls for permits that are still to be earned, with leases: this, or the time in which half a
/// lease is earned.
const MIN_CALL_INTERVAL: Duration = Duration::from_millis(10);

impl State {
    /// The next action of the worker; `None` ends it.
    pub(in crate::distributed) fn next_action(&mut self) -> Option<WorkerAction> {
        self.worker_starting = false;
        let next_turn = self.serve_local_share();
        let action = self.choose_action(Instant::now(), next_turn);
        self.worker_running = action.is_some();
        self.calling = matches!(action, Some(WorkerAction::Call(_)));
        action
    }

    /// Serves waiters from the local share, and returns the turn of the next one.
    pub(in crate::distributed) fn serve_local_share(&mut self) -> Option<Instant> {
        self.local_share()?;
        self.serve();
        let permits = self.queue.front()?.permits;
        let share = self.local_share()?;
        Some(Instant::now() + share.until(share.due(0, permits)))
    }

    fn choose_action(&mut self, now: Instant, next_turn: Option<Instant>) -> Option<WorkerAction> {
        if self.closed {
            return self.return_lease();
        }
        if let Some(outage) = &self.outage {
            if now >= outage.until {
                return Some(self.call(0, 1, 1));
            }
            if !self.queue.is_empty() {
                let until = next_turn.map_or(outage.until, |turn| turn.min(outage.until));
                return Some(WorkerAction::Sleep(until));
            }
        } else if let Some(first) = self.queue.front() {
            if let Some(until) = self.next_call_at(first, now) {
                return Some(WorkerAction::Sleep(until));
            }
            let lacking = first.permits - self.leased;
            let least = if first.meta.mode == Mode::Try { lacking } else { 1 };
            let wanted = (self.queue.permits() - u64::from(self.leased)).max(self.config.lease.into());
            let most = wanted.min(self.quota.burst.into()) as u32;
            return Some(self.call(0, least, most));
        }
        if self.leased > 0 && now < self.lease_expires {
            return Some(WorkerAction::Sleep(self.lease_expires));
        }
        self.return_lease()
    }

    fn return_lease(&mut self) -> Option<WorkerAction> {
        let returned = mem::take(&mut self.leased);
        // A store that is down cannot take the permits back: they are lost.
        let can_return = returned > 0 && self.outage.is_none();
        can_return.then(|| self.call(returned, 0, 0))
    }

    fn call(&self, returned: u32, least: u32, most: u32) -> WorkerAction {
        WorkerAction::Call(CallRequest { is_first: self.calls == 0, returned, least, most })
    }

    /// When to call the store for the first waiter, unless at once: its bucket is known to be empty until then.
    pub(super) fn next_call_at(&self, first: &Waiter<WaiterMeta>, now: Instant) -> Option<Instant> {
        let (at, full_in) = self.empty.filter(|_| first.meta.mode == Mode::Wait)?;
        // Each call waits for half of the permits that are lacking: few calls, and the last one is in time.
        let half = (first.permits - self.leased).div_ceil(2);
        let half_lease = self.quota.wait(self.quota.fill(), (self.config.lease / 2).into());
        let interval = MIN_CALL_INTERVAL.min(half_lease);
        let until = at + self.quota.wait(full_in, half.into()).max(interval).min(EMPTY_TTL);
        (now < until).then_some(until)
    }

    /// Applies the answer of the store.
    pub(in crate::distributed) fn apply_answer(
        &mut self,
        request: CallRequest,
        answer: Answer,
    ) -> CallOutcome {
        self.calling = false;
        self.calls += 1;
        match answer.and_then(|taken| self.check(request, taken)) {
            Ok(taken) => self.add_to_lease(request, taken),
            Err(error) => self.fail(error),
        }
    }

    /// Rejects an answer that contradicts the request.
    fn check(&self, request: CallRequest, taken: Taken) -> Answer {
        let Taken { granted, full_in } = taken;
        let in_range = granted == 0 || (request.least..=request.most).contains(&granted);
        // A bucket that granted less than all must take time until it has the next permits: without it the worker
        // would call in a loop.
        let next = if granted == 0 { request.least } else { 1 };
        let is_complete = granted == request.most || !self.quota.wait(full_in, next.into()).is_zero();
        let is_valid = in_range && is_complete && full_in <= self.quota.fill();
        if is_valid { Ok(taken) } else { Err(CallError::of(Failure::InvalidAnswer)) }
    }

    fn add_to_lease(&mut self, request: CallRequest, taken: Taken) -> CallOutcome {
        let now = Instant::now();
        let outage = self.outage.take().map(|outage| {
            let lasted = outage.lasted();
            self.effects.drop_causes.push(outage.cause);
            lasted
        });
        if taken.granted > 0 {
            self.leased = self.leased.saturating_add(taken.granted);
            self.lease_expires = now + LEASE_TTL;
        }
        // A bucket from which all was granted may have nothing more all the same.
        let is_empty = taken.granted < request.most || !self.quota.wait(taken.full_in, 1).is_zero();
        self.empty = is_empty.then_some((now, taken.full_in));
        self.serve();
        self.deny_try_waiters(now);
        CallOutcome::Granted { permits: taken.granted, outage }
    }

    /// Denies the requests that only try and are not served by now.
    fn deny_try_waiters(&mut self, now: Instant) {
        if self.try_waiters == 0 {
            return;
        }
        // The queue is moved out, because the check of its waiters borrows the rest of the state.
        let mut queue = mem::replace(&mut self.queue, WaitQueue::new());
        let mut woken = vec![];
        let check = |ahead, waiter: &Waiter<WaiterMeta>| {
            let wait = self.expected_wait(now, ahead, waiter.permits);
            let stays = waiter.meta.mode == Mode::Wait || wait.is_zero();
            if stays { Ok(()) } else { Err(Denied::busy(wait)) }
        };
        queue.deny(check, |waiter| woken.push(waiter.waker));
        self.queue = queue;
        self.try_waiters -= woken.len();
        self.effects.wake.append(&mut woken);
        self.serve();
    }

    fn fail(&mut self, error: CallError) -> CallOutcome {
        self.failures += 1;
        self.empty = None;
        let (cause, misconfigured) = (Cause::from(error.cause), error.misconfigured);
        let begins_outage = self.outage.is_none();
        let (rate, burst) = (self.rate, self.quota.burst);
        let outage = match &mut self.outage {
            Some(outage) => {
                self.effects.drop_causes.push(outage.continue_with(Arc::clone(&cause), misconfigured));
                outage
            }
            none => none.insert(Outage::new(Arc::clone(&cause), misconfigured)),
        };
        match self.config.on_failure {
            OnFailure::LocalShare(processes) if !misconfigured => {
                outage.local_share.get_or_insert_with(|| outage::share(rate, burst, processes));
                self.deny_try_waiters(Instant::now());
            }
            _ => {
                outage.local_share = None;
                self.reenter_waiters();
            }
        }
        CallOutcome::Failed { cause, begins_outage }
    }

    /// The worker was dropped before its end: aborted, by a panic, or with its runtime.
    pub(in crate::distributed) fn worker_dropped(&mut self, has_panicked: bool) -> Option<CallOutcome> {
        self.worker_running = false;
        // A runtime that did not accept the worker has ended. This counts as an outage, so that its waiters do not enter
        // again only to start the next worker there.
        let is_dead = mem::take(&mut self.worker_starting);
        let failed = (mem::take(&mut self.calling) || is_dead) && !self.closed;
        let outcome = failed.then(|| self.fail(CallError::of(Failure::CutOff)));
        if !is_dead {
            self.reenter_waiters();
        }
        // Another one returns the lease; a limit that was dropped ends by an abort, and not by a panic.
        if has_panicked && !is_dead {
            self.schedule_return();
        }
        outcome
    }
}
