//! What is behind the lock of a core.

use std::{cell::Cell, mem, task::Waker, time::Duration};

use tokio::{
    runtime::{Handle, Id},
    time::{Instant, sleep},
};

use super::{
    super::{
        timer::Timer,
        timers::{StartOutcome, TimerStart, Timers},
    },
    Config, Request,
};
use crate::{
    algorithm::{Algorithm, QueueAhead, clock::Tokens},
    error::{Denied, Reason},
    rate::Rate,
    rate_limiter::fast_path::{FastPath, Usage},
    sync::{
        wait_queue::{Key, WaitQueue, Waiter},
        wake_list::WakeList,
    },
};

/// The most waiters that one call serves; those who were served serve the next ones.
const BATCH: usize = 32;

/// The most permits that are granted at one look at the clock, if asked to be fast.
const MOST_CREDITS: u32 = 32;

/// The state of a core.
#[derive(Debug)]
pub(super) struct State {
    pub(super) config: Config,
    /// None if there is no limit; then nobody waits.
    pub(super) algorithm: Option<Algorithm>,
    pub(super) queue: WaitQueue<WaiterMeta, Grant>,
    pub(super) timers: Timers,
    /// Permits lent to the fast_path.
    pub(super) lent: u32,
    pub(super) closed: bool,
    pub(super) granted: u64,
    pub(super) refused: u64,
}

/// How long one waits, and where.
#[derive(Debug)]
pub(super) struct WaiterMeta {
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
pub(super) struct WaitContext {
    waker: Waker,
    /// `None` outside of any.
    runtime: Option<Handle>,
}

impl WaitContext {
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

    /// Lets requests pass without the lock, if nobody has to be asked before.
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

    /// Spends the credits that were used, as if that were now.
    pub(super) fn settle_credits(&mut self, left: u32) {
        let used = mem::take(&mut self.lent) - left;
        self.granted += u64::from(used);
        if let Some(algorithm) = &mut self.algorithm {
            algorithm.overflow();
            algorithm.spend(used);
        }
    }

    /// Takes over what was done in the fast_path.
    pub(super) fn settle(&mut self, usage: Usage) {
        self.granted += usage.granted;
        if let Some(bucket) = self.algorithm.as_mut().and_then(Algorithm::bucket_mut) {
            bucket.set_missing(usage.missing);
        }
    }

    /// How long one who comes now waits, for no more than the burst.
    pub(super) fn wait(&self, permits: u32) -> Duration {
        let each = &mut self.queue.iter().map(|waiter| waiter.permits);
        let before =
            QueueAhead { permits: self.queue.permits(), singles: self.queue.asks_for_singles(), each };
        self.algorithm
            .as_ref()
            .map_or(Duration::ZERO, |algorithm| algorithm.until(algorithm.due(before, permits)))
    }

