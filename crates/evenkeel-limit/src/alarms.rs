//! The timers of a limiter.

use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Waker},
    time::Duration,
};

use tokio::{
    runtime::{Handle, Id},
    task::unconstrained,
    time::{Sleep, sleep},
};

use crate::clock::Tokens;

/// The resolution of tokio's timers.
const TICK: Duration = Duration::from_millis(1);

/// One timer for each runtime in which anybody waits: one in most programs.
///
/// All of them ring for the first in the queue. No runtime depends on another being driven, or on having the
/// same clock.
#[derive(Debug, Default)]
pub(crate) struct Alarms(Vec<Alarm>);

#[derive(Debug)]
pub(crate) struct Alarm {
    runtime: Handle,
    /// How many wait in this runtime.
    waiting: usize,
    /// The reading that it rings for, or earlier; None if it must be set anew.
    due: Option<Tokens>,
    /// None if it was never set, or the runtime has been shut down.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarms {
    /// One more waits in the current runtime.
    ///
    /// # Panics
    ///
    /// If there is none, or it has no timers.
    pub(crate) fn join(&mut self) -> Id {
        drop(sleep(TICK));
        let runtime = Handle::current();
        let id = runtime.id();
        match self.0.iter_mut().find(|alarm| alarm.runtime.id() == id) {
            Some(alarm) => alarm.waiting += 1,
            None => self.0.push(Alarm { runtime, waiting: 1, due: None, sleep: None }),
        }
        id
    }

    /// One less waits in a runtime.
    pub(crate) fn leave(&mut self, runtime: Id) {
        let alarm = self.0.iter_mut().find(|alarm| alarm.runtime.id() == runtime);
        alarm.expect("somebody waits there").waiting -= 1;
    }

    /// Takes out those that nobody waits for.
    pub(crate) fn retire(&mut self) -> Vec<Alarm> {
        self.0.extract_if(.., |alarm| alarm.waiting == 0).collect()
    }

    /// Those that would ring too late.
    pub(crate) fn late_for(&mut self, due: Tokens) -> impl Iterator<Item = &mut Alarm> {
        self.0.iter_mut().filter(move |alarm| {
            let rings = alarm.sleep.as_ref().is_some_and(|sleep| !sleep.is_elapsed());
            let in_time = alarm.due.is_some_and(|set| set.wrapping_sub(due) <= 0);
            !(rings && in_time)
        })
    }

    /// Makes all of them late: readings come at other times now.
    pub(crate) fn reset(&mut self) {
        self.0.iter_mut().for_each(|alarm| alarm.due = None);
    }
}

impl Alarm {
    /// Calls `waker` when `due` is reached, in `wait` from now.
    ///
    /// It is not called before this returns, so that a lock may be held meanwhile: the timer is a new one
    /// each time (resetting one can call its waker), and is polled without regard to the task's budget (which
    /// can call it, too).
    pub(crate) fn set(&mut self, due: Tokens, mut wait: Duration, waker: &Waker) {
        let _entered = self.runtime.enter();
        let set = loop {
            let mut sleep = started(wait);
            // Once a runtime has been shut down its timers elapse at once, and panic if polled.
            if sleep.is_elapsed() && started(Duration::MAX).is_elapsed() {
                break None;
            }
            let poll = pin!(unconstrained(sleep.as_mut())).poll(&mut Context::from_waker(waker));
            if poll.is_pending() {
                break Some(sleep);
            }
            wait = TICK;
        };
        // Only now goes the old one: a paused clock that saw no timer would leap ahead.
        self.sleep = set;
        self.due = Some(due);
    }
}

/// A timer of the current runtime that is running before it is polled.
fn started(wait: Duration) -> Pin<Box<Sleep>> {
    let mut sleep = Box::pin(sleep(wait));
    let deadline = sleep.deadline();
    sleep.as_mut().reset(deadline);
    sleep
}
