//! The permits that a process has in hand, and those who wait for them.

use std::{sync::Arc, task::Waker, time::Duration};

use tokio::{runtime::Handle, time::Instant};

use super::{OnFailure, error::Error, outage::Outage, quota::Quota, snapshot::Snapshot};
use crate::{
    denied::Denied,
    limiter::RateLimiter,
    queue::{Key, Queue, Waiter},
    rate::Rate,
};

mod calls;

/// What is left of a lease goes back after so long.
const TERM: Duration = Duration::from_secs(1);

/// So long it is believed that a bucket is empty: other processes may give permits back.
const BELIEVED: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) lease: u32,
    pub(super) timeout: Duration,
    pub(super) on_failure: OnFailure,
}

/// The state of a [`Desk`](super::desk::Desk): what is done when, and nothing that waits.
#[derive(Debug)]
pub(super) struct Till {
    rate: Rate,
    quota: Quota,
    terms: Terms,
    /// Permits in hand, and when they go back.
    left: u32,
    term: Instant,
    queue: Queue<Patience>,
    /// How many in the queue have no patience.
    impatient: usize,
    /// When there were no more permits, and how long the bucket was to take to fill.
    empty: Option<(Instant, Duration)>,
    outage: Option<Outage>,
    /// How many wait for their share.
    sharing: usize,
    /// Whether the runner is under way, and whether it waits for an answer.
    running: bool,
    calling: bool,
    closed: bool,
    granted: u64,
    refused: u64,
    calls: u64,
    failures: u64,
    pub(super) after: Aftermath,
}

/// Whether one waits for permits that are still to be earned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    None,
    Some,
}

impl Patience {
    fn lack(self) -> usize {
        usize::from(self == Self::None)
    }
}

/// What is to be done when nothing is locked.
#[derive(Debug, Default)]
pub(super) struct Aftermath {
    pub(super) wake: Vec<Waker>,
    /// To be dropped.
    pub(super) replaced: Option<Waker>,
    /// Those who wait there are to enter again.
    pub(super) close: Option<Arc<RateLimiter>>,
    /// There is news for the runner.
    pub(super) poke: bool,
    /// Where to start a runner.
    pub(super) start: Option<Handle>,
}

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Entry {
    Granted,
    Refused(Error),
    Queued(Key),
    /// It is for the limiter to say; until it has, and was told of it by [`Till::shared`], this counts.
    Share(Arc<RateLimiter>),
}

/// What the runner does next.
#[derive(Debug)]
pub(super) enum Step {
    Ask(Ask),
    Pause(Instant),
}

/// The numbers of a [`Take`](super::store::Take).
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) returned: u32,
    pub(super) least: u32,
    pub(super) most: u32,
}

impl Till {
    pub(super) fn new(rate: Rate, quota: Quota, terms: Terms) -> Self {
        Self {
            rate,
            quota,
            terms: Terms { lease: terms.lease.min(quota.burst), ..terms },
            left: 0,
            term: Instant::now(),
            queue: Queue::new(),
            impatient: 0,
            empty: None,
            outage: None,
            sharing: 0,
            running: false,
            calling: false,
            closed: false,
            granted: 0,
            refused: 0,
            calls: 0,
            failures: 0,
            after: Aftermath::default(),
        }
    }

    pub(super) fn enter(&mut self, permits: u32, patience: Patience) -> Entry {
        if !self.closed && self.queue.is_empty() && permits <= self.left {
            self.left -= permits;
            self.granted += 1;
            return Entry::Granted;
        }
        let entry = self.enter_without(permits, patience);
        match entry {
            Entry::Granted => self.granted += 1,
            Entry::Refused(_) => self.refused += 1,
            Entry::Queued(_) | Entry::Share(_) => {}
        }
        entry
    }

    /// One for whom nothing is in hand.
    fn enter_without(&mut self, permits: u32, patience: Patience) -> Entry {
        if self.closed {
            return Entry::Refused(Denied::CLOSED.into());
        }
        if permits > self.quota.burst {
            return Entry::Refused(Denied::NEVER_FITS.into());
        }
        let now = Instant::now();
        if let Some(entry) = self.by_policy(now) {
            return entry;
        }
        if patience == Patience::None && !self.calling {
            let wait = self.wait(now, self.queue.permits() + u64::from(permits));
            let in_vain = match self.queue.front() {
                Some(first) => self.pause_for(first, now).is_some(),
                None => !wait.is_zero(),
            };
            if in_vain {
                return Entry::Refused(Denied::busy(wait).into());
            }
        }
        self.call_runner();
        self.impatient += patience.lack();
        Entry::Queued(self.queue.push(Waiter { permits, waker: Waker::noop().clone(), note: patience }))
    }

