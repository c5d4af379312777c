//! What is behind the lock of a turnstile.

use std::{cell::Cell, mem, task::Waker, time::Duration};

use tokio::{
    runtime::{Handle, Id},
    time::{Instant, sleep},
};

use super::{
    super::{
        timer::Timer,
        timers::{Alarms, Start, Started},
    },
    Request, Terms,
};
use crate::{
    algorithm::{Before, Meter, clock::Tokens},
    error::{Denied, Reason},
    rate::Rate,
    rate_limiter::fast_path::{Lane, Settlement},
    sync::{
        wait_queue::{Key, Queue, Waiter},
        wake_list::WakeList,
    },
};

/// The most waiters that one call serves; those who were served serve the next ones.
const BATCH: usize = 32;

/// The most permits that are granted at one look at the clock, if asked to be fast.
const MOST_CREDITS: u32 = 32;

/// The state of a turnstile.
#[derive(Debug)]
pub(super) struct State {
    pub(super) terms: Terms,
    /// None if there is no limit; then nobody waits.
    pub(super) meter: Option<Meter>,
    pub(super) queue: Queue<Patience, Grant>,
    pub(super) alarms: Alarms,
    /// Permits lent to the lane.
    pub(super) lent: u32,
    pub(super) closed: bool,
    pub(super) granted: u64,
    pub(super) refused: u64,
}

/// How long one waits, and where.
#[derive(Debug)]
pub(super) struct Patience {
    pub(super) deadline: Option<Instant>,
    pub(super) runtime: Id,
}

/// What one was granted who may not see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant {
    pub(super) permits: u32,
    pub(super) mark: Tokens,
}

thread_local! {
    /// A runtime that is known to have timers.
    static CHECKED: Cell<Option<Id>> = const { Cell::new(None) };
}

/// All that one needs to wait, made without the lock.
#[derive(Debug)]
pub(super) struct Place {
    waker: Waker,
    /// `None` outside of any.
    runtime: Option<Handle>,
}

impl Place {
    /// In the current runtime.
    ///
    /// # Panics
    ///
    /// If there is none, or it has no timers.
    pub(super) fn here(waker: &Waker) -> Self {
        let runtime = Handle::current();
        // A timer of which nothing becomes: one that has no timers panics here.
        if CHECKED.get() != Some(runtime.id()) {
            drop(sleep(Duration::ZERO));
            CHECKED.set(Some(runtime.id()));
        }
        Self { waker: waker.clone(), runtime: Some(runtime) }
    }

    /// In the current runtime, if there is one.
    pub(super) fn anywhere(waker: &Waker) -> Self {
        if Handle::try_current().is_ok() {
            Self::here(waker)
        } else {
            Self { waker: waker.clone(), runtime: None }
        }
    }
}

/// The outcome of a request that may wait.
pub(super) enum Entered {
    Granted,
    Waits,
}

impl State {
    pub(super) fn new(rate: Option<Rate>, terms: Terms) -> Self {
        Self {
            terms,
            meter: rate.map(|rate| terms.meter(rate)),
            queue: Queue::new(),
            alarms: Alarms::default(),
            lent: 0,
            closed: false,
            granted: 0,
            refused: 0,
        }
    }

    /// Lets requests pass without the lock, if nobody has to be asked before.
    pub(super) fn open(&mut self, lane: &Lane) {
        lane.set_crowded(!self.queue.is_empty());
        let meter = self.meter.as_ref().filter(|_| self.queue.is_empty() && !self.closed);
        let Some(bucket) = meter.and_then(Meter::bucket) else { return };
        if self.terms.fast {
            self.lent = bucket.available().min(bucket.burst() / 16).min(MOST_CREDITS);
        }
        match self.lent {
            0 => lane.open(bucket),
            credits => lane.lend(credits),
        }
    }

    /// Spends the credits that were used, as if that were now.
    pub(super) fn settle_credits(&mut self, left: u32) {
        let used = mem::take(&mut self.lent) - left;
        self.granted += u64::from(used);
        if let Some(meter) = &mut self.meter {
            meter.overflow();
            meter.spend(used);
        }
    }

