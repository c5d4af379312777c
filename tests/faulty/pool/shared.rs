//! The part of a pool that handles, callers, leases and tasks share: the lock, and what is done without it.

use std::{
    future::poll_fn,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use evenkeel_tck::pool::{GetError, Lease, Settings};
use tokio::{
    runtime::Handle,
    task::AbortHandle,
    time::{Instant, timeout},
};

use super::{
    Fault, jobs,
    lease::Leased,
    state::{Effects, Entry, Job, State},
};

pub(super) struct Shared {
    pub(super) fault: Fault,
    pub(super) settings: Settings,
    /// The runtime in which the pool was made.
    home: Handle,
    state: Mutex<State>,
}

/// The slot of an object that is gone; dropping it makes room.
struct Slot<'a>(&'a Arc<Shared>);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        if self.0.fault == Fault::WakesNobodyForRoom {
            self.0.state().size -= 1;
        } else {
            self.0.update(|state, _| state.size -= 1);
        }
    }
}

impl Shared {
    pub(super) fn new(fault: Fault, settings: &Settings) -> Arc<Self> {
        let state = Mutex::new(State::new(fault, settings));
        Arc::new(Self { fault, settings: settings.clone(), home: Handle::current(), state })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, serves whom it can, and does the rest without the lock.
    pub(super) fn update<T>(self: &Arc<Self>, change: impl FnOnce(&mut State, &mut Effects) -> T) -> T {
        let mut effects = Effects::default();
        let mut state = self.state();
        let value = change(&mut state, &mut effects);
        state.serve(&mut effects);
        drop(state);
        self.perform(effects);
        value
    }

    fn perform(self: &Arc<Self>, effects: Effects) {
        effects.wakers.into_iter().for_each(Waker::wake);
        for job in effects.jobs {
            self.begin(job);
        }
        for entry in effects.dropped {
            self.discard(entry);
        }
    }

    /// Drops an object, and then makes room.
    pub(super) fn discard(self: &Arc<Self>, entry: Entry) {
        if self.fault == Fault::CountsAfterTheDestructor {
            drop(entry);
            return self.update(|state, _| state.size -= 1);
        }
        if self.fault == Fault::DropsUnderTheLock {
            let mut state = self.state();
            drop(entry);
            state.size -= 1;
            return;
        }
        let _slot = Slot(self);
        // The panic hook has told of it.
        drop(catch_unwind(AssertUnwindSafe(|| drop(entry))));
    }

    fn begin(self: &Arc<Self>, job: Job) {
        let (ticket, is_check) = match &job {
            Job::Create(ticket, _) => (*ticket, false),
            Job::Check(_, ticket) => (*ticket, true),
            Job::Reset(_) => (0, false),
        };
        let task = self.spawn(jobs::run(self, job));
        let mut state = self.state();
        state.tasks.retain(|(_, _, task)| !task.is_finished());
        state.tasks.push((ticket, is_check, task));
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let here = Handle::try_current().unwrap_or_else(|_| self.home.clone());
        here.spawn(task).abort_handle()
    }

    /// Takes back an object that was used.
    pub(super) fn give_back(self: &Arc<Self>, mut entry: Entry) {
        entry.used = Some(Instant::now());
        let has_resets = self.settings.resets && self.fault != Fault::SkipsResets;
        let is_kept = !entry.object.is_broken() || self.fault == Fault::LendsBrokenObjects;
        self.update(|state, effects| {
            let is_over = state.size > state.limit() && self.fault != Fault::KeepsTooMany;
            if !is_kept || is_over || self.fault == Fault::DropsWhatIsReturned || !state.is_fit(&entry) {
                effects.dropped.push(entry);
            } else if has_resets || self.fault == Fault::ServesLate {
                state.resetting += 1;
                effects.jobs.push(Job::Reset(entry));
            } else if state.needs_check(&entry) {
                state.make_idle(entry);
            } else {
                state.deliver(entry, effects);
            }
        });
    }

    pub(super) fn try_get(self: &Arc<Self>) -> Option<Box<dyn Lease>> {
        let entry = self.update(|state, effects| {
            if self.fault == Fault::TryOvertakes
                && let Some(ticket) = state.served.keys().next().copied()
            {
                state.leases.remove(&ticket);
                let entry = state.served.remove(&ticket)?.ok()?;
                state.enqueue(ticket, Waker::noop());
                return Some(entry);
            }
            if self.fault == Fault::TryCreates && state.idle.is_empty() {
                state.create_below(1, effects);
            }
            // Waiters come first.
            if state.waiters.is_empty() { state.take_idle() } else { None }
        })?;
        let mut check = Box::pin(jobs::check(self.clone(), entry));
        let checked = check.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Ok(entry)) = checked else { return None };
        Some(Box::new(Leased::lent_to_try(self, entry)))
    }

