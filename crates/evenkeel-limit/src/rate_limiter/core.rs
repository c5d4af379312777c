//! Where requests for permits pass, one after the other.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, PoisonError},
    task::{Poll, Wake, Waker},
    time::Duration,
};

use tokio::time::Instant;

use self::state::{Entered, State, WaitContext};
use super::{
    loom::{Mutex, MutexGuard},
    timer::Timer,
    timers::{RuntimeTimer, StartOutcome, TimerStart},
};
use crate::{
    algorithm::{Algorithm, PauseMode, bucket::Bucket, clock::Tokens, window::Window},
    error::Denied,
    rate::Rate,
    rate_limiter::fast_path::{FastPath, TryAcquire},
    snapshot::Snapshot,
    sync::{wait_queue::Key, wake_list::WakeList},
    telemetry::{self, Kind},
};

#[path = "state.rs"]
mod state;

/// The resolution of tokio's timers.
const TICK: Duration = Duration::from_millis(1);

/// All that the users of one limiter share.
///
/// Every call serves first those whose turn has come by the clock, and sees that an timer is set for the next
/// one. What the timer wakes is the core itself: who waits is served although nobody is polled.
///
/// While nobody waits, requests pass through the fast_path.
#[derive(Debug)]
pub(crate) struct Core {
    fast_path: FastPath,
    state: Mutex<State>,
}

/// What was said of a limiter before its first use, but for its rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    /// As many permits as the rate is written with, if not given.
    pub(crate) burst: Option<u32>,
    pub(crate) start_empty: bool,
    /// Whether it is the burst that is granted in any stretch of the rate's time, at most.
    pub(crate) sliding: bool,
    /// Whether credits are given to the fast_path.
    pub(crate) fast: bool,
    /// Whether more than the burst is granted when the bucket is full.
    pub(crate) debt: bool,
    pub(crate) max_waiters: usize,
    pub(crate) max_pause: Duration,
}

impl Config {
    fn algorithm(self, rate: Rate) -> Algorithm {
        let (burst, now) = (self.burst.unwrap_or(rate.permits()), Instant::now());
        let mut algorithm = match self.sliding {
            true => Algorithm::from(Window::new(rate, burst, now)),
            false => Algorithm::from(Bucket::full(rate, burst, now)),
        };
        if self.start_empty {
            algorithm.spend(burst);
        }
        algorithm
    }

    /// Whether so many can never be granted at once.
    fn never_fit(self, permits: u32, burst: u32) -> bool {
        permits > burst && (self.sliding || !self.debt)
    }
}

/// What is asked for by one who may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) permits: u32,
    pub(crate) deadline: Option<Instant>,
    /// Whether it is refused if too many wait.
    pub(crate) bounded: bool,
}

impl Core {
    pub(crate) fn new(rate: Option<Rate>, config: Config) -> Arc<Self> {
        let core = Arc::new(Self { fast_path: FastPath::new(), state: Mutex::new(State::new(rate, config)) });
        core.with(|_, _| ());
        core
    }

    /// Takes permits now or not at all.
    pub(crate) fn try_acquire(self: &Arc<Self>, permits: u32) -> Result<(), Denied> {
        match self.fast_path.take(permits) {
            TryAcquire::Granted => Ok(()),
            TryAcquire::Refused { lacking, speed } => Err(self.refuse(lacking, speed)),
            TryAcquire::Closed => self.try_acquire_locked(permits),
        }
    }

    /// Another may have opened the fast_path by the time that the lock is there. It stays open then: to shut it would send
    /// those who pass it to the lock as well, one behind the other.
    #[inline(never)]
    fn try_acquire_locked(self: &Arc<Self>, permits: u32) -> Result<(), Denied> {
        let state = self.lock();
        match self.fast_path.take(permits) {
            TryAcquire::Granted => Ok(()),
            TryAcquire::Refused { lacking, speed } => {
                drop(state);
                Err(self.refuse(lacking, speed))
            }
            TryAcquire::Closed => {
                let take =
                    |state: &mut State, _: &mut _| state.take(permits).inspect_err(|_| state.refused += 1);
                self.with_locked(state, take).inspect_err(|denied| telemetry::refused(Kind::Rate, denied))
            }
        }
    }