    /// Takes over what was done in the lane.
    pub(super) fn settle(&mut self, settlement: Settlement) {
        self.granted += settlement.granted;
        if let Some(bucket) = self.meter.as_mut().and_then(Meter::bucket_mut) {
            bucket.set_missing(settlement.missing);
        }
    }

    /// How long one who comes now waits, for no more than the burst.
    pub(super) fn wait(&self, permits: u32) -> Duration {
        let each = &mut self.queue.iter().map(|waiter| waiter.permits);
        let before = Before { permits: self.queue.permits(), singles: self.queue.asks_for_singles(), each };
        self.meter.as_ref().map_or(Duration::ZERO, |meter| meter.until(meter.due(before, permits)))
    }

    pub(super) fn take(&mut self, permits: u32) -> Result<(), Denied> {
        if self.closed {
            return Err(Denied::CLOSED);
        }
        if let Some(meter) = &mut self.meter {
            if self.terms.never_fit(permits, meter.burst()) {
                return Err(Denied::NEVER_FITS);
            }
            if !self.queue.is_empty() || !meter.fits(permits) {
                return Err(Denied::busy(self.wait(permits)));
            }
            meter.spend(permits);
        }
        self.granted += 1;
        Ok(())
    }

    /// Takes permits, or tells that they may be waited for.
    pub(super) fn take_or_wait(&mut self, request: Request) -> Result<Entered, Denied> {
        match self.take(request.permits) {
            Ok(()) => Ok(Entered::Granted),
            Err(denied) => self.admit(request, denied).map(|()| Entered::Waits),
        }
    }

    /// Lets one wait in a place.
    pub(super) fn join(&mut self, request: Request, place: Place) -> Key {
        let runtime = self.alarms.join(place.runtime.as_ref().expect("there is one where it is to wait"));
        let Request { permits, deadline, .. } = request;
        self.queue.push(Waiter { permits, waker: place.waker, note: Patience { deadline, runtime } })
    }

    pub(super) fn is_full(&self) -> bool {
        self.meter.as_ref().is_none_or(|meter| meter.available() == meter.burst())
    }

    /// Takes what was decided about one who waited.
    pub(super) fn decided(&mut self, key: Key) -> Option<Result<(), Denied>> {
        let decision = self.queue.claim(key)?;
        match decision {
            Ok(_) => self.granted += 1,
            Err(_) => self.refused += 1,
        }
        Some(decision.map(|_| ()))
    }

    /// Whether one who waits is woken by this waker, and in the current runtime.
    pub(super) fn is_in_place(&self, key: Key, waker: &Waker) -> bool {
        let waiter = self.queue.waiter(key);
        let here = Handle::try_current().ok().map(|runtime| runtime.id());
        waiter.waker.will_wake(waker) && here.is_none_or(|here| here == waiter.note.runtime)
    }

    /// Lets one who waits do so in another place, and gives back the waker of before: that runtime may be gone.
    pub(super) fn move_in(&mut self, key: Key, place: &mut Place) {
        let waiter = self.queue.waiter_mut(key);
        mem::swap(&mut waiter.waker, &mut place.waker);
        if let Some(runtime) = &place.runtime {
            let there = mem::replace(&mut waiter.note.runtime, runtime.id());
            self.alarms.join(runtime);
            self.alarms.leave(there);
        }
    }

    /// Whether the runtime in which one waits has been shut down, and this place is in no other.
    pub(super) fn is_stranded(&self, key: Key, place: &Place) -> bool {
        let there = self.queue.waiter(key).note.runtime;
        place.runtime.as_ref().is_none_or(|here| here.id() == there) && self.alarms.is_gone(there)
    }

    /// Takes over the end of a start; gives what is to be dropped without the lock.
    pub(super) fn started(&mut self, start: &Start, started: Started, wakes: &mut WakeList) -> Option<Timer> {
        let gone = matches!(started, Started::Gone).then(|| start.runtime.id());
        if let Some(gone) = gone {
            self.queue.take_wakers(|waiter| waiter.note.runtime == gone, |waker| wakes.push(waker));
        }
        self.alarms.started(start, started)
    }

