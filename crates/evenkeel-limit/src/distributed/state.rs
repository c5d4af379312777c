//! The permits that a process has in hand, and those who wait for them.

use std::{sync::Arc, task::Waker, time::Duration};

use tokio::{runtime::Handle, time::Instant};

use super::{
    OnFailure,
    error::Error,
    outage::{Cause, Outage},
    quota::Quota,
    snapshot::Snapshot,
};
use crate::{
    error::Denied,
    rate::Rate,
    sync::wait_queue::{Key, WaitQueue, Waiter},
};

mod worker_steps;

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

/// The state of a [`Desk`](super::client::Desk): what is done when, and nothing that waits.
#[derive(Debug)]
pub(super) struct Till {
    rate: Rate,
    quota: Quota,
    terms: Terms,
    /// Permits in hand, and when they go back.
    left: u32,
    term: Instant,
    queue: WaitQueue<Patience>,
    /// How many in the queue have no patience.
    impatient: usize,
    /// When there were no more permits, and how long the bucket was to take to fill.
    empty: Option<(Instant, Duration)>,
    outage: Option<Outage>,
    /// Whether the runner is under way, is just being started, and waits for an answer.
    running: bool,
    starting: bool,
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
    /// To be dropped: wakers, and errors of the store.
    pub(super) wakers: Vec<Waker>,
    pub(super) causes: Vec<Cause>,
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
    /// It needs a runtime, and there is none.
    NoRuntime,
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
    /// Whether the store has never been asked before.
    pub(super) first: bool,
    pub(super) returned: u32,
    pub(super) least: u32,
    pub(super) most: u32,
}

/// What became of a call.
#[derive(Debug)]
pub(super) enum Upshot {
    /// So many permits; and the end of an outage that lasted so long.
    Taken(u32, Option<Duration>),
    /// Nothing; and the beginning of an outage, if it is the first one.
    Failed { cause: Cause, first: bool },
}

