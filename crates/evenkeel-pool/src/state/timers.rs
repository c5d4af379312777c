//! The deadlines of the waiters, and the timers for them: one for each runtime in which somebody waits.
//!
//! # How it works
//!
//! The waiters of `get` have one time limit, so their deadlines are in the order of their arrival: only the first of them
//! is looked at. A deadline of a waiter's own, of `get_by`, is in a sorted set.
//!
//! A timer is a task (`wait_timer.rs`), and waits for the earliest deadline of all waiters, wherever they wait. So no runtime depends on
//! another being driven. It is not told of waiters that leave: it finds nothing due then, and waits for the next deadline,
//! and ends if nobody waits in its runtime. It is told of a deadline that is earlier than the one it waits for.
//!
//! A waiter that is called is not expired by a timer: it was woken, and looks at its deadline itself.

use std::{collections::BTreeSet, sync::Arc};

use evenkeel_base::far_future;
use tokio::{runtime::Id, sync::Notify, time::Instant};

use super::{
    Deferred, State,
    queue::{Limit, WaitQueue},
};
use crate::Manager;

#[derive(Default)]
pub(super) struct Timers {
    /// The first waiter in the queue with the common limit that no timer has passed.
    first: Option<usize>,
    /// The deadlines of waiters that have one of their own, with their numbers and keys.
    own: BTreeSet<(Instant, u64, usize)>,
    timers: Vec<RuntimeTimer>,
}

/// A timer that has to be started, or was; it is told of earlier deadlines by this.
#[derive(Clone)]
pub(crate) struct TimerStart(pub(crate) Arc<Notify>);

/// The timer of one runtime.
struct RuntimeTimer {
    runtime: Id,
    /// The number of waiters in this runtime.
    waiting: usize,
    /// The deadline that it waits for; `None` before its first look.
    due: Option<Instant>,
    /// Notified when a deadline is earlier than that.
    earlier: Arc<Notify>,
}

impl Timers {
    /// Adds a waiter that is in the queue; returns the timer that its runtime needs, if it has none.
    pub(super) fn join<M: Manager>(
        &mut self,
        key: usize,
        queue: &WaitQueue<M>,
        deferred: &mut Deferred,
    ) -> Option<TimerStart> {
        let waiter = queue.get(key);
        match waiter.limit {
            Limit::Common if self.first.is_some_and(|first| queue.get(first).number < waiter.number) => {}
            Limit::Common => self.first = Some(key),
            Limit::Own => _ = self.own.insert((waiter.deadline, waiter.number, key)),
        }
        for timer in &self.timers {
            if timer.due.is_some_and(|due| waiter.deadline < due) {
                deferred.rare().notify.push(Arc::clone(&timer.earlier));
            }
        }
        self.join_runtime(waiter.runtime)
    }

    /// Removes a waiter, which is still in the queue.
    pub(super) fn leave<M: Manager>(&mut self, key: usize, queue: &WaitQueue<M>) {
        let waiter = queue.get(key);
        match waiter.limit {
            Limit::Common if self.first == Some(key) => self.first = next_common(key, queue),
            Limit::Common => {}
            Limit::Own => _ = self.own.remove(&(waiter.deadline, waiter.number, key)),
        }
        self.leave_runtime(waiter.runtime);
    }

    /// Adds a waiter of this runtime; returns the timer that it needs, if it has none.
    pub(super) fn join_runtime(&mut self, runtime: Id) -> Option<TimerStart> {
        if let Some(timer) = self.timer(runtime) {
            timer.waiting += 1;
            return None;
        }
        let earlier = Arc::default();
        let start = TimerStart(Arc::clone(&earlier));
        self.timers.push(RuntimeTimer { runtime, waiting: 1, due: None, earlier });
        Some(start)
    }

    /// Removes a waiter of this runtime, whose timer may have ended with it.
    pub(super) fn leave_runtime(&mut self, runtime: Id) {
        if let Some(timer) = self.timer(runtime) {
            timer.waiting = timer.waiting.saturating_sub(1);
        }
    }

    fn position(&self, start: &TimerStart) -> Option<usize> {
        self.timers.iter().position(|timer| Arc::ptr_eq(&timer.earlier, &start.0))
    }

    /// Returns the next waiter whose time is up, and stops watching its deadline.
    pub(super) fn pop_due<M: Manager>(&mut self, now: Instant, queue: &WaitQueue<M>) -> Option<usize> {
        if let Some(key) = self.first.filter(|key| queue.get(*key).deadline <= now) {
            self.first = next_common(key, queue);
            return Some(key);
        }
        let due = self.own.first().filter(|(deadline, ..)| *deadline <= now).copied()?;
        self.own.remove(&due);
        Some(due.2)
    }

    /// Returns the time for which a timer waits next; or removes the timer, if nobody waits in its runtime.
    fn next<M: Manager>(
        &mut self,
        start: &TimerStart,
        queue: &WaitQueue<M>,
        now: Instant,
    ) -> Option<Instant> {
        let common = self.first.map(|key| queue.get(key).deadline);
        let due = common.into_iter().chain(self.own.first().map(|(deadline, ..)| *deadline)).min();
        let n = self.position(start)?;
        if self.timers[n].waiting == 0 {
            self.timers.swap_remove(n);
            return None;
        }
        // Without a deadline there are called waiters, which look at theirs themselves.
        let due = due.unwrap_or_else(|| far_future(now)).min(far_future(now));
        self.timers[n].due = Some(due);
        Some(due)
    }

    fn timer(&mut self, runtime: Id) -> Option<&mut RuntimeTimer> {
        self.timers.iter_mut().find(|timer| timer.runtime == runtime)
    }
}

/// Returns the next waiter behind this one that has the common limit.
fn next_common<M: Manager>(key: usize, queue: &WaitQueue<M>) -> Option<usize> {
    let mut next = queue.next(key);
    while let Some(key) = next
        && matches!(queue.get(key).limit, Limit::Own)
    {
        next = queue.next(key);
    }
    next
}

impl<M: Manager> State<M> {
    /// Returns the time for which a timer waits next; or removes the timer, if nobody waits in its runtime.
    pub(crate) fn next_due(&mut self, start: &TimerStart, now: Instant) -> Option<Instant> {
        self.timers.next(start, &self.waiters, now)
    }

    /// Returns whether this timer is there, or none is needed any more.
    pub(crate) fn has_timer(&self, start: &TimerStart) -> bool {
        self.closed || self.timers.position(start).is_some()
    }

    /// Removes the timer of a runtime that was shut down.
    pub(crate) fn remove_timer(&mut self, start: &TimerStart) {
        self.timers.position(start).map(|n| self.timers.timers.swap_remove(n));
    }
}
