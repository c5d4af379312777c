//! A model of the limiter: a rational number and a list.

use std::collections::VecDeque;

use evenkeel_limit::Reason;
use proptest::prelude::*;

/// As many small numbers as large ones.
pub(crate) fn magnitude(bits: u32) -> impl Strategy<Value = u64> {
    (1..=bits, any::<u64>()).prop_map(|(bits, number)| (number >> (64 - bits)).max(1))
}

/// A rate that the model and the limiter both understand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speed {
    pub(crate) permits: u32,
    pub(crate) nanos: u64,
}

/// The model of an exact limiter.
///
/// Its level counts in parts of a permit, of which each nanosecond earns a whole number. A waiter is served
/// at the exact instant at which the parts are earned, so that nothing overflows while the queue is not empty.
#[derive(Debug)]
pub(crate) struct Model {
    parts: i128,
    earned_per_nano: i128,
    burst: u32,
    debt: bool,
    level: i128,
    /// All parts that were ever earned, including those that did not fit.
    earned: i128,
    now: u64,
    /// Nanoseconds of the future that are counted already; nothing is granted until they have passed.
    pause: u64,
    waiting: VecDeque<Waiting>,
    served: Vec<Served>,
    refused: Vec<(usize, Refusal)>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    id: usize,
    permits: u32,
    deadline: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Served {
    id: usize,
    /// The parts that were missing then, and the parts that had been earned.
    missing: i128,
    earned: i128,
}

/// The reason, and the nanoseconds to wait; `None` if the request never fits.
pub(crate) type Refusal = (Reason, Option<u64>);

impl Model {
    /// `parts` must be a multiple of the nanoseconds of every rate used.
    pub(crate) fn new(parts: i128, speed: Speed, burst: u32, debt: bool) -> Self {
        let mut model = Self {
            parts,
            earned_per_nano: 0,
            burst,
            debt,
            level: i128::from(burst) * parts,
            earned: 0,
            now: 0,
            pause: 0,
            waiting: VecDeque::new(),
            served: vec![],
            refused: vec![],
        };
        model.set_rate(speed);
        model
    }

    pub(crate) fn set_rate(&mut self, speed: Speed) {
        assert_eq!(self.parts % i128::from(speed.nanos), 0);
        self.earned_per_nano = i128::from(speed.permits) * (self.parts / i128::from(speed.nanos));
        self.review();
    }

    pub(crate) fn set_burst(&mut self, burst: u32) {
        self.burst = burst;
        self.level = self.level.min(self.of(burst));
        self.review();
    }

    pub(crate) fn penalize(&mut self, nanos: u64) {
        self.earn(nanos.saturating_sub(self.pause));
        self.pause = self.pause.max(nanos);
        self.level = self.level.min(self.parts);
        self.review();
    }

    pub(crate) fn refund(&mut self, permits: u32) {
        self.fill(self.of(permits));
    }

    fn fill(&mut self, parts: i128) {
        let brim = self.level.max(self.of(self.burst));
        self.level = (self.level + parts).min(brim);
        self.serve();
    }

    pub(crate) fn charge(&mut self, permits: u32) {
        self.level -= self.of(permits);
        self.review();
    }

    pub(crate) fn advance(&mut self, nanos: u64) {
        self.now += nanos;
        let counted = nanos.min(self.pause);
        self.pause -= counted;
        self.earn(nanos - counted);
        self.serve();
    }

    fn earn(&mut self, nanos: u64) {
        let earned = self.earned_per_nano.saturating_mul(nanos.into());
        self.level = self.level.saturating_add(earned);
        self.earned = self.earned.saturating_add(earned);
    }

    fn of(&self, permits: u32) -> i128 {
        i128::from(permits) * self.parts
    }

    /// The nanoseconds until `permits` fit behind the waiters before them.
    fn wait(&self, before: i128, permits: u32) -> u64 {
        let wanted = before + i128::from(permits.min(self.burst));
        let missing = (wanted * self.parts - self.level).max(0);
        let nanos = missing / self.earned_per_nano + i128::from(missing % self.earned_per_nano > 0);
        u64::try_from(nanos + i128::from(self.pause)).unwrap_or(u64::MAX)
    }

    pub(crate) fn try_acquire(&mut self, permits: u32) -> Result<(), Refusal> {
        if permits > self.burst && !self.debt {
            return Err((Reason::NeverFits, None));
        }
        let ahead = self.waiting.iter().map(|waiting| i128::from(waiting.permits)).sum();
        let wait = self.wait(ahead, permits);
        if self.waiting.is_empty() && wait == 0 {
            self.level -= self.of(permits);
            return Ok(());
        }
        Err((Reason::Busy, Some(wait.max(1))))
    }

    /// Takes permits, or joins the queue unless its turn would come after this number of nanoseconds.
    pub(crate) fn enter(&mut self, id: usize, permits: u32, max_wait: Option<u64>) -> Result<(), Refusal> {
        let deadline = max_wait.map(|max_wait| self.now + max_wait);
        match self.try_acquire(permits) {
            Ok(()) => self.note(id),
            Err((Reason::Busy, wait)) if max_wait.is_some_and(|max_wait| wait > Some(max_wait)) => {
                return Err((Reason::Deadline, wait));
            }
            Err((Reason::Busy, _)) => self.waiting.push_back(Waiting { id, permits, deadline }),
            Err(refusal) => return Err(refusal),
        }
        Ok(())
    }

    pub(crate) fn is_served(&self, id: usize) -> bool {
        self.served.iter().any(|served| served.id == id)
    }

    /// The reason for which a waiter was refused.
    pub(crate) fn refusal(&self, id: usize) -> Option<Refusal> {
        self.refused.iter().find(|refused| refused.0 == id).map(|refused| refused.1)
    }

    /// Removes a future, which may have been granted without having observed it.
    pub(crate) fn cancel(&mut self, id: usize, permits: u32) {
        if let Some(served) = self.served.iter().find(|served| served.id == id) {
            // The parts that would be missing without this grant; time has earned the rest.
            let missing = served.missing - (self.earned - served.earned);
            self.fill(missing.clamp(0, self.of(permits)));
        }
        self.waiting.retain(|waiting| waiting.id != id);
        self.serve();
    }

    pub(crate) fn available(&self) -> u32 {
        let available = if self.pause > 0 { 0 } else { self.level.max(0) / self.parts };
        u32::try_from(available).unwrap_or(u32::MAX).min(self.burst)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Refuses waiters whose turn never comes, or comes too late.
    fn review(&mut self) {
        let mut before = 0;
        for waiting in std::mem::take(&mut self.waiting) {
            let wait = self.wait(before, waiting.permits);
            let late = waiting.deadline.is_some_and(|deadline| wait > deadline.saturating_sub(self.now));
            let refusal = if waiting.permits > self.burst && !self.debt {
                (Reason::NeverFits, None)
            } else if late {
                (Reason::Deadline, Some(wait.max(1)))
            } else {
                before += i128::from(waiting.permits);
                self.waiting.push_back(waiting);
                continue;
            };
            self.refused.push((waiting.id, refusal));
        }
        self.serve();
    }

    fn note(&mut self, id: usize) {
        let missing = self.of(self.burst) - self.level;
        self.served.push(Served { id, missing, earned: self.earned });
    }

    fn serve(&mut self) {
        while let Some(&Waiting { id, permits, .. }) = self.waiting.front()
            && self.wait(0, permits) == 0
        {
            self.level -= self.of(permits);
            self.note(id);
            self.waiting.pop_front();
        }
        if self.waiting.is_empty() {
            self.level = self.level.min(self.of(self.burst));
        }
    }
}