    #[inline]
    fn refuse(&self, lacking: u64, speed: u64) -> Denied {
        self.fast_path.count_refusal();
        let denied = TryAcquire::denied(lacking, speed);
        telemetry::refused(Kind::Rate, &denied);
        denied
    }

    /// Takes permits now, or a place in the queue.
    #[inline]
    pub(crate) fn enter(self: &Arc<Self>, request: Request, waker: &Waker) -> Result<Option<Key>, Denied> {
        match self.fast_path.take(request.permits) {
            TryAcquire::Granted => Ok(None),
            passage => self.enter_beside_the_lane(matches!(passage, TryAcquire::Closed), request, waker),
        }
    }

    #[inline(never)]
    fn enter_beside_the_lane(
        self: &Arc<Self>,
        is_closed: bool,
        request: Request,
        waker: &Waker,
    ) -> Result<Option<Key>, Denied> {
        let entered = if is_closed && !self.fast_path.has_waiters() {
            self.enter_locked(request, waker)
        } else {
            self.enqueue(request, waker)
        };
        match &entered {
            Ok(Some(_)) => telemetry::waits(Kind::Rate),
            Ok(None) => {}
            Err(denied) => telemetry::refused(Kind::Rate, denied),
        }
        entered
    }

    /// The same for one who is not likely to have to wait.
    #[inline(never)]
    fn enter_locked(self: &Arc<Self>, request: Request, waker: &Waker) -> Result<Option<Key>, Denied> {
        let state = self.lock();
        if matches!(self.fast_path.take(request.permits), TryAcquire::Granted) {
            return Ok(None);
        }
        match self.with_locked(state, |state, _| state.take_or_admit(request))? {
            Entered::Granted => Ok(None),
            Entered::Waits => self.enqueue(request, waker),
        }
    }

    /// The same for one who is likely to have to wait: the waker is cloned before the lock is taken.
    #[inline(never)]
    fn enqueue(self: &Arc<Self>, request: Request, waker: &Waker) -> Result<Option<Key>, Denied> {
        let mut context = Some(WaitContext::here(waker));
        let state = self.lock();
        if matches!(self.fast_path.take(request.permits), TryAcquire::Granted) {
            return Ok(None);
        }
        self.with_locked(state, |state, _| match state.take_or_admit(request)? {
            Entered::Granted => Ok(None),
            Entered::Waits => Ok(context.take().map(|context| state.join(request, context))),
        })
    }

    /// Gives up the place if its turn has come, or it was refused.
    pub(crate) fn poll(self: &Arc<Self>, key: Key, waker: &Waker) -> Poll<Result<(), Denied>> {
        let decided =
            match self.with(|state, _| state.decided(key).ok_or_else(|| state.has_context(key, waker))) {
                Ok(decided) => decided,
                Err(true) => return Poll::Pending,
                Err(false) => {
                    let mut context = WaitContext::anywhere(waker);
                    let moved = self.with(|state, _| match state.decided(key) {
                        Some(decided) => Ok(Some(decided)),
                        None if state.is_stranded(key, &context) => Err(()),
                        None => {
                            state.set_context(key, &mut context);
                            Ok(None)
                        }
                    });
                    match moved {
                        Ok(Some(decided)) => decided,
                        Ok(None) => return Poll::Pending,
                        Err(()) => panic!("waiting for permits in a tokio runtime that has been shut down"),
                    }
                }
            };
        if let Err(denied) = &decided {
            telemetry::refused(Kind::Rate, denied);
        }
        Poll::Ready(decided)
    }

    /// Gives up the place, and the permits if its turn has come.
    pub(crate) fn leave(self: &Arc<Self>, key: Key) {
        drop(self.with(|state, _| state.leave(key)));
    }