    /// What becomes of one in an outage, unless the store is asked again.
    fn by_policy(&mut self, now: Instant) -> Option<Entry> {
        let outage = self.outage.as_ref()?;
        let is_due = now >= outage.until;
        let entry = match (self.terms.on_failure, &outage.share) {
            (OnFailure::Open, _) => Entry::Granted,
            (_, Some(share)) => Entry::Share(Arc::clone(share)),
            (_, None) if is_due || self.calling => return None,
            (_, None) => Entry::Refused(Error::Unavailable {
                cause: Arc::clone(&outage.cause),
                retry_after: outage.until - now,
            }),
        };
        let shares = matches!(entry, Entry::Share(_));
        if is_due || shares {
            self.call_runner();
        }
        self.sharing += usize::from(shares);
        Some(entry)
    }

    /// Gives up the place if it was decided. Refused as closed means to enter again.
    pub(super) fn claim(&mut self, key: Key, waker: &Waker) -> Option<Result<(), Denied>> {
        let Some(decision) = self.queue.claim(key) else {
            self.after.replaced = self.queue.set_waker(key, waker);
            return None;
        };
        match decision {
            Ok(_) => self.granted += 1,
            Err(denied) if denied != Denied::CLOSED => self.refused += 1,
            Err(_) => {}
        }
        Some(decision.map(|_| ()))
    }

    /// Gives up the place, and the permits if it has got them.
    pub(super) fn leave(&mut self, key: Key) {
        match self.queue.claim(key) {
            Some(Ok(permits)) => self.put_back(permits),
            Some(Err(_)) => {}
            None => {
                let waiter = self.queue.cancel(key);
                self.impatient -= waiter.note.lack();
                self.after.replaced = Some(waiter.waker);
                self.serve();
                self.after.poke = true;
            }
        }
    }

    pub(super) fn refund(&mut self, permits: u32) -> Option<Arc<RateLimiter>> {
        let share = self.outage.as_ref().and_then(|outage| outage.share.clone());
        if share.is_none() {
            self.put_back(permits);
        }
        share
    }

    /// The limiter of the share has said whether it grants them; not if the outage is over.
    pub(super) fn shared(&mut self, granted: Option<bool>) {
        self.sharing -= 1;
        match granted {
            Some(true) => self.granted += 1,
            Some(false) => self.refused += 1,
            None => {}
        }
        self.after.poke = true;
    }

    fn put_back(&mut self, permits: u32) {
        self.left = self.left.saturating_add(permits).min(self.quota.burst);
        self.term = Instant::now() + TERM;
        self.serve();
        self.give_back_later();
    }

    fn give_back_later(&mut self) {
        // Outside of a runtime they stay until there is a runner.
        if self.left > 0 && (self.running || Handle::try_current().is_ok()) {
            self.call_runner();
        }
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        self.dismiss();
        self.after.close = self.outage.as_ref().and_then(|outage| outage.share.clone());
        self.give_back_later();
        self.after.poke = true;
    }

    pub(super) fn is_running(&self) -> bool {
        self.running
    }

    /// The time until a bucket that is known to be empty has so many more than are in hand.
    fn wait(&self, now: Instant, permits: u64) -> Duration {
        let lacking = permits.saturating_sub(self.left.into());
        let known = self.empty.filter(|(at, _)| lacking > 0 && now < *at + BELIEVED);
        known.map_or(Duration::ZERO, |(at, full_in)| {
            self.quota.wait(full_in, lacking).saturating_sub(now - at)
        })
    }

    fn serve(&mut self) {
        while let Some(first) = self.queue.front()
            && first.permits <= self.left
        {
            let permits = first.permits;
            self.left -= permits;
            self.impatient -= first.note.lack();
            self.after.wake.extend(self.queue.serve(permits).map(|waiter| waiter.waker));
        }
    }

    /// Sends all who wait back to enter again.
    fn dismiss(&mut self) {
        let wake = &mut self.after.wake;
        self.impatient = 0;
        self.queue.refuse(|_, _| Err(Denied::CLOSED), |waiter| wake.push(waiter.waker));
    }

    fn call_runner(&mut self) {
        if self.running {
            self.after.poke = true;
        } else {
            self.after.start = Some(Handle::current());
            self.running = true;
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            rate: self.rate,
            burst: self.quota.burst,
            leased: self.left,
            waiting: self.queue.len() + self.sharing,
            granted: self.granted,
            refused: self.refused,
            calls: self.calls,
            failures: self.failures,
            store_down: self.outage.is_some(),
            closed: self.closed,
        }
    }
}
