//! The data under the lock of the pool, and who is served next.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    task::Waker,
    time::Duration,
};

use evenkeel_tck::pool::{GetError, Object, Order, Settings};
use tokio::{
    task::{self, AbortHandle},
    time::Instant,
};

use super::Fault;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// An object of the pool, which takes a slot.
pub(super) struct Entry {
    pub(super) object: Arc<Object>,
    pub(super) born: Instant,
    pub(super) expires: Option<Instant>,
    pub(super) generation: u32,
    /// It was used until this time.
    pub(super) used: Option<Instant>,
    pub(super) idle_since: Instant,
}

/// A caller in the queue.
pub(super) struct Waiter {
    pub(super) ticket: u64,
    pub(super) waker: Waker,
    pub(super) task: Option<task::Id>,
    /// A creation was begun for it.
    creates: bool,
}

/// A lease that is out.
pub(super) struct Out {
    pub(super) since: Instant,
    pub(super) task: Option<task::Id>,
    pub(super) object: Arc<Object>,
}

/// Work on an object, in a task, with the ticket of the caller for whom it was begun; a creation with its generation.
pub(super) enum Job {
    Create(u64, u32),
    Check(Entry, u64),
    Reset(Entry),
}

/// The rest of a change, which is done when the lock is given up.
#[derive(Default)]
pub(super) struct Effects {
    pub(super) wakers: Vec<Waker>,
    pub(super) jobs: Vec<Job>,
    pub(super) dropped: Vec<Entry>,
}

pub(super) struct State {
    pub(super) fault: Fault,
    pub(super) settings: Settings,
    pub(super) max: usize,
    /// The maximum that was asked for last.
    pub(super) nominal_max: usize,
    pub(super) generation: u32,
    pub(super) is_closed: bool,
    pub(super) closes: Vec<Waker>,
    pub(super) waited_close: bool,
    /// Objects, and creations under way.
    pub(super) size: usize,
    pub(super) idle: VecDeque<Entry>,
    pub(super) creating: usize,
    pub(super) checking: usize,
    pub(super) resetting: usize,
    pub(super) leases: BTreeMap<u64, Out>,
    pub(super) returned: Vec<Instant>,
    pub(super) waiters: VecDeque<Waiter>,
    /// Waiters that were dropped.
    pub(super) left: usize,
    /// Answers to callers that have not been polled since.
    pub(super) served: HashMap<u64, Result<Entry, GetError>>,
    pub(super) tickets: u64,
    pub(super) born: u32,
    /// The pause after the next failure, and its end while creations fail.
    pause: Duration,
    retry_at: Option<Instant>,
    pub(super) last_error: Option<String>,
    /// It begins nothing any more.
    pub(super) is_stuck: bool,
    /// The tasks of the jobs, by the ticket of their caller.
    pub(super) tasks: Vec<(u64, bool, AbortHandle)>,
}

impl State {
    pub(super) fn new(fault: Fault, settings: &Settings) -> Self {
        Self {
            fault,
            settings: settings.clone(),
            max: settings.max,
            nominal_max: settings.max,
            generation: 0,
            is_closed: false,
            closes: Vec::new(),
            waited_close: false,
            size: 0,
            idle: VecDeque::new(),
            creating: 0,
            checking: 0,
            resetting: 0,
            leases: BTreeMap::new(),
            returned: Vec::new(),
            waiters: VecDeque::new(),
            left: 0,
            served: HashMap::new(),
            tickets: 0,
            born: 0,
            pause: FIRST_PAUSE,
            retry_at: None,
            last_error: None,
            is_stuck: false,
            tasks: Vec::new(),
        }
    }

    pub(super) fn limit(&self) -> usize {
        match self.fault {
            Fault::CreatesOneMore => self.max + 1,
            Fault::LeavesASlotFree if self.max > 1 => self.max - 1,
            _ => self.max,
        }
    }

    pub(super) fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    pub(super) fn enqueue(&mut self, ticket: u64, waker: &Waker) {
        match self.waiters.iter_mut().find(|waiter| waiter.ticket == ticket) {
            Some(_) if self.fault == Fault::KeepsTheFirstWaker => {}
            Some(waiter) => waiter.waker.clone_from(waker),
            None => {
                let waker = waker.clone();
                self.waiters.push_back(Waiter { ticket, waker, task: task::try_id(), creates: false });
            }
        }
    }

