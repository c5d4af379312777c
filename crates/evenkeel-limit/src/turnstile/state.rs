//! What is behind the lock of a turnstile.

use std::{mem, sync::Arc, task::Waker, time::Duration};

use tokio::{
    runtime::{Handle, Id},
    time::Instant,
};

use super::{Request, Terms, Turnstile};
use crate::{
    alarms::{Alarm, Alarms},
    clock::Tokens,
    denied::{Denied, Reason},
    lane::{Lane, Settlement},
    meter::{Before, Meter},
    queue::{Key, Queue, Waiter},
    rate::Rate,
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

    /// Lets one who waits do so in the current runtime: that of before may be gone.
    pub(super) fn move_in(&mut self, key: Key) {
        let here = Handle::try_current().ok().map(|runtime| runtime.id());
        let there = self.queue.note_mut(key).runtime;
        if here.is_some_and(|here| here != there) {
            self.queue.note_mut(key).runtime = self.alarms.join();
            self.alarms.leave(there);
        }
    }

    /// Whether one who was `denied` its permits now may wait for them.
    pub(super) fn admit(&mut self, request: Request, denied: Denied) -> Result<(), Denied> {
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
    pub(super) fn review(&mut self, decided: &mut Decided) {
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
        let refused = decided.0.len();
        queue.refuse(verdict, |waiter| decided.0.push(Called(waiter)));
        decided.0[refused..].iter().for_each(|Called(waiter)| self.alarms.leave(waiter.note.runtime));
        self.queue = queue;
    }

    /// Serves those whose turn has come.
    ///
    /// While anybody waits the bucket does not overflow: the turn of each is reckoned from the one before
    /// it, and not from when that was served, which is later by the resolution of the timer.
    pub(super) fn serve(&mut self, decided: &mut Decided) {
        let Some(meter) = &mut self.meter else { return };
        while let Some(first) = self.queue.front()
            && meter.fits(first.permits)
            && decided.0.len() < BATCH
        {
            let permits = first.permits;
            meter.spend(permits);
            self.alarms.leave(first.note.runtime);
            decided.0.extend(self.queue.serve(Grant { permits, mark: meter.mark() }).map(Called));
        }
        if self.queue.is_empty() {
            meter.overflow();
        }
    }

    /// Sets the alarms for the first of those who wait, and gives those that nobody needs.
    pub(super) fn set_alarms(&mut self, turnstile: &Arc<Turnstile>) -> Vec<Alarm> {
        let retired = self.alarms.retire();
        if let (Some(meter), Some(first)) = (&self.meter, self.queue.front()) {
            let due = Before::nobody(|nobody| meter.due(nobody, first.permits));
            for alarm in self.alarms.late_for(due) {
                alarm.set(due, meter.until(due), &Waker::from(Arc::clone(turnstile)));
            }
        }
        retired
    }
}

/// Waiters who were served or refused, to be woken when this is dropped.
pub(super) struct Decided(pub(super) Vec<Called>);

/// One who is woken when this is dropped, even if the waker of another panics.
pub(super) struct Called(Waiter<Patience>);

impl Drop for Called {
    fn drop(&mut self) {
        self.0.waker.wake_by_ref();
    }
}
