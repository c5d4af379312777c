//! The waiter of a pipe, and the work that waits for the end of the lock.
//!
//! # How it works
//!
//! A [`Waiter`] stores the waker of the task that reads or writes a pipe, and a timer for the instant at which the
//! wait is over. The timer belongs to the pipe, not to the task: a write arms it for the instant at which the byte
//! arrives, and the reader is woken once, when there is something to read.
//!
//! Waiters live under the lock of the link, where no foreign code may run. So a change of the connection only
//! collects: wakers to call, timers to arm, values to drop, all in [`Deferred`]. [`Deferred::run`] does them after
//! the lock has been released.
//!
//! The race: between the request for a timer and its arming the lock is free, and another thread may change the
//! waiter. Each request has a generation, and [`Waiter::arm`] takes a timer only of the newest one. Each wait has
//! timers of its own: the one before may have been armed in another runtime, which is gone.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Wake, Waker},
};

use evenkeel_base::{FirstPanic, poll_timer};
use tokio::time::{Instant, Sleep, sleep_until};

use super::direction::Direction;

/// A task that waits to read, or to write.
#[derive(Debug, Default)]
pub(super) struct Waiter {
    waker: Option<Arc<SharedWaker>>,
    timer: Option<Timer>,
    /// The generation of the newest timer.
    generation: u64,
    stale: Vec<Stale>,
}

/// A waker that is cloned under a lock without running foreign code.
#[derive(Debug)]
pub(super) struct SharedWaker(Waker);

impl SharedWaker {
    pub(super) fn of(cx: &Context<'_>) -> Arc<Self> {
        Arc::new(Self(cx.waker().clone()))
    }
}

impl Wake for SharedWaker {
    fn wake(self: Arc<Self>) {
        self.0.wake_by_ref();
    }
}

#[derive(Debug)]
struct Timer {
    at: Instant,
    /// `None` between the request and the arming.
    sleep: Option<Pin<Box<Sleep>>>,
}

/// Kept until the lock is released, then dropped.
type Stale = (Option<Arc<SharedWaker>>, Option<Timer>);

/// When a pipe is ready for its waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    Now,
    At(Instant),
    /// Only another change makes it ready.
    Unknown,
}

impl Readiness {
    pub(super) fn at(at: Instant, now: Instant) -> Self {
        if at <= now { Readiness::Now } else { Readiness::At(at) }
    }

    /// The other readiness, where this one is unknown.
    pub(super) fn or(self, other: Readiness) -> Self {
        if self == Readiness::Unknown { other } else { self }
    }
}

/// The two waiters of a pipe.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    Reader,
    Writer,
}

/// Identifies a waiter: the connection, the pipe, and its side.
pub(super) type WaiterId = (u64, Direction, Side);

impl Waiter {
    /// Ends the wait before, and registers the task that waits from now on, if any.
    pub(super) fn register(&mut self, waker: Option<Arc<SharedWaker>>) {
        self.clear();
        self.waker = waker;
    }

    /// Ends the wait.
    pub(super) fn clear(&mut self) {
        let waker = self.waker.take();
        self.discard(waker);
    }

    /// Takes the timer, and keeps it with the waker until the lock is released.
    fn discard(&mut self, waker: Option<Arc<SharedWaker>>) {
        let timer = self.timer.take();
        if waker.is_some() || timer.is_some() {
            self.stale.push((waker, timer));
        }
    }

    /// Collects the waker if the pipe is ready, or the request for a timer if it will be.
    pub(super) fn update(&mut self, readiness: Readiness, id: WaiterId, deferred: &mut Deferred) {
        if let Some(waker) = &self.waker {
            match readiness {
                Readiness::Now => {
                    deferred.wakers.extend(self.waker.take());
                    self.clear();
                }
                Readiness::At(at) if self.timer.as_ref().is_none_or(|timer| timer.at != at) => {
                    let waker = Arc::clone(waker);
                    self.discard(None);
                    self.generation += 1;
                    self.timer = Some(Timer { at, sleep: None });
                    deferred.requests.push(TimerRequest { id, generation: self.generation, at, waker });
                }
                Readiness::At(_) => {}
                Readiness::Unknown => self.discard(None),
            }
        }
        deferred.stale.append(&mut self.stale);
    }

    /// Stores an armed timer, or returns it if the waiter no longer needs it.
    pub(super) fn arm(&mut self, armed: ArmedTimer) -> Option<ArmedTimer> {
        match &mut self.timer {
            Some(timer) if self.generation == armed.generation => {
                timer.sleep = Some(armed.sleep);
                None
            }
            _ => Some(armed),
        }
    }
}

#[derive(Debug)]
struct TimerRequest {
    id: WaiterId,
    generation: u64,
    at: Instant,
    waker: Arc<SharedWaker>,
}

#[derive(Debug)]
pub(super) struct ArmedTimer {
    pub(super) id: WaiterId,
    generation: u64,
    sleep: Pin<Box<Sleep>>,
}

/// Work to do after the lock has been released.
#[derive(Debug, Default)]
#[must_use = "tasks wait for it"]
pub(super) struct Deferred {
    wakers: Vec<Arc<SharedWaker>>,
    requests: Vec<TimerRequest>,
    stale: Vec<Stale>,
}

impl Deferred {
    pub(super) fn append(&mut self, mut other: Deferred) {
        self.wakers.append(&mut other.wakers);
        self.requests.append(&mut other.requests);
        self.stale.append(&mut other.stale);
    }

    /// Arms the timers and calls all wakers, also after one that panics when it is called or dropped.
    ///
    /// `store` takes the lock, and returns the timers that no waiter needs.
    pub(super) fn run(self, store: impl FnOnce(Vec<ArmedTimer>) -> Vec<ArmedTimer>) {
        let Deferred { mut wakers, requests, stale } = self;
        let mut first = FirstPanic::default();
        let mut timers = Vec::new();
        for TimerRequest { id, generation, at, waker } in requests {
            let mut sleep = None;
            first.catch(|| sleep = arm(at, &waker));
            match sleep {
                Some(sleep) => timers.push(ArmedTimer { id, generation, sleep }),
                // It has elapsed, or this thread has no runtime: the task can arm its own.
                None => wakers.push(waker),
            }
        }
        if !timers.is_empty() {
            first.drop_each(store(timers));
        }
        for waker in wakers {
            first.catch(|| waker.0.wake_by_ref());
            first.catch(|| drop(waker));
        }
        first.drop_each(stale);
        first.resume();
    }
}

/// A timer that wakes the task, or `None` if it has elapsed.
fn arm(at: Instant, waker: &Arc<SharedWaker>) -> Option<Pin<Box<Sleep>>> {
    let mut sleep = Box::pin(sleep_until(at));
    let waker = Waker::from(Arc::clone(waker));
    // Without the budget of the task that happens to arm it: that may be used up.
    let elapsed = poll_timer(sleep.as_mut(), &mut Context::from_waker(&waker)).is_ready();
    (!elapsed).then_some(sleep)
}
