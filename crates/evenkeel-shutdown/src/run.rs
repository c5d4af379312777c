//! One run, shared by its tasks, its handles and the listener for signals.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use evenkeel_task::{Closed, Group, Panic, Stop};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use crate::guard::Held;
use crate::job::{Running, Start};
use crate::plan::Plan;
use crate::state::{Entry, Given, State};
use crate::{Kind, Outcome, Reason, Report};

pub(crate) struct Run {
    /// The signal of the whole program.
    pub(crate) stop: Stop,
    pub(crate) ready: watch::Sender<bool>,
    /// Told of every change of the state that somebody may wait for.
    pub(crate) changed: Notify,
    plan: OnceLock<Plan>,
    reason: OnceLock<Reason>,
    state: Mutex<State>,
}

impl Run {
    pub(crate) fn new() -> Self {
        Self {
            stop: Stop::new(),
            ready: watch::Sender::new(false),
            changed: Notify::new(),
            plan: OnceLock::new(),
            reason: OnceLock::new(),
            state: Mutex::new(State::new()),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What holds for the stop; the defaults before the run has begun.
    pub(crate) fn plan(&self) -> Plan {
        self.plan.get().copied().unwrap_or_default()
    }

    pub(crate) fn set_plan(&self, plan: Plan) {
        // A run begins once.
        let _ = self.plan.set(plan);
    }

    pub(crate) fn reason(&self) -> Option<&Reason> {
        self.reason.get()
    }

    /// Why it stops, in words.
    pub(crate) fn why(&self) -> String {
        self.stop.reason().unwrap_or("the program stops").to_owned()
    }

    /// Asks the program to stop; the first reason stays.
    pub(crate) fn drain(&self, reason: Reason) {
        if !self.stop.is_draining() {
            let words = reason.to_string();
            // Of two at the same time one is first.
            let _ = self.reason.set(reason);
            self.stop.drain(words);
        }
    }

    /// Takes a task or a clean-up in, and starts it if it is due; gives it back when its phase is too far.
    pub(crate) fn add<F>(
        self: &Arc<Self>,
        given: Given,
        work: F,
        start: fn(F) -> Start,
    ) -> Result<(), Closed<F>> {
        let mut state = self.state();
        let Some(index) = state.enter(given) else { return Err(Closed(work)) };
        state.entries[index].start = Some(start(work));
        let due = state.is_due(index);
        drop(state);
        if due {
            self.launch(index);
        }
        self.changed.notify_waiters();
        Ok(())
    }

    /// Lets the tasks run, and those that are still to come.
    pub(crate) fn begin(self: &Arc<Self>, group: Group) {
        let mut state = self.state();
        state.group = Some(group);
        let due: Vec<_> = (0..state.entries.len()).filter(|index| state.is_due(*index)).collect();
        drop(state);
        due.into_iter().for_each(|index| self.launch(index));
        self.ready.send_replace(!self.stop.is_draining());
    }

    pub(crate) fn launch(self: &Arc<Self>, index: usize) {
        let mut state = self.state();
        let Some(group) = state.group.clone() else { return };
        let entry = &mut state.entries[index];
        let Some(start) = entry.start.take() else { return };
        entry.started = Instant::now();
        let (stop, name, asked) = (entry.stop.clone(), entry.given.name.clone(), entry.asked);
        let busy = entry.busy.clone();
        // A clean-up begins when it is its turn.
        entry.asked |= entry.given.kind == Kind::CleanUp;
        drop(state);
        if asked {
            stop.drain(self.why());
        }
        group.task(name).spawn(Running::new(start, stop, index, Arc::clone(self), busy));
    }

    /// A signal has reached a task: if it has come from the task itself, it is meant for the program.
    pub(crate) fn heard(&self, index: usize) {
        let mut state = self.state();
        let entry = &mut state.entries[index];
        if entry.cut {
            return;
        }
        let (asked, stop) = (entry.asked, entry.stop.clone());
        entry.asked = true;
        entry.cut = stop.is_aborting();
        drop(state);
        let why = || stop.reason().unwrap_or_default().to_owned();
        if !asked {
            self.stop.drain(why());
        }
        if stop.is_aborting() {
            self.stop.abort(why());
        }
    }

    /// Takes down how a task or a clean-up ended. If it failed, or was vital, the program is asked to stop.
    pub(crate) fn ended(&self, index: usize, outcome: Outcome) {
        let mut state = self.state();
        let Entry { given, vital, asked, .. } = &state.entries[index];
        let reason = match &outcome {
            Outcome::Failed(_) | Outcome::Panicked(_) => Some(Reason::Failed(given.name.clone())),
            Outcome::Finished if *vital && !asked => Some(Reason::Vital(given.name.clone())),
            _ => None,
        };
        let outcome = if *asked || !matches!(outcome, Outcome::Aborted) { outcome } else { Outcome::Unasked };
        state.ended(index, outcome);
        drop(state);
        if let Some(reason) = reason {
            self.drain(reason);
        }
        self.changed.notify_waiters();
    }

    /// Asks the tasks that are wanted to drain, and gives those that are alive. What a task has left behind may
    /// still listen to its signal.
    pub(crate) fn ask(&self, which: impl Fn(&Entry) -> bool) -> Vec<usize> {
        let mut state = self.state();
        let (mut asked, mut stops) = (Vec::new(), Vec::new());
        for (index, entry) in state.entries.iter_mut().enumerate() {
            if entry.given.kind == Kind::Task && which(entry) {
                stops.push(entry.stop.clone());
                if entry.ended.is_none() {
                    entry.asked = true;
                    asked.push(index);
                }
            }
        }
        drop(state);
        stops.iter().for_each(|stop| stop.drain(self.why()));
        asked
    }

    /// Aborts those that are wanted; what has not begun does not begin any more.
    pub(crate) fn cut(&self, which: impl Fn(usize, &Entry) -> bool) {
        let mut state = self.state();
        let (mut stops, mut unbegun) = (Vec::new(), Vec::new());
        for (index, entry) in state.entries.iter_mut().enumerate() {
            if which(index, entry) {
                entry.cut = true;
                stops.push(entry.stop.clone());
                if let Some(start) = entry.start.take() {
                    entry.started = Instant::now();
                    unbegun.push((index, start));
                }
            }
        }
        drop(state);
        for (index, start) in unbegun {
            let outcome = Panic::catch(|| drop(start)).map_or_else(Outcome::Panicked, |()| Outcome::Aborted);
            self.ended(index, outcome);
        }
        stops.iter().for_each(|stop| stop.abort(self.why()));
    }

    pub(crate) fn hold(&self, held: Held) -> usize {
        let (key, first) = self.state().hold(held);
        if first {
            self.changed.notify_waiters();
        }
        key
    }

    pub(crate) fn release(&self, key: usize) {
        let last = self.state().release(key);
        if last {
            self.changed.notify_waiters();
        }
    }

    /// Ends when the tasks have to be aborted, be it that the grace period is over.
    pub(crate) async fn must_abort(&self) {
        self.stop.draining().await;
        if timeout(self.plan().grace, self.stop.aborting()).await.is_err() {
            // This wakes who waits for it: what panics there must not keep the process alive.
            drop(Panic::catch(|| self.stop.abort("the grace period is over")));
        }
    }

    /// What became of everything, once all has ended.
    pub(crate) fn report(&self) -> Report {
        let reason = match self.reason.get() {
            Some(reason) => reason.clone(),
            None if self.stop.is_draining() => {
                Reason::Stopped(self.stop.reason().unwrap_or_default().to_owned().into())
            }
            None => Reason::Ended,
        };
        let mut state = self.state();
        let ended = mem::take(&mut state.entries);
        let left = mem::take(&mut state.left);
        let tasks = ended.into_iter().map(|entry| {
            let (outcome, after) = entry.ended.unwrap_or_else(|| (Outcome::Aborted, entry.started.elapsed()));
            state.report(entry.given, outcome, after)
        });
        let tasks: Vec<_> = tasks.chain(left).collect();
        let aborted = tasks.iter().filter(|task| matches!(task.outcome, Outcome::Aborted));
        state.aborted = aborted.map(ToString::to_string).collect();
        Report { reason, tasks }
    }
}

/// Ends a run when it is dropped: nothing can be brought into it any more.
pub(crate) struct Ending(pub(crate) Arc<Run>);

impl Drop for Ending {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.close_all();
        let group = state.group.take();
        drop(state);
        drop(group);
        self.0.cut(|_, _| true);
        self.0.ready.send_replace(false);
    }
}
