//! The state of a rate limiter: the data under its lock.
//!
//! # How it works
//!
//! The algorithm says which permits there are, the queue holds the waiters, the timers wake the limiter for the first of
//! them. Every call of the [core](super::Core) makes the same steps with it, in this order:
//!
//! 1. [`settle`](State::settle): takes over what the fast path has granted, and moves the algorithm to the present.
//! 2. [`serve`](State::serve): grants the waiters whose turns have come. So a request that comes later never takes a
//!    permit of one that waits.
//! 3. The change that the call is for.
//! 4. `serve` again, since the change may have brought permits or taken out the first waiter.
//! 5. [`claim_start`](State::claim_start): finds a timer that would fire too late for the first waiter.
//! 6. [`open`](State::open): lends the bucket to the fast path, if nobody waits.
//!
//! Invariants:
//! - `granted` counts a waiter when its future has seen the grant. A future that is dropped before has its permits
//!   returned by [`leave`](State::leave).
//! - The counter of the timers for a runtime is the number of waiters whose `meta.runtime` it is.
//! - No foreign code runs here. Wakers are cloned before the lock is taken, collected in a [`WakeList`], swapped and
//!   returned; the core wakes and drops them after the lock is released.

use std::{
    cell::Cell,
    iter, mem,
    task::{Poll, Waker},
    time::Duration,
};

use evenkeel_base::WakeList;
use tokio::{
    runtime::{Handle, Id},
    time::{Instant, sleep},
};

use super::super::{
    timer::Timer,
    timers::{StartOutcome, TimerStart, Timers},
};
#[cfg(feature = "inspect")]
use crate::sync::edges::GrantRecord;
use crate::{
    algorithm::{Algorithm, clock::Tokens},
    error::{Denied, Reason},
    rate::Rate,
    rate_limiter::fast_path::{FastPath, Usage},
    snapshot::Snapshot,
    sync::{
        edges::{CallPlace, Title, WaitRecord},
        entry::Stage,
        wait_queue::{Key, QueueAhead, WaitQueue, Waiter},
    },
};

/// The most waiters that one call serves; those that were served serve the next ones when they are polled.
const BATCH: usize = 32;

/// The most permits that are granted at one look at the clock, if asked to be fast.
const MOST_CREDITS: u32 = 256;

/// The settings of a limiter before its first use, but for its rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    /// The permits of the rate, if not set.
    pub(crate) burst: Option<u32>,
    pub(crate) start_empty: bool,
    /// Counts by a sliding window and not by a bucket.
    pub(crate) sliding: bool,
    /// Lends credits to the fast path.
    pub(crate) fast: bool,
    /// Reads the processor's counter between two readings of tokio's clock.
    pub(crate) cpu: bool,
    /// Grants more than the burst when the bucket is full.
    pub(crate) debt: bool,
    pub(crate) max_waiters: usize,
    pub(crate) max_pause: Duration,
    pub(crate) title: Title,
}

impl Config {
    fn algorithm(self, rate: Rate) -> Algorithm {
        let (burst, now) = (self.burst.unwrap_or(rate.permits()), Instant::now());
        let mut algorithm = match self.sliding {
            true => Algorithm::window_of(rate, burst, now),
            false => Algorithm::bucket_of(rate, burst, now),
        };
        if self.start_empty {
            algorithm.spend(burst);
        }
        algorithm
    }

    /// Returns whether `permits` can never be granted at once.
    fn never_fit(self, permits: u32, burst: u32) -> bool {
        permits > burst && (self.sliding || !self.debt)
    }
}

/// A request that may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) permits: u32,
    pub(crate) deadline: Option<Instant>,
    /// Whether `max_waiters` counts for it.
    pub(crate) bounded: bool,
    pub(crate) call: CallPlace,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) config: Config,
    /// `None` if there is no limit; then nobody waits.
    pub(crate) algorithm: Option<Algorithm>,
    pub(crate) queue: WaitQueue<WaiterMeta, Grant>,
    pub(super) timers: Timers,
    /// Credits lent to the fast path.
    lent: u32,
    pub(crate) closed: bool,
    granted: u64,
    refused: u64,
}

/// The data of a waiter.
#[derive(Debug)]
pub(crate) struct WaiterMeta {
    deadline: Option<Instant>,
    runtime: Id,
    pub(crate) record: WaitRecord,
}

/// A grant that its waiter has not observed yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grant {
    pub(crate) permits: u32,
    mark: Tokens,
    #[cfg(feature = "inspect")]
    pub(crate) record: GrantRecord,
}

thread_local! {
    /// A runtime that is known to have timers.
    static CHECKED: Cell<Option<Id>> = const { Cell::new(None) };
}

/// The waker and the runtime of a waiter, made before the lock is taken.
#[derive(Debug)]
pub(super) struct WaitContext {
    waker: Waker,
    /// `None` outside of any.
    runtime: Option<Handle>,
}