    /// How long one who comes now waits.
    pub(crate) fn wait(self: &Arc<Self>, permits: u32) -> Duration {
        self.with(|state, _| state.wait(permits))
    }

    pub(crate) fn refund(self: &Arc<Self>, permits: u32) {
        self.with(|state, _| {
            if let Some(algorithm) = &mut state.algorithm {
                algorithm.refund(permits);
            }
        });
    }

    /// Where the algorithm is, right after a grant; none if there is no limit.
    pub(crate) fn mark(self: &Arc<Self>) -> Option<Tokens> {
        self.with(|state, _| state.algorithm.as_ref().map(Algorithm::mark))
    }

    /// The same as a refund of permits that were granted at this mark.
    pub(crate) fn give_back(self: &Arc<Self>, permits: u32, mark: Tokens) {
        self.with(|state, _| {
            if let Some(algorithm) = &mut state.algorithm {
                algorithm.give_back(permits, mark);
            }
        });
    }

    /// Takes permits that have been used already.
    pub(crate) fn charge(self: &Arc<Self>, permits: u32) {
        self.change(|state| {
            if let Some(algorithm) = &mut state.algorithm {
                algorithm.spend(permits);
            }
        });
    }

    /// Takes parts of permits.
    pub(crate) fn spend(self: &Arc<Self>, tokens: Tokens) {
        self.change(|state| {
            if let Some(algorithm) = &mut state.algorithm {
                algorithm.spend_tokens(tokens);
            }
        });
    }

    pub(crate) fn pause(self: &Arc<Self>, pause: Duration, how: PauseMode) {
        let pause = self.change(|state| {
            let pause = pause.min(state.config.max_pause);
            if let Some(algorithm) = &mut state.algorithm {
                algorithm.pause(pause, how);
            }
            pause
        });
        telemetry::paused(pause);
    }

    /// Whether there was a pause.
    pub(crate) fn resume(self: &Arc<Self>) -> bool {
        let paused = self.change(|state| {
            let algorithm = state.algorithm.as_mut().filter(|algorithm| !algorithm.paused_for().is_zero());
            algorithm.map(Algorithm::resume).is_some()
        });
        if paused {
            telemetry::resumed();
        }
        paused
    }

    pub(crate) fn set_rate(self: &Arc<Self>, rate: Rate) {
        self.change(|state| match &mut state.algorithm {
            Some(algorithm) => {
                algorithm.set_rate(rate);
                if state.config.sliding && state.config.burst.is_none() {
                    algorithm.set_burst(rate.permits());
                }
            }
            None => state.algorithm = Some(state.config.algorithm(rate)),
        });
    }

    pub(crate) fn set_burst(self: &Arc<Self>, burst: u32) {
        self.change(|state| {
            state.config.burst = Some(burst);
            if let Some(algorithm) = &mut state.algorithm {
                algorithm.set_burst(burst);
            }
        });
    }

    pub(crate) fn close(self: &Arc<Self>) {
        self.change(|state| state.closed = true);
    }

    pub(crate) fn snapshot(self: &Arc<Self>) -> Snapshot {
        self.with(|state, _| {
            let algorithm = state.algorithm.as_ref();
            Snapshot {
                rate: algorithm.map(Algorithm::rate),
                burst: algorithm.map_or(u32::MAX, Algorithm::burst),
                available: algorithm.map_or(u32::MAX, Algorithm::available),
                full_in: state.wait(u32::MAX),
                paused_for: algorithm.map_or(Duration::ZERO, Algorithm::paused_for),
                waiting: state.queue.len(),
                granted: state.granted,
                refused: state.refused + self.fast_path.refused(),
                closed: state.closed,
            }
        })
    }

