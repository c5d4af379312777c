//! The timers of a limiter.
//!
//! There is one for each runtime in which anybody waits. To start one, the timer is polled, which may call its waker on
//! the same thread; the waker is the limiter, and takes its lock. So timers are started and dropped without the lock,
//! by a protocol:
//!
//! 1. Under the lock, [`Timers::claim`] finds an timer that would ring too late, marks it as `starting`, and gives what
//!    is needed to start a timer for it. While it is marked nobody else starts one: neither other threads nor the waker,
//!    if it is called meanwhile. So nothing is started twice, and nothing recurs. But who makes turns come at other times
//!    meanwhile starts the next one, which counts in its place: no thread works for ever at what others change.
//! 2. Without the lock, the timer is started. The one of before is still running: a paused clock that saw no timer
//!    would leap ahead.
//! 3. Under the lock again, [`Timers::started`] takes over the new timer, and gives the one of before to be dropped; or
//!    the new one, if it does not count any longer. If
//!    the new one has fired already, or an earlier one is needed by now, the limiter goes back to step 1.
//!
//! Whatever happens between 1 and 3 is seen at 3: no wake is lost.
//!
//! If the runtime has been shut down, all who wait there are woken at 3, as no timer will do it. Who is polled elsewhere
//! waits there from then on; the others panic, as they do with a timer of tokio.

use std::{mem, time::Duration};

use tokio::runtime::{Handle, Id};

use super::timer::Timer;
use crate::algorithm::clock::Tokens;

/// One timer for each runtime in which anybody waits: one in most programs.
///
/// All of them ring for the first in the queue. No runtime depends on another being driven, or on having the
/// same clock.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    timers: Vec<RuntimeTimer>,
    /// How many timers were to be started.
    starts: u64,
}

#[derive(Debug)]
pub(crate) struct RuntimeTimer {
    runtime: Handle,
    /// How many wait in this runtime.
    waiting: usize,
    /// The reading that it rings for, or earlier, or will when its timer has been started; `None` if it must be set again.
    due: Option<Tokens>,
    /// `None` if it was never started.
    timer: Option<Timer>,
    /// The number of the start of a timer that counts, while a thread does it.
    starting: Option<u64>,
    /// Whether the runtime has been shut down.
    is_gone: bool,
}

/// A timer that the holder of this has to start.
#[derive(Debug)]
pub(crate) struct TimerStart {
    pub(crate) runtime: Handle,
    pub(crate) wait: Duration,
    number: u64,
}

/// The end of an attempt to start a timer.
#[derive(Debug)]
pub(crate) enum StartOutcome {
    Timer(Timer),
    /// The runtime has been shut down.
    Gone,
    /// A waker that was called meanwhile panicked.
    Failed,
}

impl Timers {
    /// One more waits in a runtime.
    pub(crate) fn join(&mut self, runtime: &Handle) -> Id {
        let id = runtime.id();
        match self.timers.iter_mut().find(|timer| timer.runtime.id() == id) {
            Some(timer) => {
                timer.waiting += 1;
                // A start tells this one as well.
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

    /// One less waits in a runtime.
    pub(crate) fn leave(&mut self, runtime: Id) {
        let timer = self.timers.iter_mut().find(|timer| timer.runtime.id() == runtime);
        timer.expect("somebody waits there").waiting -= 1;
    }

    /// Whether a runtime in which somebody waits has been shut down.
    pub(crate) fn is_gone(&self, runtime: Id) -> bool {
        self.timers.iter().any(|timer| timer.runtime.id() == runtime && timer.is_gone)
    }

    /// Takes out those that nobody waits for, to be dropped without the lock.
    #[inline]
    pub(crate) fn remove_unused(&mut self, unused: &mut Vec<RuntimeTimer>) {
        if self.timers.iter().any(RuntimeTimer::is_unused) {
            unused.extend(self.timers.extract_if(.., |timer| timer.is_unused()));
        }
    }

    /// Whether one would ring too late, or nobody waits for it.
    pub(crate) fn need_maintenance(&self, due: Option<Tokens>) -> bool {
        self.timers.iter().any(|timer| timer.is_unused() || due.is_some_and(|due| timer.needs_reset(due)))
    }

    /// Takes the start of one that would ring too late for `due`, in `wait` from now.
    pub(crate) fn claim(&mut self, due: Tokens, wait: impl FnOnce() -> Duration) -> Option<TimerStart> {
        let late = self.timers.iter_mut().find(|timer| timer.needs_reset(due))?;
        self.starts += 1;
        (late.starting, late.due) = (Some(self.starts), Some(due));
        Some(TimerStart { runtime: late.runtime.clone(), wait: wait(), number: self.starts })
    }

    /// Ends a start, and gives the timer that is not needed any longer, to be dropped without the lock.
    pub(crate) fn started(&mut self, start: &TimerStart, started: StartOutcome) -> Option<Timer> {
        let is_gone = matches!(started, StartOutcome::Gone);
        let timer = match started {
            StartOutcome::Timer(timer) => Some(timer),
            StartOutcome::Gone | StartOutcome::Failed => None,
        };
        let Some(entry) = self.timers.iter_mut().find(|entry| entry.starting == Some(start.number)) else {
            return timer;
        };
        (entry.starting, entry.is_gone) = (None, is_gone);
        mem::replace(&mut entry.timer, timer)
    }

    /// Makes all of them late: readings come at other times now.
    pub(crate) fn reset(&mut self) {
        self.timers.iter_mut().for_each(|timer| timer.due = None);
    }
}

impl RuntimeTimer {
    fn is_unused(&self) -> bool {
        self.waiting == 0 && self.starting.is_none()
    }

    /// Whether a timer has to be started for it, and nobody starts one that rings in time.
    fn needs_reset(&self, due: Tokens) -> bool {
        let rings = self.starting.is_some() || self.timer.as_ref().is_some_and(|timer| !timer.has_fired());
        let in_time = self.due.is_some_and(|set| set.wrapping_sub(due) <= 0);
        !(self.is_gone || rings && in_time)
    }
}