    pub(super) fn take(&mut self, permits: u32) -> Result<(), Denied> {
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

    /// Takes permits, or tells that they may be waited for.
    pub(super) fn take_or_admit(&mut self, request: Request) -> Result<Entered, Denied> {
        match self.take(request.permits) {
            Ok(()) => Ok(Entered::Granted),
            Err(denied) => self.admit(request, denied).map(|()| Entered::Waits),
        }
    }

    /// Lets one wait in a place.
    pub(super) fn join(&mut self, request: Request, context: WaitContext) -> Key {
        let runtime = self.timers.join(context.runtime.as_ref().expect("there is one where it is to wait"));
        let Request { permits, deadline, .. } = request;
        self.queue.push(Waiter { permits, waker: context.waker, meta: WaiterMeta { deadline, runtime } })
    }

    pub(super) fn is_full(&self) -> bool {
        self.algorithm.as_ref().is_none_or(|algorithm| algorithm.available() == algorithm.burst())
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
    pub(super) fn has_context(&self, key: Key, waker: &Waker) -> bool {
        let waiter = self.queue.waiter(key);
        let here = Handle::try_current().ok().map(|runtime| runtime.id());
        waiter.waker.will_wake(waker) && here.is_none_or(|here| here == waiter.meta.runtime)
    }

    /// Lets one who waits do so in another place, and gives back the waker of before: that runtime may be gone.
    pub(super) fn set_context(&mut self, key: Key, context: &mut WaitContext) {
        let waiter = self.queue.waiter_mut(key);
        mem::swap(&mut waiter.waker, &mut context.waker);
        if let Some(runtime) = &context.runtime {
            let there = mem::replace(&mut waiter.meta.runtime, runtime.id());
            self.timers.join(runtime);
            self.timers.leave(there);
        }
    }

    /// Whether the runtime in which one waits has been shut down, and this place is in no other.
    pub(super) fn is_stranded(&self, key: Key, context: &WaitContext) -> bool {
        let there = self.queue.waiter(key).meta.runtime;
        context.runtime.as_ref().is_none_or(|here| here.id() == there) && self.timers.is_gone(there)
    }

    /// Takes over the end of a start; gives what is to be dropped without the lock.
    pub(super) fn started(
        &mut self,
        start: &TimerStart,
        started: StartOutcome,
        wakes: &mut WakeList,
    ) -> Option<Timer> {
        let gone = matches!(started, StartOutcome::Gone).then(|| start.runtime.id());
        if let Some(gone) = gone {
            self.queue.take_wakers(|waiter| waiter.meta.runtime == gone, |waker| wakes.push(waker));
        }
        self.timers.started(start, started)
    }

    /// Gives up a place, and the permits if its turn has come; gives what is to be dropped without the lock.
    pub(super) fn leave(&mut self, key: Key) -> Option<Waiter<WaiterMeta>> {
        let Some(decision) = self.queue.claim(key) else {
            let waiter = self.queue.cancel(key);
            self.timers.leave(waiter.meta.runtime);
            return Some(waiter);
        };
        if let (Ok(Grant { permits, mark }), Some(algorithm)) = (decision, &mut self.algorithm) {
            algorithm.take_back(permits, mark);
        }
        None
    }

    /// Whether one who was `denied` its permits now may wait for them.
    fn admit(&mut self, request: Request, denied: Denied) -> Result<(), Denied> {
        let verdict = match denied.reason {
            Reason::Busy if self.is_late(request.deadline, denied.retry_after.unwrap_or_default()) => {
                Err(denied.because(Reason::Deadline))
            }
            Reason::Busy if request.bounded && self.queue.len() >= self.config.max_waiters => {
                Err(denied.because(Reason::QueueFull))
            }
            Reason::Busy => Ok(()),
            _ => Err(denied),
        };
        verdict.inspect_err(|_| self.refused += 1)
    }

    /// Whether a turn after `wait` comes after the deadline.
    fn is_late(&self, deadline: Option<Instant>, wait: Duration) -> bool {
        let Some((deadline, algorithm)) = deadline.zip(self.algorithm.as_ref()) else { return false };
        wait > deadline.saturating_duration_since(algorithm.now())
    }

    /// Refuses those whom nothing is left to wait for.
    pub(super) fn review(&mut self, wakes: &mut WakeList) {
        let mut queue = mem::replace(&mut self.queue, WaitQueue::new());
        let (mut before, mut singles) = (vec![], true);
        let verdict = |sum, waiter: &Waiter<WaiterMeta>| {
            let Some(algorithm) = self.algorithm.as_ref().filter(|_| !self.closed) else {
                return Err(Denied::CLOSED);
            };
            if self.config.never_fit(waiter.permits, algorithm.burst()) {
                return Err(Denied::NEVER_FITS);
            }
            if waiter.meta.deadline.is_some() {
                let each = &mut before.iter().copied();
                let before = QueueAhead { permits: sum, singles, each };
                let wait = algorithm.until(algorithm.due(before, waiter.permits));
                if self.is_late(waiter.meta.deadline, wait) {
                    return Err(Denied::busy(wait).because(Reason::Deadline));
                }
            }
            before.push(waiter.permits);
            singles &= waiter.permits == 1;
            Ok(())
        };
        let mut left = vec![];
        queue.refuse(verdict, |waiter| {
            left.push(waiter.meta.runtime);
            wakes.push(waiter.waker);
        });
        left.into_iter().for_each(|runtime| self.timers.leave(runtime));
        self.queue = queue;
    }

    /// Serves those whose turn has come.
    ///
    /// While anybody waits the bucket does not overflow: the turn of each is reckoned from the one before
    /// it, and not from when that was served, which is later by the resolution of the timer.
    pub(super) fn serve(&mut self, wakes: &mut WakeList) {
        let Some(algorithm) = &mut self.algorithm else { return };
        while let Some(first) = self.queue.front()
            && algorithm.fits(first.permits)
            && wakes.len() < BATCH
        {
            let permits = first.permits;
            algorithm.spend(permits);
            self.timers.leave(first.meta.runtime);
            if let Some(waiter) = self.queue.serve(Grant { permits, mark: algorithm.mark() }) {
                wakes.push(waiter.waker);
            }
        }
        if self.queue.is_empty() {
            algorithm.overflow();
        }
    }

    /// When the turn of the first of those who wait comes.
    fn next_due(&self) -> Option<Tokens> {
        let (algorithm, first) = (self.algorithm.as_ref()?, self.queue.front()?);
        Some(QueueAhead::empty(|nobody| algorithm.due(nobody, first.permits)))
    }

    /// A timer that has to be started for the first of those who wait.
    pub(super) fn claim_start(&mut self) -> Option<TimerStart> {
        let due = self.next_due()?;
        let algorithm = self.algorithm.as_ref()?;
        self.timers.claim(due, || algorithm.until(due))
    }

    /// Whether timers are to be started or dropped.
    pub(super) fn needs_maintenance(&self) -> bool {
        self.timers.need_maintenance(self.next_due())
    }
}
