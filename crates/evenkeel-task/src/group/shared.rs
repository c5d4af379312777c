//! The core of a group, shared by its future, its tasks and its handles.
//!
//! # How it works
//!
//! [`Shared`] has the [`Registry`] of the tasks that are alive, two flags, and [`GroupState`] behind a lock, which changes
//! when something fails or all have ended, and not with every task. So to spawn and to join a task touches no lock that
//! all tasks share.
//!
//! The tasks are not counted: the body and each task hold an [`Arc`] of a [`Membership`], handles of the group a `Weak`
//! one. When the last `Arc` is dropped the group is empty, and nobody can join it any more, as nobody can upgrade. That
//! wakes the future of the group, once.
//!
//! - **`closed`** lets no task begin, **`progress_forbidden`** makes all of them end at their next poll. Both are set
//!   before the wakers of the tasks are collected; a task stores its waker, and looks at the flag again, before it
//!   returns to the runtime. So each task is woken, or sees the flag.
//! - **A group within a group.** When the future of a group is dropped before its tasks have ended, the group around it
//!   becomes its `parent`: it gets the earlier and the later failures of the tasks, and an entry that keeps it from
//!   ending. The parent is set, and taken by the last member, under the lock, so exactly one of the two removes that entry.
//! - **Chains of parents are walked in loops**, as groups within groups may be of any depth.
//! - **No foreign code runs under the lock**: wakers are cloned before it is taken, and woken and dropped behind it.

use std::{
    mem,
    ops::Deref,
    panic::Location,
    ptr,
    sync::{
        Arc, Mutex, MutexGuard, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use evenkeel_base::{FirstPanic, lock};
use tokio::{sync::Semaphore, time::Instant};

#[cfg(feature = "inspect")]
use super::waits::Inspection;
use super::{
    registry::{Cursor, Registry, TaskKey},
    task_entry::{State, TaskEnd},
};
use crate::{Cause, Failure, GroupError, Panic, Stop, panic::discard};

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) registry: Registry,
    state: Mutex<GroupState>,
    // Whether no task begins any more.
    closed: AtomicBool,
    // Whether its tasks have to end.
    progress_forbidden: AtomicBool,
    pub(super) stop: Stop,
    // With a limit: one permit for each task that may run at a time.
    pub(super) slots: Option<Arc<Semaphore>>,
    // Whether failures do not stop it.
    collect_all: bool,
    pub(super) place: &'static Location<'static>,
    pub(super) started: Instant,
    #[cfg(feature = "inspect")]
    pub(super) inspection: Inspection,
}

#[derive(Debug, Default)]
struct GroupState {
    // Set when the future of this group is gone: the group that waits for its tasks, and the entry in that.
    parent: Option<(Arc<Membership>, TaskKey)>,
    failures: Vec<Failure>,
    // The waker of the future of the group.
    waker: Option<Waker>,
    // Whether a task has asked to cancel the others.
    rest_unneeded: bool,
    // Whether a value has ended the group early.
    is_finished: bool,
    // Whether the last member has left.
    is_empty: bool,
}

impl Shared {
    pub(super) fn new(
        place: &'static Location<'static>,
        stop: Stop,
        limit: Option<usize>,
        collect_all: bool,
    ) -> Arc<Self> {
        let started = Instant::now();
        let slots = limit.map(|limit| Arc::new(Semaphore::new(limit)));
        let make = |_group: &Weak<Self>| Self {
            registry: Registry::new(started),
            state: Mutex::default(),
            closed: AtomicBool::new(false),
            progress_forbidden: AtomicBool::new(false),
            stop,
            slots,
            collect_all,
            place,
            started,
            #[cfg(feature = "inspect")]
            inspection: Inspection::new(_group.clone(), limit),
        };
        if cfg!(feature = "inspect") { Arc::new_cyclic(make) } else { Arc::new(make(&Weak::new())) }
    }

