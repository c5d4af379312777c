//! The part that the handles, leases and tasks of a pool share.
//!
//! # How it works
//!
//! Every change of the [`State`] is made by [`Shared::update`]: it locks, makes the change, lets the state call the next
//! waiter, unlocks, and then does the work that the change has left: wakers are woken, and wakers and failures that
//! were replaced are dropped. All of that is foreign code, and none of it runs under the lock. The output of a change is
//! foreign, too, where it holds an object: it is dropped by the caller of `update`.
//!
//! - **A waker that panics costs nothing else**: the state is complete before the first wake, the other wakers are woken
//!   all the same, and the panic goes on in the caller of `update` afterwards.
//! - **A task is spawned without the lock**: a runtime that is gone drops the task, with its object, inside `spawn`.
//! - **A task that its runtime drops is not silent**: [`TaskEnd`] records that as a failure, which the next time-out names.
//! - **Nothing that each checkout reads without the lock lies beside what each one writes**: the lock with its state has cache
//!   lines of its own, and so has the count of references in front of it.
//! - `must_wait` is a hint for callers that have not locked yet. It may be out of date: then a waker was cloned for
//!   nothing, or the state asks for the clone, and the caller asks again.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::Poll,
    thread,
};

use evenkeel_base::{FirstPanic, boxed_in_debug, lock};
use evenkeel_task::{Stop, catch_panic};
use tokio::{sync::Notify, time::Instant};

use super::{
    Deferred, Failure, RareDeferred, State,
    queue::Position,
    slot::{IdleObject, PooledObject, SlotGuard, SlottedObject},
    slots::Place,
    tasks::TaskKey,
};
#[cfg(feature = "inspect")]
use crate::inspect::{Inspection, Title};
use crate::{DiscardReason, GetError, Manager, Panic, PoolEvent, events::Observer, limits::Limits};

const CLOSED: &str = "the pool is closed";

/// Keeps a value on cache lines of its own: threads that only read its neighbors, as each checkout does, do not wait for those
/// that write it. The processor fetches lines in pairs.
#[repr(align(128))]
struct Apart<T>(T);

pub(crate) struct Shared<M: Manager> {
    pub(crate) manager: M,
    pub(crate) limits: Limits,
    // Whether the pool has no setting for which a checkout or a return does more than lend and take back.
    pub(crate) is_plain: bool,
    observer: Option<Observer>,
    state: Apart<Mutex<State<M>>>,
    // Whether a caller that came after the last change had to wait.
    must_wait: AtomicBool,
    // Drained when the pool is closed, to end its tasks.
    pub(crate) closing: Stop,
    // Drained when the pool is closed and empty.
    pub(crate) ended: Stop,
    // Notified when a creation has succeeded, for the creations that are paused.
    pub(crate) recovered: Notify,
    // Notified when a creation has ended, in whatever way.
    pub(crate) creation_ended: Notify,
    // Notified when the upkeep has something to do.
    pub(crate) upkeep: Arc<Notify>,
    #[cfg(feature = "inspect")]
    pub(crate) inspection: Inspection,
}

impl<M: Manager> Shared<M> {
    pub(crate) fn new(
        manager: M,
        max: usize,
        limits: Limits,
        observer: Option<Observer>,
        #[cfg(feature = "inspect")] title: Title,
    ) -> Arc<Self> {
        let state = Apart(Mutex::new(State::new(max, &limits)));
        let must_wait = AtomicBool::new(true);
        let (recovered, creation_ended) = (Notify::new(), Notify::new());
        let (closing, ended) = (Stop::new(), Stop::new());
        let is_plain = !(limits.needs_upkeep() || limits.times_returns() || limits.detects_deadlocks);
        let upkeep = Arc::default();
        let make = |_pool: &Weak<Self>| Self {
            manager,
            limits,
            is_plain,
            observer,
            state,
            must_wait,
            closing,
            ended,
            recovered,
            creation_ended,
            upkeep,
            #[cfg(feature = "inspect")]
            inspection: Inspection::new(_pool.clone(), title),
        };
        if cfg!(feature = "inspect") { Arc::new_cyclic(make) } else { Arc::new(make(&Weak::new())) }
    }

