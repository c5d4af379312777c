//! One run, shared by its tasks, its handles and the process that may signal it.
//!
//! # How it works
//!
//! A [`Run`] is a state behind a mutex, the [`Stop`] of the whole program, and a [`ChangeNotify`] that tells
//! waiters of every change. Each task has a `Stop` of its own besides: the run drains it when the phase of the
//! task stops, and takes a drain that the task gave itself for a request to stop the program.
//!
//! Every method works in two steps. Under the lock it changes the state and collects what has to be woken, spawned or
//! dropped; after it has released the lock it does that, with panics caught. So no foreign code runs under the lock,
//! and a waker that panics, blocks or calls back does not stop anything else.
//!
//! - **No change is lost**: `wait` subscribes before it reads the state, and each change is made before the notify.
//! - **A task is started once or never**: `start` and `abort_tasks` race for `Task::start`, which one of them takes
//!   under the lock. An abort that comes between that and the spawn is seen at the first poll of the task.
//! - **A drain of the run is not mistaken for one of the task**: `drain_sent` is set under the lock before the signal
//!   is sent, so `on_task_signal` finds it.
//! - **The first reason and the first instant of a stop stay**, as both are `OnceLock`s. A signal sets them on the
//!   signal thread, before another thread sends the drain.
//! - **The run hears its own `Stop` first**: its waiters are the first in the list of that `Stop`, ahead of any waker
//!   that may block.

#[cfg(feature = "inspect")]
use std::panic::Location;
use std::{
    borrow::Cow,
    future::poll_fn,
    mem,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, OnceLock},
    task::{Context, Poll, Waker},
    time::Duration,
};

use evenkeel_base::{lock, poll_timer};
use evenkeel_task::{Group, Panic, Rejected, Stop, Stopping};
use tokio::time::{Instant, sleep};

#[cfg(feature = "inspect")]
use crate::inspect::Inspection;
use crate::{
    Kind, Outcome, Reason, Report,
    change_notify::ChangeNotify,
    deadlines::Deadlines,
    escalation::Effect,
    state::{HeldGuard, Registration, State, Task},
    task::TaskFuture,
    work::Start,
};