impl WaitContext {
    /// Takes the current runtime.
    ///
    /// # Panics
    ///
    /// If there is none, or it has no timers.
    pub(super) fn here(waker: &Waker) -> Self {
        let runtime = Handle::current();
        // A timer that is never polled: a runtime without timers panics here, and not under the lock.
        if CHECKED.get() != Some(runtime.id()) {
            drop(sleep(Duration::ZERO));
            CHECKED.set(Some(runtime.id()));
        }
        Self { waker: waker.clone(), runtime: Some(runtime) }
    }

    /// Takes the current runtime, if there is one.
    pub(super) fn anywhere(waker: &Waker) -> Self {
        if Handle::try_current().is_ok() {
            Self::here(waker)
        } else {
            Self { waker: waker.clone(), runtime: None }
        }
    }
}

impl State {
    pub(super) fn new(rate: Option<Rate>, config: Config) -> Self {
        Self {
            config,
            algorithm: rate.map(|rate| config.algorithm(rate)),
            queue: WaitQueue::new(),
            timers: Timers::default(),
            lent: 0,
            closed: false,
            granted: 0,
            refused: 0,
        }
    }

    /// Lets requests pass without the lock, if nobody waits.
    pub(super) fn open(&mut self, fast_path: &FastPath) {
        fast_path.set_has_waiters(!self.queue.is_empty());
        let algorithm = self.algorithm.as_ref().filter(|_| self.queue.is_empty() && !self.closed);
        let Some(bucket) = algorithm.and_then(Algorithm::bucket) else { return };
        if self.config.fast {
            self.lent = bucket.available().min(bucket.burst() / 16).min(MOST_CREDITS);
        }
        match self.lent {
            0 => fast_path.open(bucket),
            credits => fast_path.lend(credits),
        }
    }

    /// Takes over what happened without the lock, up to now.
    #[inline(always)]
    pub(super) fn settle(&mut self, fast_path: &FastPath) {
        if let Some(Usage { granted, missing }) = fast_path.close() {
            self.granted += granted;
            if let Some(bucket) = self.algorithm.as_mut().and_then(Algorithm::bucket_mut) {
                bucket.set_missing(missing);
            }
        }
        if let Some(algorithm) = &mut self.algorithm {
            algorithm.advance(fast_path.read_clock());
        }
        if self.lent > 0 {
            self.settle_credits(fast_path.recall());
        }
    }

    /// Spends the credits that were used, as if that were now.
    fn settle_credits(&mut self, left: u32) {
        let used = mem::take(&mut self.lent) - left;
        self.granted += u64::from(used);
        if let Some(algorithm) = &mut self.algorithm {
            algorithm.overflow();
            algorithm.spend(used);
        }
    }

    /// Returns the algorithm as it is if what was granted without the lock counts.
    #[cfg(feature = "inspect")]
    pub(crate) fn settled_algorithm(&self, fast_path: &FastPath) -> Option<Algorithm> {
        let mut algorithm = self.algorithm.clone()?;
        if let (Some(bucket), Some(usage)) = (algorithm.bucket_mut(), fast_path.usage_so_far()) {
            bucket.set_missing(usage.missing);
        }
        algorithm.spend(self.lent.saturating_sub(fast_path.credits_left()));
        Some(algorithm)
    }

    /// Returns how long a request that comes now waits; more than the burst counts as the burst.
    pub(crate) fn wait(&self, permits: u32) -> Duration {
        let each = &mut self.queue.iter().map(|waiter| waiter.permits);
        let ahead =
            QueueAhead { permits: self.queue.permits(), singles: self.queue.asks_for_singles(), each };
        self.algorithm
            .as_ref()
            .map_or(Duration::ZERO, |algorithm| algorithm.until(algorithm.due(ahead, permits)))
    }

    /// Takes permits now or not at all, and counts a refusal.
    pub(super) fn try_acquire(&mut self, permits: u32) -> Result<(), Denied> {
        self.take(permits).inspect_err(|_| self.refused += 1)
    }

    fn take(&mut self, permits: u32) -> Result<(), Denied> {
        if self.closed {
            return Err(Denied::CLOSED);
        }
        if let Some(algorithm) = &mut self.algorithm {
            if self.config.never_fit(permits, algorithm.burst()) {
                return Err(Denied::NEVER_FITS);
            }
            if !self.queue.is_empty() || !algorithm.fits(permits) {
                return Err(Denied::busy(self.wait(permits)));
            }
            algorithm.spend(permits);
        }
        self.granted += 1;
        Ok(())
    }

