//! Who waits for a pipe, and until when.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Wake, Waker},
    thread,
};

use tokio::{
    task::coop::unconstrained,
    time::{Instant, Sleep, sleep_until},
};

use super::{direction::Direction, pipe::Pipe};

/// A task that waits to read, or to write.
///
/// Its alarm belongs to the pipe, not to the task: so a write can set it for a byte that arrives later, and
/// the reader is woken once, when there is something to read. Each wait has alarms of its own: the one
/// before may have been set by another runtime, which is gone.
///
/// It is under the lock of the link, and calls nothing of others: what is to be woken, set or dropped is
/// collected in [`Woken`].
#[derive(Debug, Default)]
pub(super) struct Waiter {
    task: Option<Arc<Task>>,
    alarm: Option<Alarm>,
    /// Of the last alarm.
    number: u64,
    stale: Vec<Stale>,
}

/// The waker of a task, to be cloned under a lock.
#[derive(Debug)]
pub(super) struct Task(Waker);

impl Task {
    pub(super) fn of(cx: &Context<'_>) -> Arc<Self> {
        Arc::new(Self(cx.waker().clone()))
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.wake_by_ref();
    }
}

#[derive(Debug)]
struct Alarm {
    at: Instant,
    /// Nothing while it is being set.
    sleep: Option<Pin<Box<Sleep>>>,
}

/// Kept until no lock is held any more, then dropped.
type Stale = (Option<Arc<Task>>, Option<Alarm>);

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

/// The waiter of a pipe that is meant.
pub(super) type Which = fn(&mut Pipe) -> &mut Waiter;

/// Where a waiter is: the connection, the pipe, and which of the two.
pub(super) type Place = (u64, Direction, Which);

impl Waiter {
    /// The task that waits from now on, if any.
    pub(super) fn attend(&mut self, task: Option<Arc<Task>>) {
        self.end();
        self.task = task;
    }

    /// Ends the wait.
    pub(super) fn end(&mut self) {
        self.discard((self.task.is_some(), true));
    }

    fn discard(&mut self, (task, alarm): (bool, bool)) {
        let task = if task { self.task.take() } else { None };
        let alarm = if alarm { self.alarm.take() } else { None };
        if task.is_some() || alarm.is_some() {
            self.stale.push((task, alarm));
        }
    }

    /// Wakes the task where the wait is over, or has its alarm set.
    pub(super) fn set(&mut self, wait: Wait, place: Place, woken: &mut Woken) {
        if let Some(task) = &self.task {
            match wait {
                Wait::Over => {
                    woken.tasks.extend(self.task.take());
                    self.end();
                }
                Wait::Until(at) if self.alarm.as_ref().is_none_or(|alarm| alarm.at != at) => {
                    let task = Arc::clone(task);
                    self.discard((false, true));
                    self.number += 1;
                    self.alarm = Some(Alarm { at, sleep: None });
                    woken.due.push(Due { place, number: self.number, at, task });
                }
                Wait::Until(_) => {}
                Wait::Open => self.discard((false, true)),
            }
        }
        woken.stale.append(&mut self.stale);
    }

    /// Keeps an alarm that was set, or gives it back if it is not needed any more.
    pub(super) fn keep(&mut self, set: Set) -> Option<Set> {
        match &mut self.alarm {
            Some(alarm) if self.number == set.number => {
                alarm.sleep = Some(set.sleep);
                None
            }
            _ => Some(set),
        }
    }
}

/// An alarm to set.
#[derive(Debug)]
struct Due {
    place: Place,
    number: u64,
    at: Instant,
    task: Arc<Task>,
}

/// An alarm that was set.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) place: Place,
    number: u64,
    sleep: Pin<Box<Sleep>>,
}

/// What to do as soon as no lock is held any more.
#[derive(Debug, Default)]
#[must_use = "somebody waits for it"]
pub(super) struct Woken {
    tasks: Vec<Arc<Task>>,
    due: Vec<Due>,
    stale: Vec<Stale>,
}

impl Woken {
    pub(super) fn append(&mut self, mut other: Woken) {
        self.tasks.append(&mut other.tasks);
        self.due.append(&mut other.due);
        self.stale.append(&mut other.stale);
    }

    /// Sets the alarms, and wakes all tasks, also behind one whose waker panics; `keep` takes the lock, and gives
    /// back what it does not need.
    pub(super) fn settle(self, keep: impl FnOnce(Vec<Set>) -> Vec<Set>) {
        let Woken { mut tasks, due, stale } = self;
        let mut first = None;
        let mut catch = |call: &mut dyn FnMut()| {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(call)) {
                first.get_or_insert(panic);
            }
        };
        let mut alarms = Vec::new();
        for Due { place, number, at, task } in due {
            let mut sleep = None;
            catch(&mut || sleep = alarm(at, &task));
            match sleep {
                Some(sleep) => alarms.push(Set { place, number, sleep }),
                // It is time, or there is no runtime here: the task can set its own.
                None => tasks.push(task),
            }
        }
        if !alarms.is_empty() {
            drop(keep(alarms));
        }
        for task in tasks {
            catch(&mut || task.0.wake_by_ref());
        }
        drop(stale);
        if let Some(panic) = first
            && !thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}

/// An alarm that wakes the task, unless it is time.
fn alarm(at: Instant, task: &Arc<Task>) -> Option<Pin<Box<Sleep>>> {
    let mut sleep = Box::pin(sleep_until(at));
    let waker = Waker::from(Arc::clone(task));
    // Without tokio's budget, that of whoever sets the alarm: it might be used up.
    let rung = pin!(unconstrained(sleep.as_mut())).poll(&mut Context::from_waker(&waker)).is_ready();
    (!rung).then_some(sleep)
}
