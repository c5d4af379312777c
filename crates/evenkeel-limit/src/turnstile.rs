//! Where requests for permits pass, one after the other.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
    task::{Poll, Wake, Waker},
    time::Duration,
};

use tokio::{runtime::Id, time::Instant};

use crate::{
    alarms::{Alarm, Alarms},
    bucket::Bucket,
    clock::Tokens,
    denied::{Denied, Reason},
    lane::{Lane, Passage, Settlement},
    meter::{Before, Meter},
    queue::{Key, Queue, Waiter},
    rate::Rate,
    report::{self, Kind},
    snapshot::Snapshot,
    window::Window,
};

/// The most waiters that one call serves; those who were served serve the next ones.
const BATCH: usize = 32;

/// The most permits that are granted at one look at the clock, if asked to be fast.
const MOST_CREDITS: u32 = 32;

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

#[derive(Debug)]
struct State {
    terms: Terms,
    /// None if there is no limit; then nobody waits.
    meter: Option<Meter>,
    queue: Queue<Patience>,
    alarms: Alarms,
    /// Permits lent to the lane.
    lent: u32,
    closed: bool,
    granted: u64,
    refused: u64,
}

/// How long one waits, and where.
#[derive(Debug)]
struct Patience {
    deadline: Option<Instant>,
    runtime: Id,
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
        let state = State {
            terms,
            meter: rate.map(|rate| terms.meter(rate)),
            queue: Queue::new(),
            alarms: Alarms::default(),
            lent: 0,
            closed: false,
            granted: 0,
            refused: 0,
        };
        let turnstile = Arc::new(Self { lane: Lane::new(), state: Mutex::new(state) });
        turnstile.with(|_, _| ());
        turnstile
    }

    /// Takes permits now or not at all.
    pub(crate) fn try_acquire(self: &Arc<Self>, permits: u32) -> Result<(), Denied> {
        match self.lane.take(permits) {
            Passage::Granted => Ok(()),
            Passage::Refused { lacking, speed } => {
                self.lane.count_refusal();
                let denied = Passage::denied(lacking, speed);
                report::refused(Kind::Rate, &denied);
                Err(denied)
            }
            Passage::Shut => self.try_behind_the_lock(permits),
        }
    }

    #[inline(never)]
    fn try_behind_the_lock(self: &Arc<Self>, permits: u32) -> Result<(), Denied> {
        let taken = self.with(|state, _| state.take(permits).inspect_err(|_| state.refused += 1));
        taken.inspect_err(|denied| report::refused(Kind::Rate, denied))
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
        let entered = self.with(|state, _| match state.take(request.permits) {
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
            None => (Poll::Pending, state.queue.set_waker(key, waker)),
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
                if let (Ok(permits), Some(meter)) = (decision, &mut state.meter) {
                    meter.refund(permits);
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
        // Dropped in reverse order: the lock first, and the timers of those who were served when they are awake.
        let _retired;
        let mut decided = Decided(Vec::new());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
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

impl State {
    /// Lets requests pass without the lock, if nobody has to be asked before.
    fn open(&mut self, lane: &Lane) {
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
    fn settle_credits(&mut self, left: u32) {
        let used = mem::take(&mut self.lent) - left;
        self.granted += u64::from(used);
        if let Some(meter) = &mut self.meter {
            meter.overflow();
            meter.spend(used);
        }
    }

    /// Takes over what was done in the lane.
    fn settle(&mut self, settlement: Settlement) {
        self.granted += settlement.granted;
        if let Some(bucket) = self.meter.as_mut().and_then(Meter::bucket_mut) {
            bucket.set_missing(settlement.missing);
        }
    }

    /// How long one who comes now waits, for no more than the burst.
    fn wait(&self, permits: u32) -> Duration {
        let each = &mut self.queue.iter().map(|waiter| waiter.permits);
        let before = Before { permits: self.queue.permits(), waiters: self.queue.len(), each };
        self.meter.as_ref().map_or(Duration::ZERO, |meter| meter.until(meter.due(before, permits)))
    }

    fn take(&mut self, permits: u32) -> Result<(), Denied> {
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
    fn review(&mut self, decided: &mut Decided) {
        let mut queue = mem::replace(&mut self.queue, Queue::new());
        let mut before = vec![];
        let verdict = |sum, waiter: &Waiter<Patience>| {
            let Some(meter) = self.meter.as_ref().filter(|_| !self.closed) else {
                return Err(Denied::CLOSED);
            };
            if self.terms.never_fit(waiter.permits, meter.burst()) {
                return Err(Denied::NEVER_FITS);
            }
            if waiter.note.deadline.is_some() {
                let each = &mut before.iter().copied();
                let before = Before { permits: sum, waiters: before.len(), each };
                let wait = meter.until(meter.due(before, waiter.permits));
                if self.is_late(waiter.note.deadline, wait) {
                    return Err(Denied::busy(wait).because(Reason::Deadline));
                }
            }
            before.push(waiter.permits);
            Ok(())
        };
        let refused = decided.0.len();
        queue.refuse(verdict, |waiter| decided.0.push(waiter));
        decided.0[refused..].iter().for_each(|waiter| self.alarms.leave(waiter.note.runtime));
        self.queue = queue;
    }

    /// Serves those whose turn has come.
    ///
    /// While anybody waits the bucket does not overflow: the turn of each is reckoned from the one before
    /// it, and not from when that was served, which is later by the resolution of the timer.
    fn serve(&mut self, decided: &mut Decided) {
        let Some(meter) = &mut self.meter else { return };
        while let Some(first) = self.queue.front()
            && meter.fits(first.permits)
            && decided.0.len() < BATCH
        {
            let permits = first.permits;
            meter.spend(permits);
            self.alarms.leave(first.note.runtime);
            decided.0.extend(self.queue.serve(permits));
        }
        if self.queue.is_empty() {
            meter.overflow();
        }
    }

    /// Sets the alarms for the first of those who wait, and gives those that nobody needs.
    fn set_alarms(&mut self, turnstile: &Arc<Turnstile>) -> Vec<Alarm> {
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
struct Decided(Vec<Waiter<Patience>>);

impl Drop for Decided {
    fn drop(&mut self) {
        for waiter in self.0.drain(..) {
            waiter.waker.wake();
        }
    }
}
