//! What the runner does: which calls there are, and what follows from them.

use std::{mem, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Ask, BELIEVED, Patience, Step, TERM, Till, Upshot};
use crate::{
    algorithm::bucket::Bucket,
    distributed::{
        OnFailure,
        error::Failure,
        outage::{self, Cause, Outage},
        store::{Answer, CallError, Taken},
    },
    error::Denied,
    sync::wait_queue::{WaitQueue, Waiter},
};

/// With leases, calls for permits that are still to be earned keep this distance, or half a lease's.
const BREATH: Duration = Duration::from_millis(10);

impl Till {
    /// What the runner does next; nothing, if it ends.
    pub(in crate::distributed) fn step(&mut self) -> Option<Step> {
        self.starting = false;
        let turn = self.turn();
        let step = self.next_step(Instant::now(), turn);
        self.running = step.is_some();
        self.calling = matches!(step, Some(Step::Ask(_)));
        step
    }

    /// Serves those who go by a share, and tells when the next one of them has its turn.
    pub(in crate::distributed) fn turn(&mut self) -> Option<Instant> {
        self.outage.as_mut()?.share()?;
        self.serve();
        let (share, first) = (self.outage.as_mut()?.share()?, self.queue.front()?);
        Some(Instant::now() + share.until(share.due(0, first.permits)))
    }

    fn next_step(&mut self, now: Instant, turn: Option<Instant>) -> Option<Step> {
        if self.closed {
            return self.give_back();
        }
        if let Some(outage) = &self.outage {
            if now >= outage.until {
                return Some(self.ask(0, 1, 1));
            }
            if !self.queue.is_empty() {
                return Some(Step::Pause(turn.map_or(outage.until, |turn| turn.min(outage.until))));
            }
        } else if let Some(first) = self.queue.front() {
            if let Some(until) = self.pause_for(first, now) {
                return Some(Step::Pause(until));
            }
            let lacking = first.permits - self.left;
            let least = if first.meta == Patience::None { lacking } else { 1 };
            let wanted = (self.queue.permits() - u64::from(self.left)).max(self.terms.lease.into());
            let most = wanted.min(self.quota.burst.into()) as u32;
            return Some(self.ask(0, least, most));
        }
        if self.left > 0 && now < self.term {
            return Some(Step::Pause(self.term));
        }
        self.give_back()
    }

    fn give_back(&mut self) -> Option<Step> {
        let returned = mem::take(&mut self.left);
        // A store that is down cannot take them: they are lost.
        let able = returned > 0 && self.outage.is_none();
        able.then(|| self.ask(returned, 0, 0))
    }

    fn ask(&self, returned: u32, least: u32, most: u32) -> Step {
        Step::Ask(Ask { first: self.calls == 0, returned, least, most })
    }

    /// Until when it is of no use to ask for the first one who waits.
    pub(super) fn pause_for(&self, first: &Waiter<Patience>, now: Instant) -> Option<Instant> {
        let (at, full_in) = self.empty.filter(|_| first.meta == Patience::Some)?;
        // Half of what it lacks, and half of the rest: few calls, of which the last one comes in time.
        let half = (first.permits - self.left).div_ceil(2);
        let breath = BREATH.min(self.quota.wait(self.quota.fill(), (self.terms.lease / 2).into()));
        let until = at + self.quota.wait(full_in, half.into()).max(breath).min(BELIEVED);
        (now < until).then_some(until)
    }

    /// Takes the answer to a question.
    pub(in crate::distributed) fn settle(&mut self, ask: Ask, answer: Answer) -> Upshot {
        self.calling = false;
        self.calls += 1;
        match answer.and_then(|taken| self.check(ask, taken)) {
            Ok(taken) => self.receive(ask, taken),
            Err(error) => self.fail(error),
        }
    }

    fn check(&self, ask: Ask, taken: Taken) -> Answer {
        let Taken { granted, full_in } = taken;
        let of_use = granted == 0 || (ask.least..=ask.most).contains(&granted);
        // Who did not get all must have something to wait for.
        let more = if granted == 0 { ask.least } else { 1 };
        let all = granted == ask.most || !self.quota.wait(full_in, more.into()).is_zero();
        let sound = of_use && all && full_in <= self.quota.fill();
        if sound { Ok(taken) } else { Err(CallError::of(Failure::Nonsense)) }
    }

    fn receive(&mut self, ask: Ask, taken: Taken) -> Upshot {
        let now = Instant::now();
        let outage = self.outage.take().map(|outage| {
            let lasted = outage.lasted();
            self.after.causes.push(outage.cause);
            lasted
        });
        if taken.granted > 0 {
            self.left = self.left.saturating_add(taken.granted);
            self.term = now + TERM;
        }
        self.empty = (taken.granted < ask.most).then_some((now, taken.full_in));
        self.serve();
        self.refuse_the_impatient(now);
        Upshot::Taken(taken.granted, outage)
    }

    /// Refuses those who do not wait for what is not there.
    fn refuse_the_impatient(&mut self, now: Instant) {
        if self.impatient == 0 {
            return;
        }
        let mut queue = mem::replace(&mut self.queue, WaitQueue::new());
        let mut woken = vec![];
        let verdict = |before, waiter: &Waiter<Patience>| {
            let wait = self.wait(now, before, waiter.permits);
            let waits = waiter.meta == Patience::Some || wait.is_zero();
            if waits { Ok(()) } else { Err(Denied::busy(wait)) }
        };
        queue.refuse(verdict, |waiter| woken.push(waiter.waker));
        self.queue = queue;
        self.impatient -= woken.len();
        self.after.wake.append(&mut woken);
        self.serve();
    }

    fn fail(&mut self, error: CallError) -> Upshot {
        self.failures += 1;
        self.empty = None;
        let (cause, misconfigured) = (Cause::from(error.cause), error.misconfigured);
        let first = self.outage.is_none();
        let (rate, burst) = (self.rate, self.quota.burst);
        let outage = match &mut self.outage {
            Some(outage) => {
                self.after.causes.push(outage.continue_with(Arc::clone(&cause), misconfigured));
                outage
            }
            none => none.insert(Outage::new(Arc::clone(&cause), misconfigured)),
        };
        match self.terms.on_failure {
            OnFailure::LocalShare(processes) if !misconfigured => {
                outage.set_share(Some(|| outage::share(rate, burst, processes)));
                self.refuse_the_impatient(Instant::now());
            }
            _ => {
                outage.set_share(None::<fn() -> Bucket>);
                self.dismiss();
            }
        }
        Upshot::Failed { cause, first }
    }

    /// The runner was dropped before its last step.
    pub(in crate::distributed) fn cut_off(&mut self) -> Option<Upshot> {
        self.running = false;
        // A runtime that did not take it over has ended: whoever waits is not to try that again.
        let is_dead = mem::take(&mut self.starting);
        let failed = (mem::take(&mut self.calling) || is_dead) && !self.closed;
        let upshot = failed.then(|| self.fail(CallError::of(Failure::CutOff)));
        if !is_dead {
            self.dismiss();
        }
        upshot
    }
}
