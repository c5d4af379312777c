//! Where requests for permits pass, one after the other.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Wake, Waker},
    time::Duration,
};

use tokio::time::Instant;

use self::state::{Decided, Grant, Patience, State};
use crate::{
    bucket::Bucket,
    clock::Tokens,
    denied::Denied,
    lane::{Lane, Passage},
    meter::Meter,
    queue::{Key, Waiter},
    rate::Rate,
    report::{self, Kind},
    snapshot::Snapshot,
    window::Window,
};

mod state;

/// All that the users of one limiter share.
///
/// Every call serves first those whose turn has come by the clock, and sees that an alarm is set for the next
/// one. What the alarm wakes is the turnstile itself: who waits is served although nobody is polled.
///
/// While nobody waits, requests pass through the lane.
#[derive(Debug)]
pub(crate) struct Turnstile {
    lane: Lane,
    state: Mutex<State>,
}

/// What was said of a limiter before its first use, but for its rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// As many permits as the rate is written with, if not given.
    pub(crate) burst: Option<u32>,
    pub(crate) start_empty: bool,
    /// Whether it is the burst that is granted in any stretch of the rate's time, at most.
    pub(crate) sliding: bool,
    /// Whether credits are given to the lane.
    pub(crate) fast: bool,
    /// Whether more than the burst is granted when the bucket is full.
    pub(crate) debt: bool,
    pub(crate) max_waiters: usize,
}

