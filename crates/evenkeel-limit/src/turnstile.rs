//! Where requests for permits pass, one after the other.

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::{Poll, Wake, Waker},
};

use tokio::time::Instant;

use crate::{
    alarms::{Alarm, Alarms},
    bucket::Bucket,
    denied::Denied,
    queue::{Key, Queue, Waiter},
    rate::Rate,
    snapshot::Snapshot,
};

/// The most waiters that one call serves; those who were served serve the next ones.
const BATCH: usize = 32;

/// All that the users of one limiter share.
///
/// Every call serves first those whose turn has come by the clock, and sees that an alarm is set for the next
/// one. What the alarm wakes is the turnstile itself: who waits is served although nobody is polled.
#[derive(Debug)]
pub(crate) struct Turnstile {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    capacity: Capacity,
    /// None if there is no limit; then nobody waits.
    bucket: Option<Bucket>,
    queue: Queue,
    alarms: Alarms,
    granted: u64,
    refused: u64,
}

/// How much a bucket holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capacity {
    /// As many permits as the rate is written with, if not given.
    pub(crate) burst: Option<u32>,
    pub(crate) start_empty: bool,
}

impl Capacity {
    fn bucket(self, rate: Rate) -> Bucket {
        let burst = self.burst.unwrap_or(rate.permits());
        let mut bucket = Bucket::full(rate, burst, Instant::now());
        if self.start_empty {
            bucket.spend(burst);
        }
        bucket
    }
}

impl Turnstile {
    pub(crate) fn new(rate: Option<Rate>, capacity: Capacity) -> Arc<Self> {
        let bucket = rate.map(|rate| capacity.bucket(rate));
        let state = State {
            capacity,
            bucket,
            queue: Queue::default(),
            alarms: Alarms::default(),
            granted: 0,
            refused: 0,
        };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// Takes permits now or not at all.
    pub(crate) fn try_acquire(self: &Arc<Self>, permits: u32) -> Result<(), Denied> {
        self.with(|state| state.take(permits).inspect_err(|_| state.refused += 1))
    }

    /// Takes permits now, or a place in the queue.
    pub(crate) fn enter(self: &Arc<Self>, permits: u32, waker: &Waker) -> Result<Option<Key>, Denied> {
        self.with(|state| match state.take(permits) {
            Ok(()) => Ok(None),
            Err(Denied::NEVER_FITS) => {
                state.refused += 1;
                Err(Denied::NEVER_FITS)
            }
            Err(_) => {
                let runtime = state.alarms.join();
                Ok(Some(state.queue.push(Waiter { permits, waker: waker.clone(), runtime })))
            }
        })
    }

    /// Gives up the place if its turn has come.
    pub(crate) fn poll(self: &Arc<Self>, key: Key, waker: &Waker) -> Poll<()> {
        let (poll, _replaced) = self.with(|state| match state.queue.claim(key) {
            Some(_) => {
                state.granted += 1;
                (Poll::Ready(()), None)
            }
            None => (Poll::Pending, state.queue.set_waker(key, waker)),
        });
        poll
    }

    /// Gives up the place, and the permits if its turn has come.
    pub(crate) fn leave(self: &Arc<Self>, key: Key) {
        drop(self.with(|state| match (state.queue.claim(key), &mut state.bucket) {
            (Some(permits), Some(bucket)) => {
                bucket.refund(permits);
                None
            }
            _ => {
                let waiter = state.queue.cancel(key);
                state.alarms.leave(waiter.runtime);
                Some(waiter)
            }
        }));
    }

    pub(crate) fn set_rate(self: &Arc<Self>, rate: Rate) {
        self.with(|state| {
            match &mut state.bucket {
                Some(bucket) => bucket.set_rate(rate),
                None => state.bucket = Some(state.capacity.bucket(rate)),
            }
            state.alarms.reset();
        });
    }

    pub(crate) fn snapshot(self: &Arc<Self>) -> Snapshot {
        self.with(|state| {
            let bucket = state.bucket.as_ref();
            Snapshot {
                rate: bucket.map(Bucket::rate),
                burst: bucket.map_or(u32::MAX, Bucket::burst),
                available: bucket.map_or(u32::MAX, Bucket::available),
                waiting: state.queue.len(),
                granted: state.granted,
                refused: state.refused,
            }
        })
    }

    /// Changes the state, and does what follows from that.
    ///
    /// Nothing of others is called or dropped under the lock: neither here nor by `change`, which gives it back.
    fn with<R>(self: &Arc<Self>, change: impl FnOnce(&mut State) -> R) -> R {
        // Dropped in reverse order: the lock first, and the timers of those who were served when they are awake.
        let _retired;
        let mut served = Served(Vec::new());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = &mut state.bucket {
            bucket.advance(Instant::now());
        }
        state.serve(&mut served);
        let result = change(&mut state);
        state.serve(&mut served);
        _retired = state.set_alarms(self);
        result
    }
}

impl Wake for Turnstile {
    fn wake(self: Arc<Self>) {
        self.with(|_| ());
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.with(|_| ());
    }
}

impl State {
    fn take(&mut self, permits: u32) -> Result<(), Denied> {
        if let Some(bucket) = &mut self.bucket {
            if permits > bucket.burst() {
                return Err(Denied::NEVER_FITS);
            }
            if !self.queue.is_empty() || !bucket.fits(permits) {
                let due = bucket.due(self.queue.permits() + u64::from(permits));
                return Err(Denied::busy(bucket.until(due)));
            }
            bucket.spend(permits);
        }
        self.granted += 1;
        Ok(())
    }

    /// Serves those whose turn has come.
    ///
    /// While anybody waits the bucket does not overflow: the turn of each is reckoned from the one before
    /// it, and not from when that was served, which is later by the resolution of the timer.
    fn serve(&mut self, served: &mut Served) {
        let Some(bucket) = &mut self.bucket else { return };
        while let Some(first) = self.queue.front()
            && bucket.fits(first.permits)
            && served.0.len() < BATCH
        {
            bucket.spend(first.permits);
            self.alarms.leave(first.runtime);
            served.0.extend(self.queue.serve());
        }
        if self.queue.is_empty() {
            bucket.overflow();
        }
    }

    /// Sets the alarms for the first of those who wait, and gives those that nobody needs.
    fn set_alarms(&mut self, turnstile: &Arc<Turnstile>) -> Vec<Alarm> {
        let retired = self.alarms.retire();
        if let (Some(bucket), Some(first)) = (&self.bucket, self.queue.front()) {
            let due = bucket.due(first.permits.into());
            for alarm in self.alarms.late_for(due) {
                alarm.set(due, bucket.until(due), &Waker::from(Arc::clone(turnstile)));
            }
        }
        retired
    }
}

/// Waiters to be woken when this is dropped.
struct Served(Vec<Waiter>);

impl Drop for Served {
    fn drop(&mut self) {
        for waiter in self.0.drain(..) {
            waiter.waker.wake();
        }
    }
}