impl Till {
    pub(super) fn new(rate: Rate, quota: Quota, terms: Terms) -> Self {
        Self {
            rate,
            quota,
            terms: Terms { lease: terms.lease.min(quota.burst), ..terms },
            left: 0,
            term: Instant::now(),
            queue: WaitQueue::new(),
            impatient: 0,
            empty: None,
            outage: None,
            running: false,
            starting: false,
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
            Entry::Queued(_) | Entry::NoRuntime => {}
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
        if let Some(entry) = self.by_policy(now, permits, patience) {
            return entry;
        }
        if patience == Patience::None && !self.calling {
            let wait = self.wait(now, self.queue.permits(), permits);
            let in_vain = match self.queue.front() {
                Some(first) => self.pause_for(first, now).is_some(),
                None => !wait.is_zero(),
            };
            if in_vain {
                return Entry::Refused(Denied::busy(wait).into());
            }
        }
        self.join(permits, patience)
    }

    fn join(&mut self, permits: u32, patience: Patience) -> Entry {
        if !self.call_runner() {
            return Entry::NoRuntime;
        }
        self.impatient += patience.lack();
        Entry::Queued(self.queue.push(Waiter { permits, waker: Waker::noop().clone(), meta: patience }))
    }

    /// What becomes of one in an outage, unless the store is asked again.
    fn by_policy(&mut self, now: Instant, permits: u32, patience: Patience) -> Option<Entry> {
        let outage = self.outage.as_ref()?;
        let (until, is_due) = (outage.until, now >= outage.until);
        let policy = if outage.misconfigured { OnFailure::Closed } else { self.terms.on_failure };
        if policy == OnFailure::Closed {
            let (cause, retry_after) = (Arc::clone(&outage.cause), until.saturating_duration_since(now));
            let error = match outage.misconfigured {
                true => Error::Misconfigured { cause, retry_after },
                false => Error::Unavailable { cause, retry_after },
            };
            return (!is_due && !self.calling).then_some(Entry::Refused(error));
        }
        if is_due && !self.call_runner() {
            return Some(Entry::NoRuntime);
        }
        Some(match policy {
            OnFailure::LocalShare(_) => self.by_share(now, permits, patience),
            _ => Entry::Granted,
        })
    }

    fn by_share(&mut self, now: Instant, permits: u32, patience: Patience) -> Entry {
        self.serve();
        if self.queue.is_empty() && self.hand_out(permits) {
            return Entry::Granted;
        }
        match patience {
            Patience::None => {
                Entry::Refused(Denied::busy(self.wait(now, self.queue.permits(), permits)).into())
            }
            Patience::Some => self.join(permits, patience),
        }
    }

    /// Gives up the place if it was decided. Refused as closed means to enter again.
    pub(super) fn claim(&mut self, key: Key) -> Option<Result<(), Denied>> {
        let decision = self.queue.claim(key)?;
        match decision {
            Ok(_) => self.granted += 1,
            Err(denied) if denied != Denied::CLOSED => self.refused += 1,
            Err(_) => {}
        }
        Some(decision.map(|_| ()))
    }

    /// Whether one who waits is woken by another waker than this.
    pub(super) fn lacks_waker(&self, key: Key, waker: &Waker) -> bool {
        !self.queue.waiter(key).waker.will_wake(waker)
    }

    pub(super) fn set_waker(&mut self, key: Key, waker: Waker) {
        self.after.wakers.push(self.queue.replace_waker(key, waker));
    }

    /// Gives up the place, and the permits if it has got them.
    pub(super) fn leave(&mut self, key: Key) {
        match self.queue.claim(key) {
            Some(Ok(permits)) => self.put_back(permits),
            Some(Err(_)) => {}
            None => {
                let waiter = self.queue.cancel(key);
                self.impatient -= waiter.meta.lack();
                self.after.wakers.push(waiter.waker);
                self.serve();
                self.poke();
            }
        }
    }

    /// Takes permits back, for the share if there is one.
    pub(super) fn put_back(&mut self, permits: u32) {
        match self.outage.as_mut().and_then(Outage::share) {
            Some(share) => share.refund(permits),
            None => {
                self.left = self.left.saturating_add(permits).min(self.quota.burst);
                self.term = Instant::now() + TERM;
            }
        }
        self.serve();
        self.give_back_later();
    }

    fn give_back_later(&mut self) {
        if self.left > 0 {
            // Outside of a runtime they stay until there is a runner.
            let _ = self.call_runner();
        }
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        self.dismiss();
        self.give_back_later();
        self.poke();
    }

    /// Nobody is left: whatever happens to the runner is no failure any more.
    pub(super) fn abandon(&mut self) {
        self.closed = true;
    }

    pub(super) fn is_running(&self) -> bool {
        self.running
    }

    /// The time until there are so many more than those before have asked for: in an empty bucket, or of the share.
    fn wait(&mut self, now: Instant, before: u64, permits: u32) -> Duration {
        if let Some(share) = self.outage.as_mut().and_then(Outage::share) {
            return share.until(share.due(before, permits));
        }
        let lacking = (before + u64::from(permits)).saturating_sub(self.left.into());
        let known = self.empty.filter(|(at, _)| lacking > 0 && now < *at + BELIEVED);
        known.map_or(Duration::ZERO, |(at, full_in)| {
            self.quota.wait(full_in, lacking).saturating_sub(now - at)
        })
    }

    fn serve(&mut self) {
        while let Some(first) = self.queue.front() {
            let (permits, lack) = (first.permits, first.meta.lack());
            if !self.hand_out(permits) {
                return;
            }
            self.impatient -= lack;
            self.after.wake.extend(self.queue.serve(permits).map(|waiter| waiter.waker));
        }
        // As long as anybody waits turns are reckoned from those before, and not from when they were served.
        if let Some(share) = self.outage.as_mut().and_then(Outage::share) {
            share.overflow();
        }
    }

    /// Takes permits from what is in hand, or else from the share.
    fn hand_out(&mut self, permits: u32) -> bool {
        if permits <= self.left {
            self.left -= permits;
            return true;
        }
        let share = self.outage.as_mut().and_then(Outage::share).filter(|share| share.fits(permits));
        share.map(|share| share.spend(permits)).is_some()
    }

    /// Sends all who wait back to enter again.
    fn dismiss(&mut self) {
        let wake = &mut self.after.wake;
        self.impatient = 0;
        self.queue.refuse(|_, _| Err(Denied::CLOSED), |waiter| wake.push(waiter.waker));
    }

    /// Fails outside of a runtime, where no runner can be started.
    #[must_use]
    fn call_runner(&mut self) -> bool {
        if self.running {
            self.poke();
        } else {
            let Ok(runtime) = Handle::try_current() else { return false };
            self.after.start = Some(runtime);
            self.running = true;
            self.starting = true;
        }
        true
    }

    /// Its runtime has taken the runner over.
    pub(super) fn started(&mut self) {
        self.starting = false;
    }

    /// Lets the runner look at what there is to do; while it waits for an answer that concerns a share alone.
    fn poke(&mut self) {
        self.after.poke |= !self.calling || matches!(self.terms.on_failure, OnFailure::LocalShare(_));
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            rate: self.rate,
            burst: self.quota.burst,
            leased: self.left,
            waiting: self.queue.len(),
            granted: self.granted,
            refused: self.refused,
            calls: self.calls,
            failures: self.failures,
            store_down: self.outage.is_some(),
            closed: self.closed,
        }
    }
}