impl Terms {
    fn meter(self, rate: Rate) -> Meter {
        let (burst, now) = (self.burst.unwrap_or(rate.permits()), Instant::now());
        let mut meter = match self.sliding {
            true => Meter::Window(Window::new(rate, burst, now)),
            false => Meter::Bucket(Bucket::full(rate, burst, now)),
        };
        if self.start_empty {
            meter.spend(burst);
        }
        meter
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

impl Turnstile {
    pub(crate) fn new(rate: Option<Rate>, terms: Terms) -> Arc<Self> {
        let turnstile = Arc::new(Self { lane: Lane::new(), state: Mutex::new(State::new(rate, terms)) });
        turnstile.with(|_, _| ());
        turnstile
    }

    /// Takes permits now or not at all.
    pub(crate) fn try_acquire(self: &Arc<Self>, permits: u32) -> Result<(), Denied> {
        match self.lane.take(permits) {
            Passage::Granted => Ok(()),
            Passage::Refused { lacking, speed } => Err(self.refuse(lacking, speed)),
            Passage::Shut => self.try_behind_the_lock(permits),
        }
    }

    /// Another may have opened the lane by the time that the lock is there. It stays open then: to shut it would send
    /// those who pass it to the lock as well, one behind the other.
    #[inline(never)]
    fn try_behind_the_lock(self: &Arc<Self>, permits: u32) -> Result<(), Denied> {
        let state = self.lock();
        match self.lane.take(permits) {
            Passage::Granted => Ok(()),
            Passage::Refused { lacking, speed } => {
                drop(state);
                Err(self.refuse(lacking, speed))
            }
            Passage::Shut => {
                let take =
                    |state: &mut State, _: &mut _| state.take(permits).inspect_err(|_| state.refused += 1);
                self.with_locked(state, take).inspect_err(|denied| report::refused(Kind::Rate, denied))
            }
        }
    }

    #[inline]
    fn refuse(&self, lacking: u64, speed: u64) -> Denied {
        self.lane.count_refusal();
        let denied = Passage::denied(lacking, speed);
        report::refused(Kind::Rate, &denied);
        denied
    }

    /// Takes permits now, or a place in the queue.
    pub(crate) fn enter(self: &Arc<Self>, request: Request, waker: &Waker) -> Result<Option<Key>, Denied> {
        match self.lane.take(request.permits) {
            Passage::Granted => Ok(None),
            _ => self.enter_behind_the_lock(request, waker),
        }
    }

    #[inline(never)]
    fn enter_behind_the_lock(
        self: &Arc<Self>,
        request: Request,
        waker: &Waker,
    ) -> Result<Option<Key>, Denied> {
        let state = self.lock();
        if matches!(self.lane.take(request.permits), Passage::Granted) {
            return Ok(None);
        }
        let entered = self.with_locked(state, |state, _| match state.take(request.permits) {
            Ok(()) => Ok(None),
            Err(denied) => state.admit(request, denied).map(|()| {
                let Request { permits, deadline, .. } = request;
                let note = Patience { deadline, runtime: state.alarms.join() };
                Some(state.queue.push(Waiter { permits, waker: waker.clone(), note }))
            }),
        });
        match &entered {
            Ok(Some(_)) => report::waits(Kind::Rate),
            Ok(None) => {}
            Err(denied) => report::refused(Kind::Rate, denied),
        }
        entered
    }

    /// Gives up the place if its turn has come, or it was refused.
    pub(crate) fn poll(self: &Arc<Self>, key: Key, waker: &Waker) -> Poll<Result<(), Denied>> {
        let (poll, _replaced) = self.with(|state, _| match state.queue.claim(key) {
            Some(Ok(_)) => {
                state.granted += 1;
                (Poll::Ready(Ok(())), None)
            }
            Some(Err(denied)) => {
                state.refused += 1;
                (Poll::Ready(Err(denied)), None)
            }
            None => {
                state.move_in(key);
                (Poll::Pending, state.queue.set_waker(key, waker))
            }
        });
        if let Poll::Ready(Err(denied)) = &poll {
            report::refused(Kind::Rate, denied);
        }
        poll
    }

    /// Gives up the place, and the permits if its turn has come.
    pub(crate) fn leave(self: &Arc<Self>, key: Key) {
        drop(self.with(|state, _| match state.queue.claim(key) {
            Some(decision) => {
                if let (Ok(Grant { permits, mark }), Some(meter)) = (decision, &mut state.meter) {
                    meter.take_back(permits, mark);
                }
                None
            }
            None => {
                let waiter = state.queue.cancel(key);
                state.alarms.leave(waiter.note.runtime);
                Some(waiter)
            }
        }));
    }

    /// How long one who comes now waits.
    pub(crate) fn wait(self: &Arc<Self>, permits: u32) -> Duration {
        self.with(|state, _| state.wait(permits))
    }

    pub(crate) fn refund(self: &Arc<Self>, permits: u32) {
        self.with(|state, _| {
            if let Some(meter) = &mut state.meter {
                meter.refund(permits);
            }
        });
    }

    /// Where the meter is, right after a grant; none if there is no limit.
    pub(crate) fn mark(self: &Arc<Self>) -> Option<Tokens> {
        self.with(|state, _| state.meter.as_ref().map(Meter::mark))
    }

    /// The same as a refund of permits that were granted at this mark.
    pub(crate) fn give_back(self: &Arc<Self>, permits: u32, mark: Tokens) {
        self.with(|state, _| {
            if let Some(meter) = &mut state.meter {
                meter.give_back(permits, mark);
            }
        });
    }

    /// Takes permits that have been used already.
    pub(crate) fn charge(self: &Arc<Self>, permits: u32) {
        self.change(|state| {
            if let Some(meter) = &mut state.meter {
                meter.spend(permits);
            }
        });
    }

    /// Takes parts of permits.
    pub(crate) fn spend(self: &Arc<Self>, tokens: Tokens) {
        self.change(|state| {
            if let Some(bucket) = state.meter.as_mut().and_then(Meter::bucket_mut) {
                bucket.spend_tokens(tokens);
            }
        });
    }

    pub(crate) fn pause(self: &Arc<Self>, pause: Duration) {
        self.change(|state| {
            if let Some(meter) = &mut state.meter {
                meter.pause(pause);
            }
        });
        report::paused(pause);
    }

    pub(crate) fn set_rate(self: &Arc<Self>, rate: Rate) {
        self.change(|state| match &mut state.meter {
            Some(meter) => {
                meter.set_rate(rate);
                if state.terms.sliding && state.terms.burst.is_none() {
                    meter.set_burst(rate.permits());
                }
            }
            None => state.meter = Some(state.terms.meter(rate)),
        });
    }

    pub(crate) fn set_burst(self: &Arc<Self>, burst: u32) {
        self.change(|state| {
            state.terms.burst = Some(burst);
            if let Some(meter) = &mut state.meter {
                meter.set_burst(burst);
            }
        });
    }

    pub(crate) fn close(self: &Arc<Self>) {
        self.change(|state| state.closed = true);
    }

    pub(crate) fn snapshot(self: &Arc<Self>) -> Snapshot {
        self.with(|state, _| {
            let meter = state.meter.as_ref();
            Snapshot {
                rate: meter.map(Meter::rate),
                burst: meter.map_or(u32::MAX, Meter::burst),
                available: meter.map_or(u32::MAX, Meter::available),
                full_in: state.wait(u32::MAX),
                waiting: state.queue.len(),
                granted: state.granted,
                refused: state.refused + self.lane.refused(),
                closed: state.closed,
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change after which turns come at other times, and refuses those who cannot wait for theirs.
    fn change(self: &Arc<Self>, change: impl FnOnce(&mut State)) {
        self.with(|state, decided| {
            change(state);
            state.alarms.reset();
            state.review(decided);
        });
    }

    /// Changes the state, and does what follows from that.
    ///
    /// Nothing of others is called or dropped under the lock: neither here nor by `change`, which gives it back.
    fn with<R>(self: &Arc<Self>, change: impl FnOnce(&mut State, &mut Decided) -> R) -> R {
        self.with_locked(self.lock(), change)
    }

    fn with_locked<R>(
        self: &Arc<Self>,
        locked: MutexGuard<'_, State>,
        change: impl FnOnce(&mut State, &mut Decided) -> R,
    ) -> R {
        // Dropped in reverse order: the lock first, and the timers of those who were served when they are awake.
        let _retired;
        let mut decided = Decided(Vec::new());
        let mut state = locked;
        if let Some(settlement) = self.lane.shut() {
            state.settle(settlement);
        }
        if let Some(meter) = &mut state.meter {
            meter.advance(Instant::now());
        }
        if state.lent > 0 {
            let left = self.lane.recall();
            state.settle_credits(left);
        }
        state.serve(&mut decided);
        let result = change(&mut state, &mut decided);
        state.serve(&mut decided);
        _retired = state.set_alarms(self);
        state.open(&self.lane);
        result
    }
}

impl Wake for Turnstile {
    fn wake(self: Arc<Self>) {
        self.with(|_, _| ());
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.with(|_, _| ());
    }
}
