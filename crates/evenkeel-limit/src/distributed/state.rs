//! The state of a distributed limit in one process: the local lease, the wait queue, and the outage of the store.
//!
//! # How it works
//!
//! A request takes from the local lease if nobody waits. Else it joins the queue and notifies the worker. The worker asks
//! for its next action (`state/worker_steps.rs`), which is a call of the store or a sleep. An answer adds to the lease, and
//! `serve` grants from the lease in the order of the queue.
//!
//! A request that [waits](Mode::Wait) stays in the queue until it is granted. One that only [tries](Mode::Try) stays for
//! one answer: if that answer does not serve it, it is denied with the time after which to come back.
//!
//! During an [`Outage`] requests follow the policy of the limit. With a local share, the share serves what the lease
//! cannot. With any other policy the queue is emptied, and each waiter enters again to be judged by the policy.
//!
//! Invariants:
//! - Where requests wait, a worker runs or is about to start: `enqueue` sees to it, and a worker that is dropped sends
//!   all waiters back to enter again.
//! - `try_waiters` is the number of requests in the queue that only try.
//! - Nothing here waits or runs foreign code. What must run or be dropped without the lock is collected in `effects`,
//!   which every change of the state carries out (`Client::with`).

use std::{mem, sync::Arc, task::Waker, time::Duration};

use tokio::{runtime::Handle, time::Instant};

use super::{
    OnFailure,
    error::Error,
    outage::{Cause, Outage},
    quota::Quota,
    snapshot::Snapshot,
};
#[cfg(feature = "inspect")]
use crate::sync::edges::{GrantRecord, WaitRecord};
use crate::{
    algorithm::bucket::Bucket,
    error::Denied,
    rate::Rate,
    sync::{
        edges::LazyRecord,
        entry::Mode,
        wait_queue::{Key, WaitQueue, Waiter},
    },
};

#[cfg(feature = "inspect")]
pub(super) mod inspect;
mod worker_steps;

/// Unused permits of a lease go back to the store after this time.
const LEASE_TTL: Duration = Duration::from_secs(1);

/// An empty bucket counts as empty for this time: then other processes may have returned permits.
const EMPTY_TTL: Duration = Duration::from_secs(1);

/// The settings of a limit beside its rate and burst.
#[derive(Clone, Copy, Debug)]
pub(super) struct Config {
    pub(super) lease: u32,
    pub(super) timeout: Duration,
    pub(super) on_failure: OnFailure,
}

/// The data of a [`Client`](super::client::Client) behind its lock.
#[derive(Debug)]
pub(super) struct State {
    rate: Rate,
    quota: Quota,
    config: Config,
    /// Permits that were taken from the store and not granted yet, and when they go back.
    leased: u32,
    lease_expires: Instant,
    queue: WaitQueue<WaiterMeta, Grant>,
    /// The requests in the queue that only try.
    try_waiters: usize,
    /// When the store had no more permits, and how long its bucket was to take to fill.
    empty: Option<(Instant, Duration)>,
    outage: Option<Outage>,
    worker_running: bool,
    /// Whether the runtime of the worker has not accepted it yet.
    worker_starting: bool,
    /// Whether the worker waits for an answer of the store.
    calling: bool,
    closed: bool,
    granted: u64,
    refused: u64,
    calls: u64,
    failures: u64,
    pub(super) effects: Effects,
}

/// The data of a waiter.
#[derive(Debug)]
struct WaiterMeta {
    mode: Mode,
    #[cfg(feature = "inspect")]
    record: Option<WaitRecord>,
}

/// A grant that its waiter has not seen yet.
#[derive(Clone, Copy, Debug)]
struct Grant {
    permits: u32,
    #[cfg(feature = "inspect")]
    record: Option<GrantRecord>,
}

/// The work that a change of the state leaves to do without the lock.
#[derive(Debug, Default)]
pub(super) struct Effects {
    pub(super) wake: Vec<Waker>,
    pub(super) drop_wakers: Vec<Waker>,
    /// Errors of the store.
    pub(super) drop_causes: Vec<Cause>,
    pub(super) notify_worker: bool,
    pub(super) start_worker_in: Option<Handle>,
}