    fn state(&self) -> MutexGuard<'_, GroupState> {
        lock(&self.state)
    }

    /// Accepts no more tasks.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(super) fn is_open(&self) -> bool {
        !self.closed.load(Ordering::Acquire)
    }

    /// Makes all tasks end at their next poll; [`abort_page`](Registry::abort_page) wakes the tasks for it.
    pub(super) fn forbid_progress(&self) {
        self.close();
        self.progress_forbidden.store(true, Ordering::Release);
    }

    pub(super) fn forbids_progress(&self) -> bool {
        self.progress_forbidden.load(Ordering::Acquire)
    }

    /// Marks a task that has waited for a slot as running, unless the group is closed.
    pub(super) fn begin(&self, key: TaskKey) -> bool {
        // Under the lock of the shard: the group is closed before that lock is taken to wake the tasks that wait.
        self.registry.begin(key, || self.is_open())
    }

    /// Removes a task whose future has been dropped, and records its end.
    pub(super) fn record_end(&self, key: TaskKey, end: TaskEnd) {
        let Some(entry) = self.registry.remove(key, &end) else { return };
        // Subscribers are foreign code: one that panics must not lose the failure.
        let mut panics = FirstPanic::default();
        panics.catch(|| entry.report_end(&end));
        if let TaskEnd::Failed(cause) = end {
            self.record_failure(entry.into_failure(cause));
        }
        panics.resume();
    }

    /// Records a failure here, or in the group that waits for the tasks of this one.
    fn record_failure(&self, failure: Failure) {
        let mut forwarded = self.record_or_forward(failure);
        while let Some((parent, failure)) = forwarded {
            forwarded = parent.record_or_forward(failure);
        }
    }

    /// Records a failure, or returns it with the parent that it is for.
    fn record_or_forward(&self, failure: Failure) -> Option<(Arc<Membership>, Failure)> {
        let mut state = self.state();
        if let Some((parent, _)) = &state.parent {
            return Some((Arc::clone(parent), failure));
        }
        if !self.collect_all {
            self.close();
        }
        state.failures.push(failure);
        // One wake for the first failure and one for the last task, not one for each task.
        let waker = if state.failures.len() == 1 { state.waker.take() } else { None };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        None
    }

    /// Stops the group as a failure does, but without one: a task has the result.
    pub(super) fn cancel_rest(&self) {
        self.close();
        cancel_rest(self.state());
    }

    /// Stops the group as [`cancel_rest`](Self::cancel_rest) does, for a value, and returns whether that is the result.
    pub(super) fn finish(&self) -> bool {
        // An abort that the future of the group has not seen yet.
        if self.stop.is_aborting() {
            return false;
        }
        let mut state = self.state();
        if !self.is_open() {
            return false;
        }
        // There are failures if the group is to collect them.
        state.is_finished = state.failures.is_empty();
        let is_result = state.is_finished;
        // Closed under the lock: of two values one is the result.
        self.close();
        cancel_rest(state);
        is_result
    }

    /// Adds a failure of the body or of the group itself; called by its future alone, which needs no wake.
    pub(super) fn fail(&self, name: &'static str, cause: Cause) {
        let (place, after) = (self.place, self.started.elapsed());
        if !self.collect_all {
            self.close();
        }
        self.state().failures.push(Failure { name: Some(name.into()), place, after, restarts: 0, cause });
    }

    /// Records that the last member has left, and returns the group that waits for that.
    fn set_empty(&self, panics: &mut FirstPanic) -> Option<(Arc<Membership>, TaskKey)> {
        let mut state = self.state();
        state.is_empty = true;
        let (waker, parent) = (state.waker.take(), state.parent.take());
        drop(state);
        if waker.is_some() {
            panics.wake(waker);
        }
        parent
    }

    /// Removes the entry of a child group. It is no task, so there is no event for its end.
    fn remove_child_group(&self, key: TaskKey) {
        drop(self.registry.remove(key, &TaskEnd::Finished));
    }

    /// Aborts all tasks, as the future of the group is dropped before they have ended.
    ///
    /// `outer` is the group in which it is dropped: it waits for the tasks and gets their failures.
    pub(super) fn abandon(&self, outer: Option<Arc<Membership>>) {
        self.forbid_progress();
        let mut panics = FirstPanic::default();
        // A task of the group itself may own its future, and drop it.
        if let Some(outer) = outer.filter(|outer| !ptr::eq(&*outer.0, self)) {
            self.hand_over(&outer, &mut panics);
        }
        panics.catch(|| self.drop_waker());
        let mut cursor = Some(Cursor::default());
        while let Some(next) = cursor {
            cursor = self.registry.abort_page(next, |_| true, &mut panics);
        }
        panics.catch(|| self.stop.abort("the future of the group was dropped"));
        panics.resume();
    }

    /// Makes another group the parent of the tasks that are left.
    fn hand_over(&self, parent: &Arc<Membership>, panics: &mut FirstPanic) {
        let name = Some(Box::new("group".into()));
        let key = parent.registry.insert(name, self.place, State::Detached);
        let mut state = self.state();
        let (failures, is_empty) = (mem::take(&mut state.failures), state.is_empty);
        // If the last member leaves later it removes the entry.
        if !is_empty {
            state.parent = Some((Arc::clone(parent), key));
        }
        drop(state);
        // The failures of the body and of the group itself, which have its place, were for its caller.
        let of_tasks = failures.into_iter().filter(|failure| failure.place != self.place);
        of_tasks.for_each(|failure| panics.catch(|| parent.record_failure(failure)));
        if is_empty {
            parent.remove_child_group(key);
        }
    }

    /// Returns whether a failure, or a task that has the result, stops the group.
    pub(super) fn must_stop(&self) -> bool {
        // Each of them closes the group first.
        !self.is_open() && self.is_stopped_by(&self.state())
    }

    fn is_stopped_by(&self, state: &GroupState) -> bool {
        state.rest_unneeded || (!self.collect_all && !state.failures.is_empty())
    }

    /// Ready when the group [must stop](Self::must_stop).
    pub(super) fn poll_must_stop(&self, cx: &Context<'_>) -> Poll<()> {
        self.poll_state(cx, |state| self.is_stopped_by(state).then_some(()))
    }

    /// Ready when the last member has left.
    pub(super) fn poll_empty(&self, cx: &Context<'_>) -> Poll<()> {
        self.poll_state(cx, |state| state.is_empty.then_some(()))
    }

    /// Ready when the last member has left, or with `None` when the group [must stop](Self::must_stop).
    pub(super) fn poll_empty_or_must_stop(&self, cx: &Context<'_>) -> Poll<Option<()>> {
        self.poll_state(cx, |state| match self.is_stopped_by(state) {
            true => Some(None),
            false => state.is_empty.then_some(Some(())),
        })
    }

    /// Ready with the value of the condition; until then the waker is stored.
    fn poll_state<T>(&self, cx: &Context<'_>, condition: impl Fn(&GroupState) -> Option<T>) -> Poll<T> {
        let mut clone = None;
        loop {
            let mut state = self.state();
            if let Some(value) = condition(&state) {
                return Poll::Ready(value);
            }
            if state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                return Poll::Pending;
            }
            let Some(waker) = clone.take() else {
                // The clone is foreign code: it is made without the lock, and the condition is read again.
                drop(state);
                clone = Some(cx.waker().clone());
                continue;
            };
            let old = state.waker.replace(waker);
            drop(state);
            // It may be the last reference to a runtime with tasks of this group.
            drop(old);
            return Poll::Pending;
        }
    }

    /// Drops the stored waker until the future of the group stores a new one.
    pub(super) fn drop_waker(&self) {
        let waker = self.state().waker.take();
        drop(waker);
    }

    /// Returns why the group stops, in words.
    pub(super) fn stop_reason(&self) -> String {
        let state = self.state();
        match state.failures.first() {
            Some(failure) => failure.to_string(),
            None if state.rest_unneeded => "another task has the result".to_owned(),
            None => "the body panicked".to_owned(),
        }
    }

    pub(super) fn take_failures(&self) -> Vec<Failure> {
        mem::take(&mut self.state().failures)
    }

    /// Returns the result of the group: its value if nothing failed before.
    pub(super) fn result<R>(&self, value: Option<R>) -> Result<R, GroupError> {
        let failures = self.take_failures();
        let is_finished = self.state().is_finished;
        match value {
            Some(value) if failures.is_empty() => Ok(value),
            // Errors of tasks that were told to stop; a panic is never dropped.
            Some(value) if is_finished && !failures.iter().any(Failure::has_panic) => {
                discard(failures);
                Ok(value)
            }
            _ => {
                let (finished, cancelled) = self.registry.counts();
                Err(GroupError::new(failures, finished, cancelled))
            }
        }
    }
}

/// Tells the future of a closed group that the rest is not needed.
fn cancel_rest(mut state: MutexGuard<'_, GroupState>) {
    state.rest_unneeded = true;
    let waker = state.waker.take();
    drop(state);
    // A panic of the waker is not one of the task, whose result counts.
    drop(waker.map(|waker| Panic::catch(|| waker.wake())));
}

/// The membership in a group of its body and of each of its tasks; the group is empty when the last one is dropped.
#[derive(Debug)]
pub(super) struct Membership(pub(super) Arc<Shared>);

impl Deref for Membership {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut panics = FirstPanic::default();
        let mut parent = self.set_empty(&mut panics);
        while let Some((group, key)) = parent {
            group.remove_child_group(key);
            parent = Arc::into_inner(group).and_then(|group| group.set_empty(&mut panics));
        }
        panics.resume();
    }
}