    pub(super) fn entry(&mut self, object: Object, generation: u32) -> Entry {
        let now = Instant::now();
        self.born += 1;
        // A lifetime is shorter by a part of a tenth, another one for each object.
        let part =
            if self.fault == Fault::ExpiresTogether { 0.0 } else { f64::from(self.born) * 0.618 % 1.0 };
        let expires = self.settings.max_lifetime.map(|time| now + time.mul_f64(1.0 - 0.1 * part));
        Entry { object: Arc::new(object), born: now, expires, generation, used: None, idle_since: now }
    }

    /// Returns whether an object may be lent again.
    pub(super) fn is_fit(&self, entry: &Entry) -> bool {
        let is_expired = entry.expires.is_some_and(|end| end <= Instant::now());
        let is_kept_late = matches!(self.fault, Fault::KeepsWhatIsReturnedLate | Fault::LendsWhenClosed);
        (!self.is_closed || is_kept_late)
            && entry.generation == self.generation
            && (!is_expired || self.fault == Fault::LendsExpiredObjects)
    }

    pub(super) fn needs_check(&self, entry: &Entry) -> bool {
        let Some(used) = entry.used.filter(|_| self.settings.checks && self.fault != Fault::SkipsChecks)
        else {
            return false;
        };
        let recent = self.settings.validate_after.filter(|_| self.fault != Fault::AlwaysChecks);
        recent.is_none_or(|limit| used.elapsed() >= limit)
    }

    /// The place of the waiter that is served next.
    fn next_waiter(&self) -> Option<usize> {
        let mut fits = self
            .waiters
            .iter()
            .enumerate()
            .filter(|(_, waiter)| !(waiter.creates && self.fault == Fault::WaitsForItsOwnCreation));
        let next = if self.fault == Fault::LastComesFirst { fits.next_back() } else { fits.next() };
        next.map(|(place, _)| place)
    }

    /// Gives an answer to the waiter at this place.
    pub(super) fn answer(&mut self, place: usize, answer: Result<Entry, GetError>, effects: &mut Effects) {
        let Some(waiter) = self.waiters.remove(place) else { return };
        if let Ok(entry) = &answer {
            let out = Out { since: Instant::now(), task: waiter.task, object: entry.object.clone() };
            self.leases.insert(waiter.ticket, out);
        }
        self.served.insert(waiter.ticket, answer);
        effects.wakers.push(waiter.waker);
        if self.fault == Fault::WakesEverybody {
            effects.wakers.extend(self.waiters.iter().map(|waiter| waiter.waker.clone()));
        }
    }

    /// Lends an object that is fit and checked to the next waiter, or makes it idle.
    pub(super) fn deliver(&mut self, entry: Entry, effects: &mut Effects) {
        let is_late = matches!(self.fault, Fault::KeepsLateCreations | Fault::KeepsLateChecks);
        let is_kept_late = self.is_closed && is_late;
        if !is_kept_late && !self.is_fit(&entry) {
            return effects.dropped.push(entry);
        }
        let keeps_all = matches!(self.fault, Fault::KeepsWhatIsCreatedAbove | Fault::KeepsTooMany);
        if self.size > self.limit() && !keeps_all {
            return effects.dropped.push(entry);
        }
        let was_failing = self.retry_at.is_some() && entry.used.is_none();
        match self.next_waiter() {
            Some(_) if was_failing && self.fault == Fault::GivesTheFirstToTheLast => {
                self.answer(self.waiters.len() - 1, Ok(entry), effects);
            }
            Some(place) if !self.is_closed || self.fault == Fault::LendsWhenClosed => {
                self.answer(place, Ok(entry), effects)
            }
            _ => self.make_idle(entry),
        }
    }

    pub(super) fn make_idle(&mut self, mut entry: Entry) {
        if self.fault != Fault::CountsUseAsIdle {
            entry.idle_since = Instant::now();
        }
        self.idle.push_back(entry);
    }