    /// Takes permits, or queues the request with its context and sets the stage; `None` if it has to wait and has no
    /// context.
    pub(super) fn enter(
        &mut self,
        request: Request,
        context: &mut Option<WaitContext>,
        stage: &mut Stage,
    ) -> Option<Poll<Result<(), Denied>>> {
        let Err(denied) = self.take(request.permits) else { return Some(Poll::Ready(Ok(()))) };
        if let Err(denied) = self.admit(request, denied) {
            self.refused += 1;
            return Some(Poll::Ready(Err(denied)));
        }
        *stage = Stage::Queued(self.push(request, context.take()?));
        Some(Poll::Pending)
    }

    /// Returns whether a request that is `denied` its permits now may wait for them.
    fn admit(&self, request: Request, denied: Denied) -> Result<(), Denied> {
        match denied.reason {
            Reason::Busy if self.is_late(request.deadline, denied.retry_after.unwrap_or_default()) => {
                Err(denied.because(Reason::Deadline))
            }
            Reason::Busy if request.bounded && self.queue.len() >= self.config.max_waiters => {
                Err(denied.because(Reason::QueueFull))
            }
            Reason::Busy => Ok(()),
            _ => Err(denied),
        }
    }

    fn push(&mut self, request: Request, context: WaitContext) -> Key {
        let runtime = self.timers.join(context.runtime.as_ref().expect("a context to wait in has a runtime"));
        let Request { permits, deadline, call, .. } = request;
        let meta = WaiterMeta { deadline, runtime, record: WaitRecord::new(call) };
        self.queue.push(Waiter { permits, waker: context.waker, meta })
    }

    /// Frees the key of a waiter that was granted or denied, ends its stage, and returns which.
    pub(super) fn claim(&mut self, key: Key, stage: &mut Stage) -> Option<Result<(), Denied>> {
        let decision = self.queue.claim(key)?;
        *stage = Stage::Done;
        match decision {
            Ok(_) => self.granted += 1,
            Err(_) => self.refused += 1,
        }
        Some(decision.map(|_| ()))
    }

    /// Returns whether a waiter has this waker, and waits in the current runtime.
    pub(super) fn has_context(&self, key: Key, waker: &Waker) -> bool {
        let waiter = self.queue.waiter(key);
        let here = Handle::try_current().ok().map(|runtime| runtime.id());
        waiter.waker.will_wake(waker) && here.is_none_or(|here| here == waiter.meta.runtime)
    }

    /// Sets where a waiter waits, and leaves the old waker in `context`. The old runtime may be gone.
    pub(super) fn set_context(&mut self, key: Key, context: &mut WaitContext) {
        let waiter = self.queue.waiter_mut(key);
        mem::swap(&mut waiter.waker, &mut context.waker);
        waiter.meta.record.polled_here();
        if let Some(runtime) = &context.runtime {
            let there = mem::replace(&mut waiter.meta.runtime, runtime.id());
            self.timers.join(runtime);
            self.timers.leave(there);
        }
    }

    /// Returns whether the runtime of a waiter has been shut down, and this context is in no other.
    pub(super) fn is_stranded(&self, key: Key, context: &WaitContext) -> bool {
        let there = self.queue.waiter(key).meta.runtime;
        context.runtime.as_ref().is_none_or(|here| here.id() == there) && self.timers.is_gone(there)
    }

    /// Removes a waiter, and returns the permits if they were granted. Its waker is to be dropped without the lock.
    pub(super) fn leave(&mut self, key: Key) -> Option<Waker> {
        let Some(decision) = self.queue.claim(key) else {
            let waiter = self.queue.cancel(key);
            self.timers.leave(waiter.meta.runtime);
            return Some(waiter.waker);
        };
        if let (Ok(Grant { permits, mark, .. }), Some(algorithm)) = (decision, &mut self.algorithm) {
            algorithm.take_back(permits, mark);
        }
        None
    }

    /// Returns whether a turn after `wait` comes after the deadline.
    fn is_late(&self, deadline: Option<Instant>, wait: Duration) -> bool {
        let Some((deadline, algorithm)) = deadline.zip(self.algorithm.as_ref()) else { return false };
        wait > deadline.saturating_duration_since(algorithm.now())
    }

    /// Follows a change after which turns come at other times: rejects waiters that can no longer be served (closed, over
    /// the burst, or past the deadline), and has the timers started again.
    pub(super) fn review(&mut self, wakes: &mut WakeList) {
        self.timers.reset();
        let mut queue = mem::replace(&mut self.queue, WaitQueue::new());
        let (mut ahead, mut singles) = (vec![], true);
        let verdict = |permits, waiter: &Waiter<WaiterMeta>| {
            let Some(algorithm) = self.algorithm.as_ref().filter(|_| !self.closed) else {
                return Err(Denied::CLOSED);
            };
            if self.config.never_fit(waiter.permits, algorithm.burst()) {
                return Err(Denied::NEVER_FITS);
            }
            if waiter.meta.deadline.is_some() {
                let each = &mut ahead.iter().copied();
                let wait =
                    algorithm.until(algorithm.due(QueueAhead { permits, singles, each }, waiter.permits));
                if self.is_late(waiter.meta.deadline, wait) {
                    return Err(Denied::busy(wait).because(Reason::Deadline));
                }
            }
            ahead.push(waiter.permits);
            singles &= waiter.permits == 1;
            Ok(())
        };
        let mut left = vec![];
        queue.deny(verdict, |waiter| {
            left.push(waiter.meta.runtime);
            wakes.push(waiter.waker);
        });
        left.into_iter().for_each(|runtime| self.timers.leave(runtime));
        self.queue = queue;
    }