    pub(super) fn resize(self: &Arc<Self>, max: usize) {
        let change = |state: &mut State, effects: &mut Effects| {
            let (nominal, size) = (state.nominal_max, state.size);
            state.nominal_max = max;
            state.max = match state.fault {
                Fault::ShrinksIdleObjectsOnly if max < nominal && size <= max => state.max,
                Fault::GrowsByTheDifference if max < nominal => state.max,
                Fault::GrowsByTheDifference => state.max + max - nominal,
                _ => max,
            };
            let over = state.size.saturating_sub(state.max).min(state.idle.len());
            effects.dropped.extend(state.idle.drain(..over));
        };
        if self.fault == Fault::GrowsForNewOnly {
            let mut effects = Effects::default();
            change(&mut self.state(), &mut effects);
            return self.perform(effects);
        }
        self.update(change);
    }

    pub(super) async fn close(self: Arc<Self>, within: Option<Duration>) -> usize {
        let waits = self.update(|state, effects| {
            state.is_closed = true;
            if self.fault != Fault::LendsWhenClosed {
                effects.dropped.extend(state.idle.drain(..));
            }
            if !matches!(self.fault, Fault::TellsNoWaiterOfTheClose | Fault::TellsWaitersAtTheEnd) {
                tell_of_the_close(state, effects);
            }
            let is_second = mem::replace(&mut state.waited_close, true);
            match self.fault {
                Fault::ClosesAtOnce => false,
                Fault::WaitsInTheFirstCloseOnly => !is_second,
                _ => true,
            }
        });
        if !matches!(self.fault, Fault::KeepsLateCreations | Fault::KeepsLateChecks) {
            self.abort_tasks();
        }
        let drained = poll_fn(|cx| {
            let mut state = self.state();
            if state.leases.is_empty() {
                return Poll::Ready(());
            }
            state.closes.push(cx.waker().clone());
            Poll::Pending
        });
        match within.filter(|_| self.fault != Fault::IgnoresTheDeadlineOfAClose) {
            _ if !waits => {}
            // Leases that are out are counted below.
            Some(limit) => drop(timeout(limit, drained).await),
            None => drained.await,
        }
        self.update(|state, effects| {
            if self.fault == Fault::TellsWaitersAtTheEnd {
                tell_of_the_close(state, effects);
            }
            state.leases.len()
        })
    }

    fn abort_tasks(&self) {
        let tasks = mem::take(&mut self.state().tasks);
        tasks.iter().for_each(|(_, _, task)| task.abort());
    }

    /// Ends the pool: its last handle is gone.
    pub(super) fn end(self: &Arc<Self>) {
        if self.fault == Fault::KeepsItself {
            mem::forget(self.clone());
            return;
        }
        self.abort_tasks();
        self.update(|state, effects| {
            state.is_closed = true;
            effects.dropped.extend(state.idle.drain(..));
            tell_of_the_close(state, effects);
        });
    }
}

fn tell_of_the_close(state: &mut State, effects: &mut Effects) {
    while !state.waiters.is_empty() {
        state.answer(0, Err(GetError::Closed), effects);
    }
}
