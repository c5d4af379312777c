//! One run, shared by its tasks, its handles and the listener for signals.

use std::borrow::Cow;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use evenkeel_task::{Closed, Group, Panic, Stop, Stopping};
use tokio::time::Instant;

use crate::change_notify::Changed;
use crate::deadlines::Plan;
use crate::escalation::Effect;
use crate::guard::Held;
use crate::state::{Entry, Given, State};
use crate::task::{Running, Start};
use crate::{Kind, Outcome, Reason, Report};

pub(crate) struct Run {
    /// The signal of the whole program.
    pub(crate) stop: Stop,
    /// Told of every change of the state that somebody may wait for, and of the signal.
    pub(crate) changed: Arc<Changed>,
    reason: OnceLock<Reason>,
    /// When the program was asked to stop.
    asked: OnceLock<Instant>,
    state: Mutex<State>,
    // They stand before all others who wait for the signal: nobody's waker keeps the run from hearing it.
    _first: [Mutex<Pin<Box<Stopping>>>; 2],
}

impl Run {
    pub(crate) fn new() -> Self {
        let (stop, changed) = (Stop::new(), Arc::new(Changed::default()));
        let waker = Waker::from(changed.clone());
        let first = [stop.draining(), stop.aborting()].map(|signal| {
            let mut signal = Box::pin(signal);
            // Nobody has given it yet.
            let _ = signal.as_mut().poll(&mut Context::from_waker(&waker));
            Mutex::new(signal)
        });
        let (reason, asked, state) = (OnceLock::new(), OnceLock::new(), Mutex::new(State::new()));
        Self { stop, changed, reason, asked, state, _first: first }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What holds for the stop.
    pub(crate) fn plan(&self) -> Plan {
        self.state().plan
    }

    pub(crate) fn reason(&self) -> Option<&Reason> {
        self.reason.get()
    }

    /// When the program was asked to stop; now, if nobody has noticed before.
    pub(crate) fn asked_at(&self) -> Instant {
        *self.asked.get_or_init(Instant::now)
    }

    pub(crate) fn has_ended_by_itself(&self) -> bool {
        self.state().ended_by_itself
    }

    /// Whether the program should get new work.
    pub(crate) fn ready(&self, is_ready: bool) {
        let channels = self.state().ready(is_ready);
        // Who panics when told keeps nobody else from it.
        channels.iter().for_each(|channel| drop(Panic::catch(|| channel.send_replace(is_ready))));
    }

    /// Takes down that a signal came: what it does, and the window of this run. No waker is woken here.
    pub(crate) fn hear(&self, number: i32, now: Instant) -> (Effect, Duration) {
        let mut state = self.state();
        let effect = state.ladder.hear(number, now);
        if effect == Effect::Drain && !self.stop.is_draining() {
            state.is_early = !state.has_begun;
            let _ = self.reason.set(Reason::Signal(number));
            let _ = self.asked.set(now);
        }
        (effect, state.ladder.window)
    }

    /// Does what a signal asks for that has been taken down.
    pub(crate) fn obey(&self, number: i32, effect: Effect) {
        match effect {
            Effect::Drain => self.drain(Reason::Signal(number)),
            Effect::Abort => self.abort("the second signal came"),
            Effect::Nothing | Effect::End => {}
        }
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
            self.asked_at();
            give(|| self.stop.drain(words));
        }
    }

    pub(crate) fn abort(&self, why: impl Into<Cow<'static, str>>) {
        let why = why.into();
        give(|| self.stop.abort(why));
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
        self.changed.notify();
        Ok(())
    }

    /// Lets the tasks run, and those that are still to come.
    pub(crate) fn begin(self: &Arc<Self>, group: Group) {
        let mut state = self.state();
        state.group = Some(group);
        state.has_begun = true;
        let due: Vec<_> = (0..state.entries.len()).filter(|index| state.is_due(*index)).collect();
        drop(state);
        due.into_iter().for_each(|index| self.launch(index));
        self.ready(!self.stop.is_draining());
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
            give(|| stop.drain(self.why()));
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
            self.asked_at();
            give(|| self.stop.drain(why()));
        }
        if stop.is_aborting() {
            self.abort(why());
        }
    }

    /// Takes down how a task or a clean-up ended. If it failed, or was vital, the program is asked to stop.
    pub(crate) fn ended(&self, index: usize, outcome: Outcome) {
        let mut state = self.state();
        let Entry { given, vital, asked, .. } = &state.entries[index];
        let reason = match &outcome {
            Outcome::Failed(_) | Outcome::Panicked(_) => Some(Reason::Failed(given.name.clone())),
            Outcome::Finished if *vital && !asked => Some(Reason::VitalTaskEnded(given.name.clone())),
            _ => None,
        };
        let outcome =
            if *asked || !matches!(outcome, Outcome::Aborted) { outcome } else { Outcome::NotReached };
        state.ended(index, outcome);
        drop(state);
        if let Some(reason) = reason {
            self.drain(reason);
        }
        self.changed.notify();
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
        stops.iter().for_each(|stop| give(|| stop.drain(self.why())));
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
        stops.iter().for_each(|stop| give(|| stop.abort(self.why())));
    }

    pub(crate) fn hold(&self, held: Held) -> usize {
        let (key, first) = self.state().hold(held);
        if first {
            self.changed.notify();
        }
        key
    }

    pub(crate) fn release(&self, key: usize) {
        let last = self.state().release(key);
        if last {
            self.changed.notify();
        }
    }

    /// Ends when the tasks are aborted, or the grace period is over.
    pub(crate) async fn must_abort(&self) {
        self.wait(self.stop.draining(), |_| None, |_| false).await;
        let since = self.asked_at();
        let left = |state: &State| Some(state.plan.grace.saturating_sub(since.elapsed()));
        self.wait(self.stop.aborting(), left, |_| false).await;
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
        let signals = state.ladder.report();
        let (ended, left) = (mem::take(&mut state.entries), mem::take(&mut state.left));
        let phases: Vec<_> = state.phases.iter().map(|phase| phase.name.clone()).collect();
        drop(state);
        let tasks = ended.into_iter().map(|entry| {
            let (outcome, after) = entry.ended.unwrap_or_else(|| (Outcome::Aborted, entry.started.elapsed()));
            let phase = phases[entry.given.phase].clone();
            entry.given.report(phase, outcome, after)
        });
        let tasks: Vec<_> = tasks.chain(left).collect();
        let aborted = tasks.iter().filter(|task| matches!(task.outcome, Outcome::Aborted));
        let aborted = aborted.map(ToString::to_string).collect();
        self.state().aborted = aborted;
        Report { reason, tasks, signals }
    }
}

/// Gives a signal. Who panics when woken by it has had its say by the panic hook, and holds nothing up here.
fn give(signal: impl FnOnce()) {
    drop(Panic::catch(signal));
}

/// Ends a run when it is dropped: nothing can be brought into it any more.
pub(crate) struct Ending(pub(crate) Arc<Run>);

impl Drop for Ending {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.close_all();
        state.is_over = true;
        let group = state.group.take();
        drop(state);
        drop(group);
        self.0.cut(|_, _| true);
        self.0.ready(false);
    }
}
