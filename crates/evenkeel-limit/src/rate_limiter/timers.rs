//! The timers of a limiter: one for each runtime in which somebody waits.
//!
//! # How it works
//!
//! All of them fire for the first waiter of the queue, wherever that waits. So no runtime depends on another being driven,
//! or on having the same clock.
//!
//! To start a timer is to poll it, which may call its waker on the same thread; the waker is the core of the limiter, and
//! takes its lock. So timers are started and dropped without the lock, by a protocol:
//!
//! 1. Under the lock, [`Timers::claim`] finds a timer that would fire too late, marks it as `starting`, and returns a
//!    [`TimerStart`]. While the mark is there nobody else starts one: neither other threads nor the waker, if it is called
//!    meanwhile. So nothing is started twice, and nothing recurs. But a call after which turns come at other times starts
//!    the next timer, which counts in place of this one: no thread works for ever at the changes of others.
//! 2. Without the lock, the timer is started. The old one is still running: a paused clock that saw no timer would leap
//!    ahead.
//! 3. Under the lock again, [`Timers::started`] takes over the new timer, and returns the old one to be dropped; or the new
//!    one, if it does not count any longer. If the new one has fired already, or an earlier one is needed by now, the core
//!    goes back to step 1.
//!
//! Every change between 1 and 3 is seen at 3, so no wake is lost.
//!
//! If the runtime has been shut down, no timer will wake its waiters, and all of them are woken at 3. A waiter that is
//! polled in another runtime waits there from then on; the others panic, as with a timer of tokio.

use std::{mem, time::Duration};

use tokio::runtime::{Handle, Id};

use super::timer::Timer;
use crate::algorithm::clock::Tokens;

/// The timers; most programs have one.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    timers: Vec<RuntimeTimer>,
    /// The number of starts so far.
    starts: u64,
}

/// The timer of one runtime.
#[derive(Debug)]
pub(crate) struct RuntimeTimer {
    runtime: Handle,
    /// The number of waiters in this runtime.
    waiting: usize,
    /// The latest reading at which it fires, once it has been started; `None` if it must be started again.
    due: Option<Tokens>,
    /// `None` until it was started.
    timer: Option<Timer>,
    /// The number of the start that counts, while a thread makes it.
    starting: Option<u64>,
    /// Whether the runtime has been shut down.
    is_gone: bool,
}

/// The duty to start a timer.
#[derive(Debug)]
pub(crate) struct TimerStart {
    pub(crate) runtime: Handle,
    pub(crate) wait: Duration,
    number: u64,
}

/// The outcome of a start.
#[derive(Debug)]
pub(crate) enum StartOutcome {
    Timer(Timer),
    /// The runtime has been shut down.
    Gone,
    /// A waker that was called meanwhile panicked.
    Failed,
}

impl Timers {
    /// Adds a waiter of this runtime.
    pub(crate) fn join(&mut self, runtime: &Handle) -> Id {
        let id = runtime.id();
        match self.timers.iter_mut().find(|timer| timer.runtime.id() == id) {
            Some(timer) => {
                timer.waiting += 1;
                // The runtime may be alive after all; the next start tells.
                timer.is_gone = false;
            }
            None => self.timers.push(RuntimeTimer {
                runtime: runtime.clone(),
                waiting: 1,
                due: None,
                timer: None,
                starting: None,
                is_gone: false,
            }),
        }
        id
    }

    /// Removes a waiter of this runtime.
    pub(crate) fn leave(&mut self, runtime: Id) {
        let timer = self.timers.iter_mut().find(|timer| timer.runtime.id() == runtime);
        timer.expect("a waiter was added there").waiting -= 1;
    }

    /// Returns whether a runtime in which somebody waits has been shut down.
    pub(crate) fn is_gone(&self, runtime: Id) -> bool {
        self.timers.iter().any(|timer| timer.runtime.id() == runtime && timer.is_gone)
    }

    /// Moves the timers that nobody waits for to `unused`, to be dropped without the lock.
    #[inline]
    pub(crate) fn remove_unused(&mut self, unused: &mut Vec<RuntimeTimer>) {
        if self.timers.iter().any(RuntimeTimer::is_unused) {
            unused.extend(self.timers.extract_if(.., |timer| timer.is_unused()));
        }
    }

    /// Returns whether a timer would fire too late, or nobody waits for it.
    pub(crate) fn need_maintenance(&self, due: Option<Tokens>) -> bool {
        self.timers.iter().any(|timer| timer.is_unused() || due.is_some_and(|due| timer.needs_reset(due)))
    }

    /// Claims the start of a timer that would fire too late for `due`, which is in `wait` from now.
    pub(crate) fn claim(&mut self, due: Tokens, wait: impl FnOnce() -> Duration) -> Option<TimerStart> {
        let late = self.timers.iter_mut().find(|timer| timer.needs_reset(due))?;
        self.starts += 1;
        (late.starting, late.due) = (Some(self.starts), Some(due));
        Some(TimerStart { runtime: late.runtime.clone(), wait: wait(), number: self.starts })
    }

    /// Ends a start, and returns the timer that is not needed any longer, to be dropped without the lock.
    pub(crate) fn started(&mut self, start: &TimerStart, outcome: StartOutcome) -> Option<Timer> {
        let is_gone = matches!(outcome, StartOutcome::Gone);
        let timer = match outcome {
            StartOutcome::Timer(timer) => Some(timer),
            StartOutcome::Gone | StartOutcome::Failed => None,
        };
        let Some(entry) = self.timers.iter_mut().find(|entry| entry.starting == Some(start.number)) else {
            return timer;
        };
        (entry.starting, entry.is_gone) = (None, is_gone);
        mem::replace(&mut entry.timer, timer)
    }

    /// Has all of them started again, since readings come at other times now.
    pub(crate) fn reset(&mut self) {
        self.timers.iter_mut().for_each(|timer| timer.due = None);
    }
}

impl RuntimeTimer {
    fn is_unused(&self) -> bool {
        self.waiting == 0 && self.starting.is_none()
    }

    /// Returns whether it fires too late for `due`, and no thread starts one that fires in time.
    fn needs_reset(&self, due: Tokens) -> bool {
        let fires = self.starting.is_some() || self.timer.as_ref().is_some_and(|timer| !timer.has_fired());
        let in_time = self.due.is_some_and(|set| set.wrapping_sub(due) <= 0);
        !(self.is_gone || fires && in_time)
    }
}
