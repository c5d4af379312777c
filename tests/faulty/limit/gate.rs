//! Who waits, and who is served.

use std::{
    collections::{BTreeMap, VecDeque},
    task::Waker,
};

use evenkeel_tck::limit::{Change, Denied, Reason, Request, Settings};
use tokio::time::{Duration, Instant};

use super::{Fault, stock::Stock};

pub(super) struct Gate {
    fault: Fault,
    pub(super) stock: Stock,
    queue: VecDeque<Place>,
    /// Of those that were in the queue and have not seen it.
    answers: BTreeMap<u64, (Result<(), Denied>, u32)>,
    next: u64,
    waiting: usize,
    max_waiters: usize,
    is_closed: bool,
}

/// A place in the queue.
struct Place {
    number: u64,
    permits: u32,
    waker: Waker,
}

impl Gate {
    pub(super) fn new(fault: Fault, settings: &Settings) -> Self {
        Self {
            fault,
            stock: Stock::new(fault, settings),
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

    /// Whether this is granted now, to somebody who comes now; nothing is taken yet.
    pub(super) fn admits(&mut self, now: Instant, permits: u32, waits: bool) -> Result<bool, Denied> {
        if self.is_closed {
            return Err(Denied::new(Reason::Closed));
        }
        if self.stock.never_has(permits) && !self.is(Fault::SaysBusyToAll) {
            return Err(Denied::new(Reason::NeverFits));
        }
        let overtakes = !waits && matches!(self.fault, Fault::TryOvertakes | Fault::TryRunsFirst);
        Ok((overtakes || self.queue.is_empty()) && self.stock.has(now, permits))
    }

    /// How much those who wait have asked for.
    fn wanted(&self) -> u32 {
        self.queue.iter().map(|place| place.permits).sum()
    }

    /// Refuses somebody who does not wait.
    pub(super) fn refuse(&mut self, now: Instant, permits: u32) -> Denied {
        match (self.fault, &mut self.stock) {
            (Fault::TakesWhatItRefuses, Stock::Bucket(bucket)) => bucket.spill(),
            (Fault::ForgetsRefusedTime, Stock::Bucket(bucket)) => bucket.round_down(),
            _ => {}
        }
        let before = if self.is(Fault::CountsNobodyBefore) { 0 } else { self.wanted() };
        let busy = Denied::new(Reason::Busy);
        match self.stock.wait(now, before + permits) {
            Some(wait) if self.is(Fault::RoundsTheWaitDown) => {
                busy.until(Duration::from_millis(wait.as_millis() as u64))
            }
            Some(wait) if self.is(Fault::RoundsTheWaitUp) => busy.until(wait + Duration::from_millis(1)),
            Some(wait) => busy.until(wait),
            None => busy,
        }
    }

    /// Lets somebody wait, who has the number then.
    pub(super) fn enter(&mut self, now: Instant, request: Request) -> Result<u64, Denied> {
        if self.waiting >= self.max_waiters && !self.is(Fault::HasNoBound) {
            return Err(Denied::new(Reason::QueueFull));
        }
        let wanted = self.wanted() + request.permits;
        let turn = self.stock.wait(now, wanted).map(|wait| now + wait);
        if let (Some(deadline), Some(turn)) = (request.deadline, turn) {
            let is_late = turn > deadline || turn == deadline && self.is(Fault::TakesTheDeadlineForLate);
            if is_late && !self.is(Fault::RefusesAtTheDeadline) {
                if self.is(Fault::ChargesWhoIsLate)
                    && let Stock::Bucket(bucket) = &mut self.stock
                {
                    bucket.charge(request.permits);
                }
                return Err(Denied::new(Reason::Deadline));
            }
        }
        self.next += 1;
        self.waiting += 1;
        let place = Place { number: self.next, permits: request.permits, waker: Waker::noop().clone() };
        match self.fault {
            Fault::LastComesFirst | Fault::LastRunsFirst => self.queue.push_front(place),
            _ => self.queue.push_back(place),
        }
        self.stock.is_awaited(true);
        Ok(self.next)
    }

    /// Grants what can be granted now.
    pub(super) fn serve(&mut self, now: Instant) {
        while let Some(index) = self.first() {
            let (number, permits) = (self.queue[index].number, self.queue[index].permits);
            if !self.stock.has(now, permits) {
                break;
            }
            self.stock.take(now, permits);
            if self.is(Fault::CountsFromTheTimer)
                && let Stock::Bucket(bucket) = &mut self.stock
            {
                bucket.spill();
            }
            self.answer(index, number, Ok(()));
            if matches!(self.fault, Fault::WakesEverybody | Fault::WakesAllForOne | Fault::NeedsTheFirst)
                || matches!(self.stock, Stock::Window(_))
            {
                self.wake_all();
            }
        }
        self.stock.is_awaited(!self.queue.is_empty());
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
        if let Some(place) = self.queue.remove(index) {
            self.waiting -= 1;
            self.answers.insert(number, (answer, place.permits));
            place.waker.wake();
        }
    }

    /// The answer, if there is one; else when to look again, and with this waker.
    pub(super) fn look(
        &mut self,
        now: Instant,
        number: u64,
        waker: &Waker,
    ) -> Result<Result<(), Denied>, Option<Instant>> {
        if !self.is(Fault::NeedsTheFirst) || self.queue.front().is_some_and(|place| place.number == number) {
            self.serve(now);
        }
        if let Some((answer, _)) = self.answers.remove(&number) {
            return Ok(answer);
        }
        let mut wanted = 0;
        let mut is_first = true;
        for place in &mut self.queue {
            wanted += place.permits;
            if place.number == number {
                place.waker.clone_from(waker);
                break;
            }
            is_first = false;
        }
        let is_timed = match self.fault {
            Fault::NeedsTheFirst => is_first,
            _ => is_first || !matches!(self.stock, Stock::Window(_)),
        };
        let late = if self.is(Fault::WakesLate) { Duration::from_millis(5) } else { Duration::ZERO };
        let wait = if is_timed { self.stock.wait(now, wanted) } else { None };
        Err(wait.map(|wait| now + wait + late))
    }

    /// Somebody who was let in gives up.
    pub(super) fn leave(&mut self, now: Instant, number: u64) {
        if let Some((answer, permits)) = self.answers.remove(&number) {
            if answer.is_ok() {
                self.give_back(now, permits);
            }
            return;
        }
        let Some(index) = self.queue.iter().position(|place| place.number == number) else { return };
        let permits = self.queue[index].permits;
        if self.is(Fault::KeepsThePlaceOfWhoLeft) {
            return;
        }
        self.queue.remove(index);
        if !self.is(Fault::CountsWhoLeft) {
            self.waiting -= 1;
        }
        match &mut self.stock {
            Stock::Bucket(bucket) if self.fault == Fault::ChargesWhoLeaves => bucket.charge(permits),
            Stock::Bucket(bucket) if self.fault == Fault::LosesWhatWasCollected => {
                bucket.count(now);
                bucket.spill();
            }
            stock if self.fault == Fault::LosesPermitsOfWhoLeft => stock.take(now, permits),
            _ => {}
        }
        self.serve(now);
        self.wake_all();
    }

    /// What was granted comes back.
    pub(super) fn give_back(&mut self, now: Instant, permits: u32) {
        match &mut self.stock {
            Stock::Bucket(bucket) => bucket.refund(now, permits),
            Stock::Slots(slots) => slots.release(permits),
            Stock::Window(_) => {}
        }
        self.serve(now);
    }

    pub(super) fn change(&mut self, now: Instant, change: Change) {
        let for_new_only = match (&mut self.stock, change) {
            (Stock::Bucket(bucket), Change::Rate(rate)) => {
                bucket.set_rate(now, rate);
                Fault::ChangesForNewOnly
            }
            (Stock::Bucket(bucket), Change::Burst(burst)) => {
                bucket.set_burst(now, burst);
                Fault::ChangesForNewOnly
            }
            (Stock::Bucket(bucket), Change::Refund(permits)) => {
                bucket.refund(now, permits);
                Fault::RefundsForNewOnly
            }
            (Stock::Bucket(bucket), Change::Penalty(time)) => {
                bucket.pause(now, time);
                Fault::ChangesForNewOnly
            }
            (Stock::Slots(slots), Change::Limit(limit)) => {
                slots.set_limit(limit);
                Fault::RaisesForNewOnly
            }
            _ => return self.close(),
        };
        if self.fault != for_new_only {
            self.serve(now);
            self.wake_all();
        }
    }

    /// Of so many that were reserved then, this many were used.
    pub(super) fn settle(&mut self, now: Instant, (at, reserved): (Instant, u32), used: u32) {
        match &mut self.stock {
            Stock::Bucket(bucket) => bucket.settle(now, reserved, used),
            Stock::Window(window) => window.settle(at, reserved, used),
            Stock::Slots(_) => {}
        }
        if !self.is(Fault::SettlesForNewOnly) {
            self.serve(now);
            self.wake_all();
        }
    }

    fn close(&mut self) {
        self.is_closed = true;
        while !matches!(self.fault, Fault::ClosesForNewOnly | Fault::ClosesForNewRunsOnly) {
            let Some(place) = self.queue.front() else { return };
            self.answer(0, place.number, Err(Denied::new(Reason::Closed)));
        }
    }

    fn wake_all(&self) {
        self.queue.iter().for_each(|place| place.waker.wake_by_ref());
    }
}