    /// Grants the waiters whose turns have come.
    ///
    /// The bucket does not overflow while somebody waits: a turn counts from the turn before it, and not from when that
    /// was served, which is later by the resolution of the timer.
    pub(super) fn serve(&mut self, wakes: &mut WakeList) {
        let Some(algorithm) = &mut self.algorithm else { return };
        while let Some(first) = self.queue.front()
            && algorithm.fits(first.permits)
            && wakes.len() < BATCH
        {
            let permits = first.permits;
            algorithm.spend(permits);
            self.timers.leave(first.meta.runtime);
            let grant = Grant {
                permits,
                mark: algorithm.mark(),
                #[cfg(feature = "inspect")]
                record: GrantRecord { waiter: first.meta.record, at: algorithm.now() },
            };
            if let Some(waiter) = self.queue.serve(grant) {
                wakes.push(waiter.waker);
            }
        }
        if self.queue.is_empty() {
            algorithm.overflow();
        }
    }

    /// Returns the reading at which the turn of the first waiter comes.
    fn next_due(&self) -> Option<Tokens> {
        let (algorithm, first) = (self.algorithm.as_ref()?, self.queue.front()?);
        let nobody = QueueAhead { permits: 0, singles: true, each: &mut iter::empty() };
        Some(algorithm.due(nobody, first.permits))
    }

    /// Returns a timer that has to be started for the first waiter.
    pub(super) fn claim_start(&mut self) -> Option<TimerStart> {
        let due = self.next_due()?;
        let algorithm = self.algorithm.as_ref()?;
        self.timers.claim(due, || algorithm.until(due))
    }

    /// Takes over the end of a start, and returns the timer that is to be dropped without the lock.
    pub(super) fn started(
        &mut self,
        start: &TimerStart,
        outcome: StartOutcome,
        wakes: &mut WakeList,
    ) -> Option<Timer> {
        if let StartOutcome::Gone = outcome {
            // No timer will wake the waiters of this runtime any more; a waiter that is polled elsewhere moves there.
            let gone = start.runtime.id();
            self.queue.take_wakers(|waiter| waiter.meta.runtime == gone, |waker| wakes.push(waker));
        }
        self.timers.started(start, outcome)
    }

    /// Returns whether timers are to be started or dropped.
    pub(super) fn needs_maintenance(&self) -> bool {
        self.timers.need_maintenance(self.next_due())
    }

    /// Returns whether nobody waits, and all permits of the burst are there.
    pub(super) fn is_unused(&mut self, fast_path: &FastPath) -> bool {
        self.queue.is_empty() && {
            self.settle(fast_path);
            self.algorithm.as_ref().is_none_or(|algorithm| algorithm.available() == algorithm.burst())
        }
    }

    /// Sets the rate; a sliding window whose burst was not set takes the new number for it.
    pub(crate) fn set_rate(&mut self, rate: Rate) {
        match &mut self.algorithm {
            Some(algorithm) => {
                algorithm.set_rate(rate);
                if self.config.sliding && self.config.burst.is_none() {
                    algorithm.set_burst(rate.permits());
                }
            }
            None => self.algorithm = Some(self.config.algorithm(rate)),
        }
    }

    pub(crate) fn set_burst(&mut self, burst: u32) {
        self.config.burst = Some(burst);
        if let Some(algorithm) = &mut self.algorithm {
            algorithm.set_burst(burst);
        }
    }

    /// Returns the numbers of the limiter; `refused` are those that the fast path has refused.
    pub(super) fn snapshot(&self, refused: u64) -> Snapshot {
        let algorithm = self.algorithm.as_ref();
        Snapshot {
            rate: algorithm.map(Algorithm::rate),
            burst: algorithm.map_or(u32::MAX, Algorithm::burst),
            available: algorithm.map_or(u32::MAX, Algorithm::available),
            full_in: self.wait(u32::MAX),
            paused_for: algorithm.map_or(Duration::ZERO, Algorithm::paused_for),
            waiting: self.queue.len(),
            granted: self.granted,
            refused: self.refused + refused,
            closed: self.closed,
        }
    }
}
