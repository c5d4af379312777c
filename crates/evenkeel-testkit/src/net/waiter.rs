//! Who waits for a pipe, and until when.

use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Waker},
};

use tokio::{
    task::coop::unconstrained,
    time::{Instant, Sleep, sleep_until},
};

/// A task that waits to read, or to write.
///
/// Its alarm belongs to the pipe, not to the task: so a write can set it for a byte that arrives later, and
/// the reader is woken once, when there is something to read. Each wait has an alarm of its own: the one
/// before may have been set by another runtime, which is gone.
#[derive(Debug, Default)]
pub(super) struct Waiter {
    waker: Option<Waker>,
    alarm: Option<Pin<Box<Sleep>>>,
}

/// What a waiter waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// It is there.
    Over,
    /// It comes at this instant.
    Until(Instant),
    /// Nobody knows.
    Open,
}

impl Wait {
    pub(super) fn until(at: Instant, now: Instant) -> Self {
        if at <= now { Wait::Over } else { Wait::Until(at) }
    }

    /// What else may end a wait that has no end.
    pub(super) fn or(self, other: Wait) -> Self {
        if self == Wait::Open { other } else { self }
    }
}

impl Waiter {
    /// The task that waits from now on, if any.
    pub(super) fn attend(&mut self, waker: Option<&Waker>) {
        self.alarm = None;
        match (&mut self.waker, waker) {
            (Some(known), Some(waker)) => known.clone_from(waker),
            (known, waker) => *known = waker.cloned(),
        }
    }

    /// Ends the wait; gives the waker.
    pub(super) fn take(&mut self) -> Option<Waker> {
        self.alarm = None;
        self.waker.take()
    }

    /// Sets the alarm, or gives the waker where the wait is over.
    pub(super) fn set(&mut self, wait: Wait) -> Option<Waker> {
        let waker = self.waker.as_ref()?;
        let at = match wait {
            Wait::Over => return self.take(),
            Wait::Until(at) => at,
            Wait::Open => {
                self.alarm = None;
                return None;
            }
        };
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if alarm.deadline() != at {
            alarm.as_mut().reset(at);
        }
        // Without tokio's budget, that of whoever sets the alarm: it might be used up.
        let rung = pin!(unconstrained(alarm.as_mut())).poll(&mut Context::from_waker(waker)).is_ready();
        if rung { self.take() } else { None }
    }
}

/// The tasks to wake as soon as no lock is held any more.
#[derive(Debug, Default)]
#[must_use = "somebody waits for it"]
pub(super) struct Woken {
    first: Option<Waker>,
    others: Vec<Waker>,
}

impl Woken {
    pub(super) fn wake(self) {
        self.first.into_iter().chain(self.others).for_each(Waker::wake);
    }

    pub(super) fn add(&mut self, waker: Option<Waker>) {
        match &self.first {
            None => self.first = waker,
            Some(_) => self.others.extend(waker),
        }
    }

    pub(super) fn append(&mut self, other: Woken) {
        other.first.into_iter().chain(other.others).for_each(|waker| self.add(Some(waker)));
    }
}