    /// Gives up a place, and the permits if its turn has come; gives what is to be dropped without the lock.
    pub(super) fn leave(&mut self, key: Key) -> Option<Waiter<Patience>> {
        let Some(decision) = self.queue.claim(key) else {
            let waiter = self.queue.cancel(key);
            self.alarms.leave(waiter.note.runtime);
            return Some(waiter);
        };
        if let (Ok(Grant { permits, mark }), Some(meter)) = (decision, &mut self.meter) {
            meter.take_back(permits, mark);
        }
        None
    }

    /// Whether one who was `denied` its permits now may wait for them.
    fn admit(&mut self, request: Request, denied: Denied) -> Result<(), Denied> {
        let verdict = match denied.reason {
            Reason::Busy if self.is_late(request.deadline, denied.retry_after.unwrap_or_default()) => {
                Err(denied.because(Reason::Deadline))
            }
            Reason::Busy if request.bounded && self.queue.len() >= self.terms.max_waiters => {
                Err(denied.because(Reason::QueueFull))
            }
            Reason::Busy => Ok(()),
            _ => Err(denied),
        };
        verdict.inspect_err(|_| self.refused += 1)
    }

    /// Whether a turn after `wait` comes after the deadline.
    fn is_late(&self, deadline: Option<Instant>, wait: Duration) -> bool {
        let Some((deadline, meter)) = deadline.zip(self.meter.as_ref()) else { return false };
        wait > deadline.saturating_duration_since(meter.now())
    }

    /// Refuses those whom nothing is left to wait for.
    pub(super) fn review(&mut self, wakes: &mut WakeList) {
        let mut queue = mem::replace(&mut self.queue, Queue::new());
        let (mut before, mut singles) = (vec![], true);
        let verdict = |sum, waiter: &Waiter<Patience>| {
            let Some(meter) = self.meter.as_ref().filter(|_| !self.closed) else {
                return Err(Denied::CLOSED);
            };
            if self.terms.never_fit(waiter.permits, meter.burst()) {
                return Err(Denied::NEVER_FITS);
            }
            if waiter.note.deadline.is_some() {
                let each = &mut before.iter().copied();
                let before = Before { permits: sum, singles, each };
                let wait = meter.until(meter.due(before, waiter.permits));
                if self.is_late(waiter.note.deadline, wait) {
                    return Err(Denied::busy(wait).because(Reason::Deadline));
                }
            }
            before.push(waiter.permits);
            singles &= waiter.permits == 1;
            Ok(())
        };
        let mut left = vec![];
        queue.refuse(verdict, |waiter| {
            left.push(waiter.note.runtime);
            wakes.push(waiter.waker);
        });
        left.into_iter().for_each(|runtime| self.alarms.leave(runtime));
        self.queue = queue;
    }

    /// Serves those whose turn has come.
    ///
    /// While anybody waits the bucket does not overflow: the turn of each is reckoned from the one before
    /// it, and not from when that was served, which is later by the resolution of the timer.
    pub(super) fn serve(&mut self, wakes: &mut WakeList) {
        let Some(meter) = &mut self.meter else { return };
        while let Some(first) = self.queue.front()
            && meter.fits(first.permits)
            && wakes.len() < BATCH
        {
            let permits = first.permits;
            meter.spend(permits);
            self.alarms.leave(first.note.runtime);
            if let Some(waiter) = self.queue.serve(Grant { permits, mark: meter.mark() }) {
                wakes.push(waiter.waker);
            }
        }
        if self.queue.is_empty() {
            meter.overflow();
        }
    }

    /// When the turn of the first of those who wait comes.
    fn next_due(&self) -> Option<Tokens> {
        let (meter, first) = (self.meter.as_ref()?, self.queue.front()?);
        Some(Before::nobody(|nobody| meter.due(nobody, first.permits)))
    }

    /// A timer that has to be started for the first of those who wait.
    pub(super) fn claim_start(&mut self) -> Option<Start> {
        let due = self.next_due()?;
        let meter = self.meter.as_ref()?;
        self.alarms.claim(due, || meter.until(due))
    }

    /// Whether timers are to be started or dropped.
    pub(super) fn needs_care(&self) -> bool {
        self.alarms.need_care(self.next_due())
    }
}