/// The result of a request that enters.
#[derive(Debug)]
pub(super) enum Entry {
    Granted,
    Denied(Error),
    /// It waits in the queue under this key.
    Queued(Key),
}

/// A worker is needed, and there is no runtime to start one in.
#[derive(Debug)]
pub(super) struct NoRuntime;

/// The next action of the worker.
#[derive(Debug)]
pub(super) enum WorkerAction {
    Call(CallRequest),
    Sleep(Instant),
}

/// The numbers of a [`Take`](super::store::Take).
#[derive(Clone, Copy, Debug)]
pub(super) struct CallRequest {
    /// Whether it is the first call of this limit.
    pub(super) is_first: bool,
    pub(super) returned: u32,
    pub(super) least: u32,
    pub(super) most: u32,
}

/// The result of a call of the store.
#[derive(Debug)]
pub(super) enum CallOutcome {
    /// `outage` is the duration of an outage that this call ended.
    Granted {
        permits: u32,
        outage: Option<Duration>,
    },
    Failed {
        cause: Cause,
        begins_outage: bool,
    },
}

impl State {
    pub(super) fn new(rate: Rate, quota: Quota, config: Config) -> Self {
        Self {
            rate,
            quota,
            config: Config { lease: config.lease.min(quota.burst), ..config },
            leased: 0,
            lease_expires: Instant::now(),
            queue: WaitQueue::new(),
            try_waiters: 0,
            empty: None,
            outage: None,
            worker_running: false,
            worker_starting: false,
            calling: false,
            closed: false,
            granted: 0,
            refused: 0,
            calls: 0,
            failures: 0,
            effects: Effects::default(),
        }
    }

    pub(super) fn enter(&mut self, permits: u32, mode: Mode) -> Result<Entry, NoRuntime> {
        if !self.closed && self.queue.is_empty() && permits <= self.leased {
            self.leased -= permits;
            self.granted += 1;
            return Ok(Entry::Granted);
        }
        let entry = self.enter_slow(permits, mode)?;
        match entry {
            Entry::Granted => self.granted += 1,
            Entry::Denied(_) => self.refused += 1,
            Entry::Queued(_) => {}
        }
        Ok(entry)
    }

    /// Slow path of `enter`: others wait, or the local lease does not suffice.
    fn enter_slow(&mut self, permits: u32, mode: Mode) -> Result<Entry, NoRuntime> {
        if self.closed {
            return Ok(Entry::Denied(Denied::CLOSED.into()));
        }
        if permits > self.quota.burst {
            return Ok(Entry::Denied(Denied::NEVER_FITS.into()));
        }
        let now = Instant::now();
        if let Some(entry) = self.enter_in_outage(now, permits, mode)? {
            return Ok(entry);
        }
        // An answer under way may serve it. Without one, a call would be made for a bucket that is known to be empty.
        if mode == Mode::Try && !self.calling {
            let wait = self.expected_wait(now, self.queue.permits(), permits);
            let is_futile = match self.queue.front() {
                Some(first) => self.next_call_at(first, now).is_some(),
                None => !wait.is_zero(),
            };
            if is_futile {
                return Ok(Entry::Denied(Denied::busy(wait).into()));
            }
        }
        self.enqueue(permits, mode)
    }

    fn enqueue(&mut self, permits: u32, mode: Mode) -> Result<Entry, NoRuntime> {
        self.ensure_worker()?;
        self.try_waiters += is_try(mode);
        let meta = WaiterMeta {
            mode,
            #[cfg(feature = "inspect")]
            record: None,
        };
        Ok(Entry::Queued(self.queue.push(Waiter { permits, waker: Waker::noop().clone(), meta })))
    }

