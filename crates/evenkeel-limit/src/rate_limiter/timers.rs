//! The timers of a limiter.
//!
//! There is one for each runtime in which anybody waits. To start one, the timer is polled, which may call its waker on
//! the same thread; the waker is the limiter, and takes its lock. So timers are started and dropped without the lock,
//! by a protocol:
//!
//! 1. Under the lock, [`Alarms::claim`] finds an alarm that would ring too late, marks it as `starting`, and gives what
//!    is needed to start a timer for it. While it is marked nobody else starts one: neither other threads nor the waker,
//!    if it is called meanwhile. So nothing is started twice, and nothing recurs. But who makes turns come at other times
//!    meanwhile starts the next one, which counts in its place: no thread works for ever at what others change.
//! 2. Without the lock, the timer is started. The one of before is still running: a paused clock that saw no timer
//!    would leap ahead.
//! 3. Under the lock again, [`Alarms::started`] takes over the new timer, and gives the one of before to be dropped; or
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
pub(crate) struct Alarms {
    alarms: Vec<Alarm>,
    /// How many timers were to be started.
    starts: u64,
}

#[derive(Debug)]
pub(crate) struct Alarm {
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
pub(crate) struct Start {
    pub(crate) runtime: Handle,
    pub(crate) wait: Duration,
    number: u64,
}

/// The end of an attempt to start a timer.
#[derive(Debug)]
pub(crate) enum Started {
    Timer(Timer),
    /// The runtime has been shut down.
    Gone,
    /// A waker that was called meanwhile panicked.
    Failed,
}

impl Alarms {
    /// One more waits in a runtime.
    pub(crate) fn join(&mut self, runtime: &Handle) -> Id {
        let id = runtime.id();
        match self.alarms.iter_mut().find(|alarm| alarm.runtime.id() == id) {
            Some(alarm) => {
                alarm.waiting += 1;
                // A start tells this one as well.
                alarm.is_gone = false;
            }
            None => self.alarms.push(Alarm {
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
        let alarm = self.alarms.iter_mut().find(|alarm| alarm.runtime.id() == runtime);
        alarm.expect("somebody waits there").waiting -= 1;
    }

    /// Whether a runtime in which somebody waits has been shut down.
    pub(crate) fn is_gone(&self, runtime: Id) -> bool {
        self.alarms.iter().any(|alarm| alarm.runtime.id() == runtime && alarm.is_gone)
    }

    /// Takes out those that nobody waits for, to be dropped without the lock.
    #[inline]
    pub(crate) fn retire(&mut self, unused: &mut Vec<Alarm>) {
        if self.alarms.iter().any(Alarm::is_unused) {
            unused.extend(self.alarms.extract_if(.., |alarm| alarm.is_unused()));
        }
    }

    /// Whether one would ring too late, or nobody waits for it.
    pub(crate) fn need_care(&self, due: Option<Tokens>) -> bool {
        self.alarms.iter().any(|alarm| alarm.is_unused() || due.is_some_and(|due| alarm.is_late(due)))
    }

    /// Takes the start of one that would ring too late for `due`, in `wait` from now.
    pub(crate) fn claim(&mut self, due: Tokens, wait: impl FnOnce() -> Duration) -> Option<Start> {
        let late = self.alarms.iter_mut().find(|alarm| alarm.is_late(due))?;
        self.starts += 1;
        (late.starting, late.due) = (Some(self.starts), Some(due));
        Some(Start { runtime: late.runtime.clone(), wait: wait(), number: self.starts })
    }

    /// Ends a start, and gives the timer that is not needed any longer, to be dropped without the lock.
    pub(crate) fn started(&mut self, start: &Start, started: Started) -> Option<Timer> {
        let is_gone = matches!(started, Started::Gone);
        let timer = match started {
            Started::Timer(timer) => Some(timer),
            Started::Gone | Started::Failed => None,
        };
        let Some(alarm) = self.alarms.iter_mut().find(|alarm| alarm.starting == Some(start.number)) else {
            return timer;
        };
        (alarm.starting, alarm.is_gone) = (None, is_gone);
        mem::replace(&mut alarm.timer, timer)
    }

    /// Makes all of them late: readings come at other times now.
    pub(crate) fn reset(&mut self) {
        self.alarms.iter_mut().for_each(|alarm| alarm.due = None);
    }
}

impl Alarm {
    fn is_unused(&self) -> bool {
        self.waiting == 0 && self.starting.is_none()
    }

    /// Whether a timer has to be started for it, and nobody starts one that rings in time.
    fn is_late(&self, due: Tokens) -> bool {
        let rings = self.starting.is_some() || self.timer.as_ref().is_some_and(|timer| !timer.has_fired());
        let in_time = self.due.is_some_and(|set| set.wrapping_sub(due) <= 0);
        !(self.is_gone || rings && in_time)
    }
}
