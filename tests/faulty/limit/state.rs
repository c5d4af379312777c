//! The wait queue, and the order of service.

use std::{
    collections::{BTreeMap, VecDeque},
    task::Waker,
};

use evenkeel_tck::limit::{Change, Denied, Request, Settings};
use tokio::time::{Duration, Instant};

use super::{Fault, algorithm::Algorithm};

pub(super) struct State {
    fault: Fault,
    pub(super) algorithm: Algorithm,
    queue: VecDeque<Waiter>,
    /// Answers that their waiters have not observed yet.
    answers: BTreeMap<u64, (Result<(), Denied>, u32)>,
    next: u64,
    waiting: usize,
    max_waiters: usize,
    is_closed: bool,
}

/// A waiter in the queue.
struct Waiter {
    number: u64,
    permits: u32,
    waker: Waker,
}

impl State {
    pub(super) fn new(fault: Fault, settings: &Settings) -> Self {
        Self {
            fault,
            algorithm: Algorithm::new(fault, settings),
            queue: VecDeque::new(),
            answers: BTreeMap::new(),
            next: 0,
            waiting: 0,
            max_waiters: settings.max_waiters.unwrap_or(usize::MAX),
            is_closed: false,
        }
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    /// Returns whether a new request is granted now; takes nothing.
    pub(super) fn admits(&mut self, now: Instant, permits: u32, waits: bool) -> Result<bool, Denied> {
        if self.is_closed {
            return Err(Denied::Closed);
        }
        if self.algorithm.never_has(permits) && !self.is(Fault::SaysBusyToAll) {
            return Err(Denied::NeverFits);
        }
        let overtakes = !waits && matches!(self.fault, Fault::TryOvertakes | Fault::TryRunsFirst);
        Ok((overtakes || self.queue.is_empty()) && self.algorithm.has(now, permits))
    }

    /// The sum of the permits that the queue waits for.
    fn wanted(&self) -> u32 {
        self.queue.iter().map(|waiter| waiter.permits).sum()
    }

    /// Refuses a request that does not wait.
    pub(super) fn refuse(&mut self, now: Instant, permits: u32) -> Denied {
        match (self.fault, &mut self.algorithm) {
            (Fault::TakesWhatItRefuses, Algorithm::Bucket(bucket)) => bucket.empty(),
            (Fault::ForgetsRefusedTime, Algorithm::Bucket(bucket)) => bucket.round_down(),
            _ => {}
        }
        let before = if self.is(Fault::CountsNobodyBefore) { 0 } else { self.wanted() };
        Denied::Busy(self.algorithm.wait(now, before + permits).map(|wait| match self.fault {
            Fault::RoundsTheWaitDown => Duration::from_millis(wait.as_millis() as u64),
            Fault::RoundsTheWaitUp => wait + Duration::from_millis(1),
            _ => wait,
        }))
    }

    /// Enqueues a waiter, and returns its number.
    pub(super) fn enqueue(&mut self, now: Instant, request: Request) -> Result<u64, Denied> {
        if self.waiting >= self.max_waiters && !self.is(Fault::HasNoBound) {
            return Err(Denied::QueueFull);
        }
        let wanted = self.wanted() + request.permits;
        let ready_at = self.algorithm.wait(now, wanted).map(|wait| now + wait);
        if let (Some(deadline), Some(ready_at)) = (request.deadline, ready_at) {
            let is_late =
                ready_at > deadline || ready_at == deadline && self.is(Fault::TakesTheDeadlineForLate);
            if is_late && !self.is(Fault::RefusesAtTheDeadline) {
                if self.is(Fault::ChargesWhoIsLate)
                    && let Algorithm::Bucket(bucket) = &mut self.algorithm
                {
                    bucket.charge(request.permits);
                }
                return Err(Denied::Deadline);
            }
        }
        self.next += 1;
        self.waiting += 1;
        let waiter = Waiter { number: self.next, permits: request.permits, waker: Waker::noop().clone() };
        match self.fault {
            Fault::LastComesFirst | Fault::LastRunsFirst => self.queue.push_front(waiter),
            _ => self.queue.push_back(waiter),
        }
        self.algorithm.is_awaited(true);
        Ok(self.next)
    }

    /// Grants what can be granted now.
    pub(super) fn serve(&mut self, now: Instant) {
        while let Some(index) = self.first() {
            let (number, permits) = (self.queue[index].number, self.queue[index].permits);
            if !self.algorithm.has(now, permits) {
                break;
            }
            self.algorithm.take(now, permits);
            if self.is(Fault::CountsFromTheTimer)
                && let Algorithm::Bucket(bucket) = &mut self.algorithm
            {
                bucket.empty();
            }
            self.answer(index, number, Ok(()));
            if matches!(self.fault, Fault::WakesEverybody | Fault::WakesAllForOne | Fault::NeedsTheFirst)
                || matches!(self.algorithm, Algorithm::Window(_))
            {
                self.wake_all();
            }
        }
        self.algorithm.is_awaited(!self.queue.is_empty());
    }

    fn first(&self) -> Option<usize> {
        match self.fault {
            Fault::SmallComesFirst | Fault::LightRunsFirst => {
                (0..self.queue.len()).min_by_key(|index| self.queue[*index].permits)
            }
            _ => (!self.queue.is_empty()).then_some(0),
        }
    }

    fn answer(&mut self, index: usize, number: u64, answer: Result<(), Denied>) {
        if let Some(waiter) = self.queue.remove(index) {
            self.waiting -= 1;
            self.answers.insert(number, (answer, waiter.permits));
            waiter.waker.wake();
        }
    }

    /// Returns the answer if there is one, else the time at which to poll again; stores the waker.
    pub(super) fn poll_waiter(
        &mut self,
        now: Instant,
        number: u64,
        waker: &Waker,
    ) -> Result<Result<(), Denied>, Option<Instant>> {
        if !self.is(Fault::NeedsTheFirst) || self.queue.front().is_some_and(|waiter| waiter.number == number)
        {
            self.serve(now);
        }
        if let Some((answer, _)) = self.answers.remove(&number) {
            return Ok(answer);
        }
        let mut wanted = 0;
        let mut is_first = true;
        for waiter in &mut self.queue {
            wanted += waiter.permits;
            if waiter.number == number {
                waiter.waker.clone_from(waker);
                break;
            }
            is_first = false;
        }
        let is_timed = match self.fault {
            Fault::NeedsTheFirst => is_first,
            _ => is_first || !matches!(self.algorithm, Algorithm::Window(_)),
        };
        let late = if self.is(Fault::WakesLate) { Duration::from_millis(5) } else { Duration::ZERO };
        let wait = if is_timed { self.algorithm.wait(now, wanted) } else { None };
        Err(wait.map(|wait| now + wait + late))
    }

    /// Cancels a waiter; a grant that it has not observed goes back.
    pub(super) fn cancel(&mut self, now: Instant, number: u64) {
        if let Some((answer, permits)) = self.answers.remove(&number) {
            if answer.is_ok() {
                self.release(now, permits);
            }
            return;
        }
        let Some(index) = self.queue.iter().position(|waiter| waiter.number == number) else { return };
        let permits = self.queue[index].permits;
        if self.is(Fault::KeepsThePlaceOfWhoLeft) {
            return;
        }
        self.queue.remove(index);
        if !self.is(Fault::CountsWhoLeft) {
            self.waiting -= 1;
        }
        match &mut self.algorithm {
            Algorithm::Bucket(bucket) if self.fault == Fault::ChargesWhoLeaves => bucket.charge(permits),
            Algorithm::Bucket(bucket) if self.fault == Fault::LosesWhatWasCollected => {
                bucket.count(now);
                bucket.empty();
            }
            algorithm if self.fault == Fault::LosesPermitsOfWhoLeft => algorithm.take(now, permits),
            _ => {}
        }
        self.serve(now);
        self.wake_all();
    }

    /// Takes granted permits back.
    pub(super) fn release(&mut self, now: Instant, permits: u32) {
        match &mut self.algorithm {
            Algorithm::Bucket(bucket) => bucket.refund(now, permits),
            Algorithm::Semaphore(semaphore) => semaphore.release(permits),
            Algorithm::Window(_) => {}
        }
        self.serve(now);
    }

    pub(super) fn change(&mut self, now: Instant, change: Change) {
        let for_new_only = match (&mut self.algorithm, change) {
            (Algorithm::Bucket(bucket), Change::Rate(rate)) => {
                bucket.set_rate(now, rate);
                Fault::ChangesForNewOnly
            }
            (Algorithm::Bucket(bucket), Change::Burst(burst)) => {
                bucket.set_burst(now, burst);
                Fault::ChangesForNewOnly
            }
            (Algorithm::Bucket(bucket), Change::Refund(permits)) => {
                bucket.refund(now, permits);
                Fault::RefundsForNewOnly
            }
            (Algorithm::Bucket(bucket), Change::Penalty(time)) => {
                bucket.pause(now, time);
                Fault::ChangesForNewOnly
            }
            (Algorithm::Semaphore(semaphore), Change::Limit(limit)) => {
                semaphore.set_limit(limit);
                Fault::RaisesForNewOnly
            }
            _ => return self.close(),
        };
        if self.fault != for_new_only {
            self.serve(now);
            self.wake_all();
        }
    }

    /// Settles a reservation, made then for `reserved` permits, with the number of used ones.
    pub(super) fn settle(&mut self, now: Instant, (at, reserved): (Instant, u32), used: u32) {
        match &mut self.algorithm {
            Algorithm::Bucket(bucket) => bucket.settle(now, reserved, used),
            Algorithm::Window(window) => window.settle(at, reserved, used),
            Algorithm::Semaphore(_) => {}
        }
        if !self.is(Fault::SettlesForNewOnly) {
            self.serve(now);
            self.wake_all();
        }
    }

    fn close(&mut self) {
        self.is_closed = true;
        while !matches!(self.fault, Fault::ClosesForNewOnly | Fault::ClosesForNewRunsOnly) {
            let Some(waiter) = self.queue.front() else { return };
            self.answer(0, waiter.number, Err(Denied::Closed));
        }
    }

    fn wake_all(&self) {
        self.queue.iter().for_each(|waiter| waiter.waker.wake_by_ref());
    }
}