    /// Whether nobody waits, and it is as good as a new one. Nobody is served, and nothing of others is called.
    pub(crate) fn is_unused(&self) -> bool {
        let mut state = self.lock();
        let unused = state.queue.is_empty() && {
            self.catch_up(&mut state);
            state.is_full()
        };
        state.open(&self.fast_path);
        unused
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change after which turns come at other times, and refuses those who cannot wait for theirs.
    fn change<R>(self: &Arc<Self>, change: impl FnOnce(&mut State) -> R) -> R {
        self.with(|state, wakes| {
            let result = change(state);
            state.timers.reset();
            state.review(wakes);
            result
        })
    }

    /// Changes the state, and does what follows from that.
    ///
    /// Nothing of others is called or dropped under the lock: neither here nor by `change`, which gives it back.
    fn with<R>(self: &Arc<Self>, change: impl FnOnce(&mut State, &mut WakeList) -> R) -> R {
        self.with_locked(self.lock(), change)
    }

    fn with_locked<R>(
        self: &Arc<Self>,
        locked: MutexGuard<'_, State>,
        change: impl FnOnce(&mut State, &mut WakeList) -> R,
    ) -> R {
        // Dropped in reverse order: the old timers when those who were served are awake.
        let mut unused = Vec::new();
        let mut wakes = WakeList::new();
        let (result, start) = self.pass(locked, &mut wakes, &mut unused, change);
        if let Some(start) = start {
            self.start_timers(start, &mut wakes, &mut unused);
        }
        result
    }

    /// One time through the lock, at the end of which a timer may have to be started.
    #[inline]
    fn pass<R>(
        &self,
        locked: MutexGuard<'_, State>,
        wakes: &mut WakeList,
        unused: &mut Vec<RuntimeTimer>,
        change: impl FnOnce(&mut State, &mut WakeList) -> R,
    ) -> (R, Option<TimerStart>) {
        let mut state = locked;
        self.catch_up(&mut state);
        state.serve(wakes);
        let result = change(&mut state, wakes);
        state.serve(wakes);
        state.timers.remove_unused(unused);
        let start = state.claim_start();
        state.open(&self.fast_path);
        (result, start)
    }

    /// Takes over what happened without the lock, up to now.
    #[inline(always)]
    fn catch_up(&self, state: &mut State) {
        if let Some(usage) = self.fast_path.close() {
            state.settle(usage);
        }
        if let Some(algorithm) = &mut state.algorithm {
            algorithm.advance(Instant::now());
        }
        if state.lent > 0 {
            let left = self.fast_path.recall();
            state.settle_credits(left);
        }
    }

    /// Starts timers without the lock, as said in [`timers`](super::timers), until none is missing.
    #[inline(never)]
    fn start_timers(
        self: &Arc<Self>,
        first: TimerStart,
        wakes: &mut WakeList,
        unused: &mut Vec<RuntimeTimer>,
    ) {
        let waker = Waker::from(Arc::clone(self));
        let mut panicked = None;
        let mut next = Some(first);
        while let Some(start) = next {
            let timer = AssertUnwindSafe(|| Timer::start(&start.runtime, start.wait, &waker));
            let started = match catch_unwind(timer) {
                Ok(timer) => timer.map_or(StartOutcome::Gone, StartOutcome::Timer),
                Err(panic) => {
                    panicked.get_or_insert(panic);
                    StartOutcome::Failed
                }
            };
            let has_fired = matches!(&started, StartOutcome::Timer(timer) if timer.has_fired());
            let _replaced;
            let mut state = self.lock();
            _replaced = state.started(&start, started, wakes);
            next =
                if state.needs_maintenance() { self.pass(state, wakes, unused, |_, _| ()).1 } else { None };
            if let Some(start) = next.as_mut().filter(|_| has_fired) {
                // The turn of the next one may have come already, if enough others are to be woken.
                start.wait = start.wait.max(TICK);
            }
        }
        if let Some(panic) = panicked {
            resume_unwind(panic);
        }
    }
}

impl Wake for Core {
    fn wake(self: Arc<Self>) {
        self.with(|_, _| ());
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.with(|_, _| ());
    }
}