    /// Sets the record of a request that was queued just now.
    pub(super) fn set_record(&mut self, _key: Key, _record: &mut LazyRecord) {
        #[cfg(feature = "inspect")]
        {
            self.queue.waiter_mut(_key).meta.record = Some(_record.get());
        }
    }

    /// Decides by the policy during an outage; `None` if the request has to wait for the next answer.
    fn enter_in_outage(
        &mut self,
        now: Instant,
        permits: u32,
        mode: Mode,
    ) -> Result<Option<Entry>, NoRuntime> {
        let Some(outage) = &self.outage else { return Ok(None) };
        let (until, is_due) = (outage.until, now >= outage.until);
        let policy = if outage.misconfigured { OnFailure::Closed } else { self.config.on_failure };
        if policy == OnFailure::Closed {
            let (cause, retry_after) = (Arc::clone(&outage.cause), until.saturating_duration_since(now));
            let error = match outage.misconfigured {
                true => Error::Misconfigured { cause, retry_after },
                false => Error::Unavailable { cause, retry_after },
            };
            return Ok((!is_due && !self.calling).then_some(Entry::Denied(error)));
        }
        if is_due {
            self.ensure_worker()?;
        }
        Ok(Some(match policy {
            OnFailure::LocalShare(_) => self.enter_local_share(now, permits, mode)?,
            _ => Entry::Granted,
        }))
    }

    fn enter_local_share(&mut self, now: Instant, permits: u32, mode: Mode) -> Result<Entry, NoRuntime> {
        self.serve();
        if self.queue.is_empty() && self.take_local(permits) {
            return Ok(Entry::Granted);
        }
        match mode {
            Mode::Try => {
                let wait = self.expected_wait(now, self.queue.permits(), permits);
                Ok(Entry::Denied(Denied::busy(wait).into()))
            }
            Mode::Wait => self.enqueue(permits, mode),
        }
    }

    /// Returns the result of a request that has been decided, and frees its key. `Closed` means to enter again.
    pub(super) fn take_result(&mut self, key: Key) -> Option<Result<(), Denied>> {
        let result = self.queue.claim(key)?;
        match result {
            Ok(_) => self.granted += 1,
            Err(denied) if denied != Denied::CLOSED => self.refused += 1,
            Err(_) => {}
        }
        Some(result.map(|_| ()))
    }

    /// Whether the stored waker of a waiter wakes another task than `waker` does.
    pub(super) fn needs_waker(&self, key: Key, waker: &Waker) -> bool {
        !self.queue.waiter(key).waker.will_wake(waker)
    }

    pub(super) fn set_waker(&mut self, key: Key, waker: Waker) {
        let waiter = self.queue.waiter_mut(key);
        #[cfg(feature = "inspect")]
        if let Some(record) = &mut waiter.meta.record {
            record.polled_here();
        }
        let replaced = mem::replace(&mut waiter.waker, waker);
        self.effects.drop_wakers.push(replaced);
    }

    /// Removes a request whose future was dropped, and takes back its permits if it was granted.
    pub(super) fn cancel(&mut self, key: Key) {
        match self.queue.claim(key) {
            Some(Ok(grant)) => self.put_back(grant.permits),
            Some(Err(_)) => {}
            None => {
                let waiter = self.queue.cancel(key);
                self.try_waiters -= is_try(waiter.meta.mode);
                self.effects.drop_wakers.push(waiter.waker);
                self.serve();
                self.notify_worker();
            }
        }
    }

    /// Takes back permits of a caller, up to the burst.
    pub(super) fn refund(&mut self, permits: u32) {
        let is_leased = self.local_share().is_none();
        let most = if is_leased { self.quota.burst.saturating_sub(self.leased) } else { permits };
        self.put_back(permits.min(most));
    }

    /// Returns permits to the local share if there is one, else to the lease: those of a request that was dropped may be
    /// above the burst there, and none of them is lost.
    fn put_back(&mut self, permits: u32) {
        match self.local_share() {
            Some(share) => share.refund(permits),
            None => {
                self.leased = self.leased.saturating_add(permits);
                self.lease_expires = Instant::now() + LEASE_TTL;
            }
        }
        self.serve();
        self.schedule_return();
    }

