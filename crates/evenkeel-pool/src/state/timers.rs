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
//! A waiter that is called is not expired by a timer, which stops watching it when its time is up: it was woken, and looks at
//! its deadline itself. If it waits again, by a clock that it read before, it is watched again.
//!
//! A timer is cut by the shutdown of its runtime. Those that wait there are woken then: a future that is polled in another
//! runtime goes on, and one that cannot panics, as a sleep does.

use std::{collections::BTreeSet, mem, sync::Arc, task::Waker};

use evenkeel_base::far_future;
use tokio::{runtime::Id, sync::Notify, time::Instant};

use super::{
    Deferred, State,
    queue::{WaitQueue, Waiter, WaiterState},
};
use crate::{Manager, limits::Limits};

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
        limits: &Limits,
        deferred: &mut Deferred,
    ) -> Option<TimerStart> {
        self.watch(key, queue, limits, deferred);
        self.join_runtime(queue.get(key).runtime)
    }

    /// Watches the deadline of a waiter that is in the queue, from now on or still.
    #[inline]
    pub(super) fn watch<M: Manager>(
        &mut self,
        key: usize,
        queue: &WaitQueue<M>,
        limits: &Limits,
        deferred: &mut Deferred,
    ) {
        let &Waiter { number, own_deadline, .. } = queue.get(key);
        match (own_deadline, self.first) {
            (Some(deadline), _) => _ = self.own.insert((deadline, number, key)),
            // It is behind another one, whose deadline is earlier.
            (None, Some(first)) if queue.get(first).number < number => return,
            (None, _) => self.first = Some(key),
        }
        let deadline = queue.get(key).deadline(limits.acquire_timeout);
        for timer in &self.timers {
            if timer.due.is_some_and(|due| deadline < due) {
                deferred.rare().notify.push(Arc::clone(&timer.earlier));
            }
        }
    }

    /// Removes a waiter, which is still in the queue.
    pub(super) fn leave<M: Manager>(&mut self, key: usize, queue: &WaitQueue<M>) {
        let waiter = queue.get(key);
        match waiter.own_deadline {
            None if self.first == Some(key) => self.first = next_common(key, queue),
            None => {}
            Some(deadline) => _ = self.own.remove(&(deadline, waiter.number, key)),
        }
        self.leave_runtime(waiter.runtime);
    }

    /// Adds a waiter of this runtime; returns the timer that it needs, if it has none.
    #[inline]
    pub(super) fn join_runtime(&mut self, runtime: Id) -> Option<TimerStart> {
        if let Some(timer) = self.timer(runtime) {
            timer.waiting += 1;
            return None;
        }
        Some(self.add(runtime))
    }

    #[cold]
    fn add(&mut self, runtime: Id) -> TimerStart {
        let earlier = Arc::default();
        let start = TimerStart(Arc::clone(&earlier));
        self.timers.push(RuntimeTimer { runtime, waiting: 1, due: None, earlier });
        start
    }

    /// Removes a waiter of this runtime, whose timer may have ended with it.
    #[inline]
    pub(super) fn leave_runtime(&mut self, runtime: Id) {
        if let Some(timer) = self.timer(runtime) {
            timer.waiting = timer.waiting.saturating_sub(1);
        }
    }

    fn position(&self, start: &TimerStart) -> Option<usize> {
        self.timers.iter().position(|timer| Arc::ptr_eq(&timer.earlier, &start.0))
    }

    /// Returns the next waiter whose time is up, and stops watching its deadline.
    pub(super) fn pop_due<M: Manager>(
        &mut self,
        now: Instant,
        queue: &WaitQueue<M>,
        limits: &Limits,
    ) -> Option<usize> {
        let is_over = |key: &usize| queue.get(*key).deadline(limits.acquire_timeout) <= now;
        if let Some(key) = self.first.filter(is_over) {
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
        limits: &Limits,
        now: Instant,
    ) -> Option<Instant> {
        let common = self.first.map(|key| queue.get(key).deadline(limits.acquire_timeout));
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

    /// Returns whether this runtime has a timer.
    pub(super) fn reach(&mut self, runtime: Id) -> bool {
        self.timer(runtime).is_some()
    }

    fn timer(&mut self, runtime: Id) -> Option<&mut RuntimeTimer> {
        self.timers.iter_mut().find(|timer| timer.runtime == runtime)
    }
}

/// Returns the next waiter behind this one that has the common limit.
fn next_common<M: Manager>(key: usize, queue: &WaitQueue<M>) -> Option<usize> {
    let mut next = queue.next(key);
    while let Some(key) = next
        && queue.get(key).own_deadline.is_some()
    {
        next = queue.next(key);
    }
    next
}

impl<M: Manager> State<M> {
    /// Returns the time for which a timer waits next; or removes the timer, if nobody waits in its runtime.
    pub(crate) fn next_due(&mut self, start: &TimerStart, now: Instant) -> Option<Instant> {
        self.timers.next(start, &self.waiters, &self.limits, now)
    }

    /// Returns whether this timer is there, or none is needed any more.
    pub(crate) fn has_timer(&self, start: &TimerStart) -> bool {
        self.closed || self.timers.position(start).is_some()
    }

    /// Removes the timer of a runtime that was shut down; returns the wakers of those that wait there, and have no timer now.
    pub(crate) fn remove_timer(&mut self, start: &TimerStart) -> Vec<Waker> {
        let Some(n) = self.timers.position(start) else { return Vec::new() };
        let runtime = self.timers.timers.swap_remove(n).runtime;
        let stranded = |waiter: &mut Waiter<M>| match &mut waiter.state {
            WaiterState::Waiting(waker) if waiter.runtime == runtime => {
                Some(mem::replace(waker, Waker::noop().clone()))
            }
            _ => None,
        };
        self.waiters.values_mut().filter_map(stranded).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, panic::Location, time::Duration};

    use super::*;
    use crate::{
        GetError, Pool,
        state::{Caller, CheckoutStep},
    };

    struct Units;

    impl Manager for Units {
        type Object = ();
        type Error = Infallible;

        async fn create(&self) -> Result<(), Infallible> {
            Ok(())
        }
    }

    /// A waiter is called, and another thread takes its object away. It has read the clock to wait again, and before it has
    /// the lock its time is up, and the timer looks.
    #[tokio::test(start_paused = true)]
    async fn a_timer_that_fires_while_a_waiter_enters_again_does_not_forget_it() {
        for own in [false, true] {
            let limit = Duration::from_secs(1);
            let pool = Pool::builder(Units).max(1).acquire_timeout(limit).build().expect("a pool of one");
            let (shared, waker) = (pool.shared(), Waker::noop());
            let lease = pool.get().await.expect("it is created");
            let deadline = own.then(|| Instant::now() + limit);
            let (mut queued, mut position) = (None, None);
            let mut caller = Caller::new(shared, Location::caller(), deadline, &mut position, waker);
            caller.prepare();
            shared.update(|state| state.arrive(&mut queued, &mut caller));
            tokio::time::advance(limit - Duration::from_nanos(1)).await;
            drop(lease);
            pool.retire_all();
            caller.prepare();
            tokio::time::advance(Duration::from_nanos(1)).await;
            shared.expire_due(Instant::now());
            let step = shared.update(|state| state.step(&mut queued, &mut caller));
            assert!(matches!(step, CheckoutStep::Create(_)), "it was called for the room");
            assert!(caller.late.is_none(), "by its own clock it is in time");
            shared.expire_due(Instant::now());
            let step = shared.update(|state| state.step(&mut queued, &mut caller));
            let CheckoutStep::Done(Err(GetError::Timeout(why))) = step else { panic!("it waits for ever") };
            assert_eq!(why.waited, limit);
        }
    }
}