    /// Reads the state.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&State<M>) -> T) -> T {
        look(&lock(&self.state.0))
    }

    /// Returns the task that runs, if the pool looks for deadlocks, or can be inspected.
    #[inline]
    pub(crate) fn current_task(&self) -> Option<TaskKey> {
        (cfg!(feature = "inspect") || self.limits.detects_deadlocks).then(TaskKey::current)
    }

    /// Tells the observer of an event.
    #[inline]
    pub(crate) fn tell(&self, event: &PoolEvent<'_>) {
        if let Some(observer) = &self.observer {
            observer.hear(event);
        }
    }

    /// Reads the state, or changes what no waiter depends on.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut State<M>) -> T) -> T {
        look(&mut lock(&self.state.0))
    }

    /// Takes an idle object, if there is one and nobody waits.
    #[inline]
    pub(crate) fn take_idle(self: &Arc<Self>, place: Place) -> Option<SlottedObject<M>> {
        if self.must_wait() {
            return None;
        }
        let task = if self.is_plain && !cfg!(feature = "inspect") { None } else { self.current_task() };
        let mut state = lock(&self.state.0);
        let pooled = if state.waiters.is_empty() { state.lease_idle(place, task)? } else { return None };
        self.set_must_wait(state.idle.is_empty());
        if self.is_plain {
            drop(state);
        } else {
            state.tell_of_lease();
            let deferred = state.take_deferred();
            drop(state);
            self.work_off(deferred);
        }
        let slot = SlotGuard::new(self, pooled.idle_slot);
        Some(SlottedObject { pooled, slot })
    }

    /// Makes an object idle that was used, and calls a waiter for it; returns one that is not to be used again.
    #[inline]
    pub(crate) fn put_back(&self, pooled: Box<PooledObject<M>>) -> Result<(), Box<PooledObject<M>>> {
        let mut state = lock(&self.state.0);
        if !state.wants(&pooled) {
            return Err(pooled);
        }
        state.put_back(pooled);
        if !self.is_plain {
            state.tell_of_idle();
        } else if state.waiters.is_empty() {
            self.set_must_wait(false);
            return Ok(());
        }
        // A waiter takes what comes first, also where a task works for it.
        let wanted = state.waiters.len();
        let waker = state.next_below(wanted);
        let deferred = if self.is_plain { Deferred::default() } else { state.take_deferred() };
        self.set_must_wait(state.must_wait());
        drop(state);
        // Not by way of the state: what was just stored there in parts is slow to be loaded.
        self.work_off(Deferred { waker, ..deferred });
        Ok(())
    }

    /// Takes an idle object for a waiter that was called, which leaves the queue.
    #[inline]
    pub(crate) fn take_called(
        self: &Arc<Self>,
        queued: &mut Option<usize>,
        position: &mut Option<Position>,
        place: Place,
    ) -> Option<SlottedObject<M>> {
        let mut state = lock(&self.state.0);
        let pooled = state.take_called(queued, position, place)?;
        if !self.is_plain {
            state.tell_of_lease();
        }
        let deferred = self.end_change(state);
        let slot = SlotGuard::new(self, pooled.idle_slot);
        let object = SlottedObject { pooled, slot };
        self.work_off(deferred);
        Some(object)
    }

    /// Changes the state, and wakes the waiters that the change concerns.
    ///
    /// A panic of a waker goes on here after all are awake and all is done; the output is dropped then.
    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut State<M>) -> T) -> T {
        let mut state = lock(&self.state.0);
        let output = change(&mut state);
        let deferred = self.end_change(state);
        self.work_off(deferred);
        output
    }

    /// Changes the state by the end of a creation, and tells those that wait for that, though a waker panics.
    pub(crate) fn end_creation<T>(&self, change: impl FnOnce(&mut State<M>) -> T) -> T {
        let output = Panic::catch(|| self.update(change));
        self.creation_ended.notify_waiters();
        output.unwrap_or_else(|panic| panic.resume())
    }

    #[inline]
    fn work_off(&self, deferred: Deferred) {
        match deferred {
            Deferred { waker: None, stale: None, rare: None } => {}
            // The usual cases: nothing is left to do behind a panic of this waker.
            Deferred { waker: Some(waker), stale: None, rare: None } if !thread::panicking() => waker.wake(),
            Deferred { waker: None, stale: Some(stale), rare: None } if !thread::panicking() => drop(stale),
            deferred => self.run(deferred, FirstPanic::default()),
        }
    }

    /// Ends a change, and the lock; returns the work that is left.
    #[inline]
    fn end_change(&self, mut state: MutexGuard<'_, State<M>>) -> Deferred {
        let deferred = state.finish_change();
        // Under the lock, so that the hints are in the order of the changes.
        self.set_must_wait(state.must_wait());
        deferred
    }

    /// Returns whether a caller that comes now will wait, as far as can be seen without the lock.
    #[inline]
    pub(crate) fn must_wait(&self) -> bool {
        self.must_wait.load(Relaxed)
    }

    /// Sets the hint. It seldom changes, and is not written else, so that it stays in the caches of all threads.
    #[inline]
    fn set_must_wait(&self, must_wait: bool) {
        if self.must_wait() != must_wait {
            self.must_wait.store(must_wait, Relaxed);
        }
    }

    fn run(&self, Deferred { waker, stale, rare }: Deferred, mut panics: FirstPanic) {
        let RareDeferred { second, outdated, notify, upkeep, ended } = *rare.unwrap_or_default();
        panics.wake([waker, second].into_iter().flatten());
        for task in notify.iter().chain(upkeep.then_some(&self.upkeep)) {
            panics.catch(|| task.notify_one());
        }
        if ended {
            panics.catch(|| self.ended.drain(CLOSED));
        }
        panics.drop_each(stale);
        panics.drop_each(outdated);
        panics.resume();
    }

    /// Closes the pool: ends its tasks, fails its waiters, and drops its idle objects.
    pub(crate) fn close(self: &Arc<Self>) {
        let mut state = lock(&self.state.0);
        let (idle, waiters) = state.close();
        let deferred = self.end_change(state);
        let mut panics = FirstPanic::default();
        panics.catch(|| self.closing.drain(CLOSED));
        panics.wake(waiters);
        self.drop_all(idle, &mut panics);
        self.run(deferred, panics);
    }

    /// Changes the state so that idle objects leave the pool, and drops them. Their slots are free then.
    pub(crate) fn drop_idle(self: &Arc<Self>, change: impl FnOnce(&mut State<M>) -> Vec<IdleObject<M>>) {
        let idle = self.update(change);
        let mut panics = FirstPanic::default();
        self.drop_all(idle, &mut panics);
        panics.resume();
    }

    fn drop_all(self: &Arc<Self>, idle: Vec<IdleObject<M>>, panics: &mut FirstPanic) {
        for idle in idle {
            self.tell(&PoolEvent::Discarded { reason: DiscardReason::Retired });
            panics.catch(|| drop(SlottedObject::was_idle(self, idle)));
        }
    }

    /// Ends the waits whose time is up.
    pub(crate) fn expire_due(&self, now: Instant) {
        let mut state = lock(&self.state.0);
        let waiters = state.expire_due(now);
        let deferred = self.end_change(state);
        let mut panics = FirstPanic::default();
        panics.wake(waiters);
        self.run(deferred, panics);
    }

    /// Closes the pool with its last handle.
    ///
    /// A future of a checkout borrows a handle. If there still is one, it was forgotten: the object that it was served,
    /// which owns a reference to this part, is dropped here.
    pub(crate) fn end(self: &Arc<Self>) {
        let mut panics = FirstPanic::default();
        panics.catch(|| self.close());
        panics.drop_each(self.update(State::take_served));
        panics.resume();
    }

    /// Fails the first waiter; the text of the error is kept as the last failure.
    pub(crate) fn fail(&self, error: GetError<M::Error>) {
        let failure = Failure::of(&error);
        let unheard = self.update(|state| {
            state.record_failure(failure);
            state.fail_first(error)
        });
        drop(unheard);
    }

    /// Fails the first waiter with a panic in a task of the pool, which goes on: a panic of its waker goes nowhere.
    pub(crate) fn fail_in_task(&self, panic: Panic) {
        drop(Panic::catch(|| self.fail(GetError::Panic(panic))));
    }

    /// Runs a task that ends with the pool, in the span of the caller. A panic of its work fails the first waiter.
    ///
    /// Must not be called under a lock: a runtime that is gone drops the work inside this call.
    pub(crate) fn spawn(
        self: &Arc<Self>,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let work = boxed_in_debug(work);
        let end = TaskEnd { shared: Arc::clone(self), name, is_cut: true };
        let task = self.until_closed(async move {
            if let Err(panic) = catch_panic(work).await {
                end.shared.fail_in_task(panic);
            }
            end.reached();
        });
        #[cfg(feature = "tracing")]
        let task = tracing::Instrument::in_current_span(task);
        drop(tokio::spawn(task));
    }

    /// Runs a task that ends with the pool.
    pub(crate) fn spawn_until_closed(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(tokio::spawn(self.until_closed(boxed_in_debug(work))));
    }

    /// Returns a future that drops this one when the pool is closed.
    fn until_closed(
        &self,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let mut closing = self.closing.draining();
        async move {
            let mut work = pin!(work);
            poll_fn(|cx| match Pin::new(&mut closing).poll(cx) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => work.as_mut().poll(cx),
            })
            .await;
        }
    }
}

/// Records as a failure that a task of the pool was dropped with its runtime.
struct TaskEnd<M: Manager> {
    shared: Arc<Shared<M>>,
    name: &'static str,
    is_cut: bool,
}

impl<M: Manager> TaskEnd<M> {
    fn reached(mut self) {
        self.is_cut = false;
    }
}

impl<M: Manager> Drop for TaskEnd<M> {
    fn drop(&mut self) {
        if self.is_cut && !self.shared.closing.is_draining() {
            let failure = Failure::text(format!("{} was cut: its runtime was shut down", self.name));
            self.shared.update(|state| state.record_failure(failure));
        }
    }
}