    /// Has the worker return the lease when it expires.
    fn schedule_return(&mut self) {
        if self.leased > 0 {
            // Outside of a runtime the permits stay until a worker runs.
            let _ = self.ensure_worker();
        }
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        self.reenter_waiters();
        self.schedule_return();
        self.notify_worker();
    }

    /// Marks a limit that is being dropped: the abort of its worker is no failure of the store.
    pub(super) fn abandon(&mut self) {
        self.closed = true;
    }

    pub(super) fn is_worker_running(&self) -> bool {
        self.worker_running
    }

    /// The time until `permits` are available behind `ahead` others: in an empty bucket, or from the local share.
    fn expected_wait(&mut self, now: Instant, ahead: u64, permits: u32) -> Duration {
        if let Some(share) = self.local_share() {
            return share.until(share.due(ahead, permits));
        }
        let lacking = (ahead + u64::from(permits)).saturating_sub(self.leased.into());
        let known = self.empty.filter(|(at, _)| lacking > 0 && now < *at + EMPTY_TTL);
        known.map_or(Duration::ZERO, |(at, full_in)| {
            self.quota.wait(full_in, lacking).saturating_sub(now - at)
        })
    }

    /// Grants waiters in order, as long as there are permits for the first one.
    fn serve(&mut self) {
        while let Some(first) = self.queue.front() {
            let (permits, mode) = (first.permits, first.meta.mode);
            #[cfg(feature = "inspect")]
            let record = first.meta.record;
            if !self.take_local(permits) {
                return;
            }
            self.try_waiters -= is_try(mode);
            let grant = Grant {
                permits,
                #[cfg(feature = "inspect")]
                record: record.map(|waiter| GrantRecord { waiter, at: Instant::now() }),
            };
            self.effects.wake.extend(self.queue.serve(grant).map(|waiter| waiter.waker));
        }
        // While requests wait, each turn is computed from the turns before it, and not from the time of the grants.
        if let Some(share) = self.local_share() {
            share.overflow();
        }
    }

    /// Returns the local share if there is one, advanced to now.
    fn local_share(&mut self) -> Option<&mut Bucket> {
        let share = self.outage.as_mut()?.local_share.as_mut()?;
        share.advance(Instant::now());
        Some(share)
    }

    /// Takes permits from the lease, or else from the local share.
    fn take_local(&mut self, permits: u32) -> bool {
        if permits <= self.leased {
            self.leased -= permits;
            return true;
        }
        let share = self.local_share().filter(|share| share.fits(permits));
        share.map(|share| share.spend(permits)).is_some()
    }

    /// Sends all waiters back to enter again.
    fn reenter_waiters(&mut self) {
        let wake = &mut self.effects.wake;
        self.try_waiters = 0;
        self.queue.deny(|_, _| Err(Denied::CLOSED), |waiter| wake.push(waiter.waker));
    }

    /// Notifies the worker, or starts one if there is none.
    fn ensure_worker(&mut self) -> Result<(), NoRuntime> {
        if self.worker_running {
            self.notify_worker();
        } else {
            self.effects.start_worker_in = Some(Handle::try_current().map_err(|_| NoRuntime)?);
            self.worker_running = true;
            self.worker_starting = true;
        }
        Ok(())
    }

    /// The runtime has accepted the worker.
    pub(super) fn worker_started(&mut self) {
        self.worker_starting = false;
    }

    /// Has the worker look at the state. During a call that is of use only for a local share.
    fn notify_worker(&mut self) {
        self.effects.notify_worker |=
            !self.calling || matches!(self.config.on_failure, OnFailure::LocalShare(_));
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            rate: self.rate,
            burst: self.quota.burst,
            leased: self.leased,
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

/// The number that a request adds to `try_waiters`.
fn is_try(mode: Mode) -> usize {
    usize::from(mode == Mode::Try)
}