pub(crate) struct Run {
    /// The stop signal of the whole program.
    pub(crate) stop: Stop,
    /// Notified of every change of the state that somebody may wait for, and of the stop signal.
    pub(crate) changes: Arc<ChangeNotify>,
    reason: OnceLock<Reason>,
    stop_requested_at: OnceLock<Instant>,
    state: Mutex<State>,
    // The first waiters of the stop signal: no waker of another waiter can keep the run from hearing it.
    _first_waiters: [Mutex<Pin<Box<Stopping>>>; 2],
    #[cfg(feature = "inspect")]
    pub(crate) inspection: Inspection,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitEnd {
    Done,
    TimedOut,
    /// The signal came that the wait was to end at; in a stop that is the abort.
    Aborted,
}

impl Run {
    /// Creates a run. A dump has the place of its `Shutdown`.
    #[cfg_attr(feature = "inspect", track_caller)]
    pub(crate) fn new() -> Self {
        #[cfg(feature = "inspect")]
        let place = Location::caller();
        let (stop, changes) = (Stop::new(), Arc::new(ChangeNotify::default()));
        let waker = Waker::from(changes.clone());
        let first_waiters = [stop.draining(), stop.aborting()].map(|signal| {
            let mut signal = Box::pin(signal);
            // Only registers the waker: the signal cannot have come yet.
            let _ = signal.as_mut().poll(&mut Context::from_waker(&waker));
            Mutex::new(signal)
        });
        let (reason, stop_requested_at) = (OnceLock::new(), OnceLock::new());
        let state = Mutex::new(State::new());
        Self {
            stop,
            changes,
            reason,
            stop_requested_at,
            state,
            _first_waiters: first_waiters,
            #[cfg(feature = "inspect")]
            inspection: Inspection::new(place),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(crate) fn deadlines(&self) -> Deadlines {
        self.state().deadlines
    }

    pub(crate) fn reason(&self) -> Option<&Reason> {
        self.reason.get()
    }

    /// Returns the instant of the request to stop; it is now if nobody has noticed the request before.
    pub(crate) fn stop_requested_at(&self) -> Instant {
        *self.stop_requested_at.get_or_init(Instant::now)
    }

    /// Returns the instant of the request to stop, if somebody has noticed it.
    #[cfg(feature = "inspect")]
    pub(crate) fn noticed_stop_at(&self) -> Option<Instant> {
        self.stop_requested_at.get().copied()
    }

    pub(crate) fn has_ended_by_itself(&self) -> bool {
        self.state().ended_by_itself
    }

    /// Sets whether the program should get new work.
    pub(crate) fn set_ready(&self, is_ready: bool) {
        let channels = self.state().set_ready(is_ready);
        // A waker that panics does not keep the other receivers from being told.
        channels.iter().for_each(|channel| drop(Panic::catch(|| channel.send_replace(is_ready))));
    }

    /// Records a signal, and returns its effect and the signal window of this run. Wakes nobody.
    pub(crate) fn record_signal(&self, number: i32, now: Instant) -> (Effect, Duration) {
        let mut state = self.state();
        let effect = state.escalation.record(number, now);
        if effect == Effect::Drain && !self.stop.is_draining() {
            state.stopped_before_begin = !state.has_begun;
            let _ = self.reason.set(Reason::Signal(number));
            let _ = self.stop_requested_at.set(now);
        }
        (effect, state.escalation.window)
    }

    /// Drains or aborts the run, as the effect of a recorded signal is.
    pub(crate) fn apply_signal(&self, number: i32, effect: Effect) {
        match effect {
            Effect::Drain => self.drain(Reason::Signal(number)),
            Effect::Abort => self.abort("the second signal came"),
            Effect::Nothing | Effect::Exit => {}
        }
    }

    /// Returns the reason of the stop in words.
    pub(crate) fn reason_text(&self) -> String {
        self.stop.reason().unwrap_or("the program stops").to_owned()
    }

    /// Asks the program to stop; the first reason stays.
    pub(crate) fn drain(&self, reason: Reason) {
        if !self.stop.is_draining() {
            let words = reason.to_string();
            // Of two concurrent requests the first one sets the reason.
            let _ = self.reason.set(reason);
            self.stop_requested_at();
            send(|| self.stop.drain(words));
        }
    }

    pub(crate) fn abort(&self, why: impl Into<Cow<'static, str>>) {
        let why = why.into();
        send(|| self.stop.abort(why));
    }

    /// Registers a task or a clean-up, and starts it if it is due; returns it if its phase no longer accepts it.
    pub(crate) fn add<F>(
        self: &Arc<Self>,
        registration: Registration,
        work: F,
        start: fn(F) -> Start,
    ) -> Result<(), Rejected<F>> {
        let mut state = self.state();
        let Some(index) = state.register(registration) else { return Err(Rejected(work)) };
        state.tasks[index].start = Some(start(work));
        let due = state.is_due(index);
        drop(state);
        if due {
            self.start(index);
        }
        self.changes.notify();
        Ok(())
    }

    /// Starts all tasks that are registered, and lets later ones start at once.
    pub(crate) fn begin(self: &Arc<Self>, group: Group) {
        let mut state = self.state();
        state.group = Some(group);
        state.has_begun = true;
        let due: Vec<_> = (0..state.tasks.len()).filter(|index| state.is_due(*index)).collect();
        drop(state);
        due.into_iter().for_each(|index| self.start(index));
        self.set_ready(!self.stop.is_draining());
    }

    /// Spawns a task or clean-up, unless it has been started or aborted already.
    pub(crate) fn start(self: &Arc<Self>, index: usize) {
        let mut state = self.state();
        let Some(group) = state.group.clone() else { return };
        let task = &mut state.tasks[index];
        let Some(start) = task.start.take() else { return };
        task.started = Instant::now();
        let (stop, name, drain_sent) = (task.stop.clone(), task.registration.name.clone(), task.drain_sent);
        let (polling, place) = (task.polling.clone(), task.registration.place);
        // A clean-up is started when its turn has come, so an abort from now on means that it hung.
        task.drain_sent |= task.registration.kind == Kind::CleanUp;
        drop(state);
        // A task that is registered during the drain of its phase starts with a draining `Stop`.
        if drain_sent {
            send(|| stop.drain(self.reason_text()));
        }
        group.task(name).spawn_from(place, TaskFuture::new(start, stop, index, Arc::clone(self), polling));
    }

    /// Handles a signal that has reached a task; one that the task gave itself is meant for the program.
    pub(crate) fn on_task_signal(&self, index: usize) {
        let mut state = self.state();
        let task = &mut state.tasks[index];
        if task.abort_sent {
            return;
        }
        let (drain_sent, stop) = (task.drain_sent, task.stop.clone());
        task.drain_sent = true;
        task.abort_sent = stop.is_aborting();
        drop(state);
        let why = || stop.reason().unwrap_or_default().to_owned();
        if !drain_sent {
            self.stop_requested_at();
            send(|| self.stop.drain(why()));
        }
        if stop.is_aborting() {
            self.abort(why());
        }
    }

    /// Records the end of a task or a clean-up. A failure, and the end of a vital task, ask the program to stop.
    pub(crate) fn record_end(&self, index: usize, outcome: Outcome) {
        let mut state = self.state();
        let Task { registration, vital, drain_sent, .. } = &state.tasks[index];
        let reason = match &outcome {
            Outcome::Failed(_) | Outcome::Panicked(_) => Some(Reason::Failed(registration.name.clone())),
            Outcome::Finished if *vital && !drain_sent => {
                Some(Reason::VitalTaskEnded(registration.name.clone()))
            }
            _ => None,
        };
        let outcome = match outcome {
            Outcome::Aborted if !drain_sent => Outcome::NotReached,
            outcome => outcome,
        };
        state.record_end(index, outcome);
        drop(state);
        if let Some(reason) = reason {
            self.drain(reason);
        }
        self.changes.notify();
    }

    /// Asks the selected tasks to drain, and returns the indices of those that have not ended.
    ///
    /// Tasks that have ended get the signal, too: detached work of theirs may still listen to it.
    pub(crate) fn drain_tasks(&self, which: impl Fn(&Task) -> bool) -> Vec<usize> {
        let mut state = self.state();
        let (mut alive, mut stops) = (Vec::new(), Vec::new());
        for (index, task) in state.tasks.iter_mut().enumerate() {
            if task.registration.kind == Kind::Task && which(task) {
                stops.push(task.stop.clone());
                if task.ended.is_none() {
                    task.drain_sent = true;
                    alive.push(index);
                }
            }
        }
        drop(state);
        stops.iter().for_each(|stop| send(|| stop.drain(self.reason_text())));
        alive
    }

    /// Aborts the selected tasks and clean-ups; work that has not been started is dropped and never starts.
    pub(crate) fn abort_tasks(&self, which: impl Fn(usize, &Task) -> bool) {
        let mut state = self.state();
        let (mut stops, mut not_started) = (Vec::new(), Vec::new());
        for (index, task) in state.tasks.iter_mut().enumerate() {
            if which(index, task) {
                task.abort_sent = true;
                stops.push(task.stop.clone());
                if let Some(start) = task.start.take() {
                    task.started = Instant::now();
                    not_started.push((index, start));
                }
            }
        }
        drop(state);
        for (index, start) in not_started {
            let outcome = Panic::catch(|| drop(start)).map_or_else(Outcome::Panicked, |()| Outcome::Aborted);
            self.record_end(index, outcome);
        }
        stops.iter().for_each(|stop| send(|| stop.abort(self.reason_text())));
    }

    pub(crate) fn add_guard(&self, guard: HeldGuard) -> usize {
        let (key, first) = self.state().add_guard(guard);
        // Only a count that becomes 1 or 0 can change a deadline or end a wait.
        if first {
            self.changes.notify();
        }
        key
    }

    pub(crate) fn remove_guard(&self, key: usize) {
        let last = self.state().remove_guard(key);
        if last {
            self.changes.notify();
        }
    }

    /// Waits until the tasks are aborted, or the grace period is over.
    pub(crate) async fn abort_due(&self) {
        self.wait(self.stop.draining(), |_| None, |_| false).await;
        let since = self.stop_requested_at();
        let left = |state: &State| Some(state.deadlines.grace.saturating_sub(since.elapsed()));
        self.wait(self.stop.aborting(), left, |_| false).await;
    }

    /// Waits until `done` returns true, the time that is `left` is over (`None` sets no limit), or the signal comes.
    ///
    /// Both closures are called again after every change.
    pub(crate) async fn wait(
        &self,
        signal: impl Future<Output = ()>,
        left: impl Fn(&State) -> Option<Duration>,
        done: impl Fn(&mut State) -> bool,
    ) -> WaitEnd {
        let mut signal = pin!(signal);
        loop {
            // Before the state is read: a change after that makes the subscription ready.
            let mut changed = self.changes.subscribe();
            let left = {
                let mut state = self.state();
                if done(&mut state) {
                    return WaitEnd::Done;
                }
                left(&state)
            };
            let mut timer = pin!(left.filter(|left| !left.is_zero()).map(sleep));
            let end = poll_fn(|cx| {
                if signal.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Some(WaitEnd::Aborted));
                }
                if left.is_some_and(|left| left.is_zero()) {
                    return Poll::Ready(Some(WaitEnd::TimedOut));
                }
                if changed.poll(cx).is_ready() {
                    return Poll::Ready(None);
                }
                match timer.as_mut().as_pin_mut() {
                    // Outside of tokio's cooperative budget: another future of this task may use that up each time.
                    Some(timer) => poll_timer(timer, cx).map(|()| Some(WaitEnd::TimedOut)),
                    None => Poll::Pending,
                }
            })
            .await;
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// Builds the report once everything has ended, and takes the tasks out of the state for it.
    pub(crate) fn report(&self) -> Report {
        let reason = match self.reason.get() {
            Some(reason) => reason.clone(),
            None if self.stop.is_draining() => {
                Reason::Stopped(self.stop.reason().unwrap_or_default().to_owned().into())
            }
            None => Reason::Ended,
        };
        let mut state = self.state();
        let signals = state.escalation.report();
        let (tasks, left_guards) = (mem::take(&mut state.tasks), mem::take(&mut state.left_guards));
        let phases: Vec<_> = state.phases.iter().map(|phase| phase.name.clone()).collect();
        drop(state);
        let tasks = tasks.into_iter().map(|task| {
            let (outcome, after) = task.ended.unwrap_or_else(|| (Outcome::Aborted, task.started.elapsed()));
            let phase = phases[task.registration.phase].clone();
            task.registration.report(phase, outcome, after)
        });
        let tasks: Vec<_> = tasks.chain(left_guards).collect();
        #[cfg(feature = "inspect")]
        let hung = tasks.iter().any(|task| matches!(task.outcome, Outcome::Aborted | Outcome::Held));
        let aborted = tasks.iter().filter(|task| matches!(task.outcome, Outcome::Aborted));
        let aborted = aborted.map(ToString::to_string).collect();
        self.state().aborted = aborted;
        Report {
            reason,
            tasks,
            signals,
            #[cfg(feature = "inspect")]
            dump: self.inspection.dump().filter(|_| hung),
        }
    }
}

/// Sends a stop signal. The panic hook reports a waker that panics at it; nothing else is held up by that.
fn send(signal: impl FnOnce()) {
    drop(Panic::catch(signal));
}

/// Closes a run when it is dropped: nothing is accepted any more, and all tasks are aborted.
pub(crate) struct CloseOnDrop(pub(crate) Arc<Run>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.close_all();
        state.is_over = true;
        let group = state.group.take();
        drop(state);
        drop(group);
        self.0.abort_tasks(|_, _| true);
        self.0.set_ready(false);
    }
}