    /// Takes the idle object that is lent next.
    pub(super) fn take_idle(&mut self) -> Option<Entry> {
        let is_fifo = match self.fault {
            Fault::LendsTheOldest => true,
            Fault::LendsTheNewest => false,
            _ => self.settings.order == Some(Order::Fifo),
        };
        if is_fifo { self.idle.pop_front() } else { self.idle.pop_back() }
    }

    /// Serves as many waiters as it can, and begins what the others need.
    pub(super) fn serve(&mut self, effects: &mut Effects) {
        if self.is_stuck || self.is_closed && self.fault != Fault::LendsWhenClosed {
            return;
        }
        while self.size <= self.limit() && self.next_waiter().is_some() && self.waiters.len() > self.checking
        {
            let Some(entry) = self.take_idle() else { break };
            if !self.is_fit(&entry) {
                effects.dropped.push(entry);
            } else if self.needs_check(&entry) {
                self.checking += 1;
                let ticket = self.waiters[self.checking - 1].ticket;
                effects.jobs.push(Job::Check(entry, ticket));
            } else {
                self.deliver(entry, effects);
            }
        }
        if self.fault == Fault::LendsTwice
            && let Some(place) = self.next_waiter()
            && let Some(object) = self.leases.values().next().map(|out| out.object.clone())
        {
            let (born, generation) = (Instant::now(), self.generation);
            let entry = Entry { object, born, expires: None, generation, used: None, idle_since: born };
            self.answer(place, Ok(entry), effects);
        }
        while self.waiters.len() > self.creating + self.checking + self.resetting && self.may_create() {
            let covered = self.creating + self.checking + self.resetting;
            let waiter = &mut self.waiters[covered];
            waiter.creates = true;
            let ticket = waiter.ticket;
            self.begin_creation(ticket, effects);
        }
    }

    pub(super) fn may_create(&self) -> bool {
        let allowed = match self.fault {
            Fault::CreatesInTurn => 1,
            Fault::IgnoresMaxCreating => usize::MAX,
            _ => self.settings.max_creating.unwrap_or(usize::MAX),
        };
        let is_paused = self.retry_at.is_some() && self.creating > 0;
        let is_alone = !is_paused || matches!(self.fault, Fault::AttemptsTogether | Fault::HasNoPause);
        self.size < self.limit() && self.creating < allowed && is_alone && !self.is_stuck
    }

    pub(super) fn begin_creation(&mut self, ticket: u64, effects: &mut Effects) {
        self.size += 1;
        self.creating += 1;
        effects.jobs.push(Job::Create(ticket, self.generation));
    }

    /// Begins creations until there are as many objects as this.
    pub(super) fn create_below(&mut self, objects: usize, effects: &mut Effects) {
        let is_beyond = self.fault == Fault::WarmsBeyondTheMaximum;
        while self.size < objects && (is_beyond || self.may_create()) {
            self.begin_creation(0, effects);
        }
    }

    /// The time at which the next creation may begin.
    pub(super) fn next_attempt(&self) -> Option<Instant> {
        self.retry_at.filter(|_| self.fault != Fault::HasNoPause)
    }

    pub(super) fn note_success(&mut self) {
        (self.retry_at, self.pause) = (None, FIRST_PAUSE);
    }

    pub(super) fn note_failure(&mut self, error: &str) {
        self.last_error = Some(error.to_owned());
        self.retry_at = Some(Instant::now() + self.pause);
        let longest = if self.fault == Fault::PausesEverLonger { Duration::MAX } else { LONGEST_PAUSE };
        self.pause = (self.pause * 2).min(longest);
    }

    /// Returns whether no object can come back: all are leased by tasks that wait, this one among them.
    pub(super) fn is_deadlock(&self, task: Option<task::Id>) -> bool {
        let holds = |task: task::Id| self.leases.values().any(|out| out.task == Some(task));
        if !self.settings.detects_deadlocks || self.leases.len() < self.limit() || !task.is_some_and(holds) {
            return false;
        }
        let waits = |out: &Out| {
            out.task.is_some_and(|task| self.waiters.iter().any(|waiter| waiter.task == Some(task)))
        };
        match self.fault {
            Fault::SeesNoDeadlock => false,
            Fault::SeesADeadlockTooSoon => true,
            _ => self.leases.values().all(waits),
        }
    }
}
