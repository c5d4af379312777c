//! The books of a run: who is in it, and how far its stop has come.

use std::borrow::Cow;
use std::iter::once;
use std::panic::Location;
use std::time::Duration;

use evenkeel_task::{Group, Stop};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::deadlines::Plan;
use crate::escalation::Ladder;
use crate::guard::Held;
use crate::task::{Busy, Start};
use crate::{Kind, Outcome, TaskReport};

/// All that a run knows. No code that is not ours runs while it is locked: no waker, closure or destructor.
pub(crate) struct State {
    pub(crate) entries: Vec<Entry>,
    pub(crate) phases: Vec<Phase>,
    pub(crate) guards: Vec<Option<Held>>,
    /// The places in `guards` that are free.
    pub(crate) vacant: Vec<usize>,
    /// The guards that were held when nobody waited for them any more.
    pub(crate) left: Vec<TaskReport>,
    /// What had to be aborted, in words, once it has been reported: `main` may never print the report.
    pub(crate) aborted: Vec<String>,
    /// There while the run goes on.
    pub(crate) group: Option<Group>,
    pub(crate) plan: Plan,
    pub(crate) ladder: Ladder,
    /// Whether signals end the process in the end.
    pub(crate) is_system: bool,
    pub(crate) has_begun: bool,
    /// Whether a signal came before it began.
    pub(crate) is_early: bool,
    pub(crate) is_over: bool,
    /// Whether it is over, and nobody asked the program to stop.
    pub(crate) ended_by_itself: bool,
    is_ready: bool,
    /// A channel for each who asked, so that they are not told by one another's wakers.
    readiness: Vec<watch::Sender<bool>>,
}

/// A task or a clean-up.
pub(crate) struct Entry {
    pub(crate) given: Given,
    pub(crate) vital: bool,
    pub(crate) stop: Stop,
    /// Whether it is its turn to stop.
    pub(crate) asked: bool,
    /// Whether the run has aborted it, or knows that it did so itself.
    pub(crate) cut: bool,
    /// There until it is started.
    pub(crate) start: Option<Start>,
    pub(crate) busy: Busy,
    pub(crate) started: Instant,
    pub(crate) ended: Option<(Outcome, Duration)>,
}

/// What something is called, and where and for which phase it was given.
#[derive(Clone)]
pub(crate) struct Given {
    pub(crate) kind: Kind,
    pub(crate) name: Cow<'static, str>,
    pub(crate) place: &'static Location<'static>,
    pub(crate) phase: usize,
}

impl Given {
    /// What it is, and became.
    pub(crate) fn report(
        self,
        phase: Option<Cow<'static, str>>,
        outcome: Outcome,
        after: Duration,
    ) -> TaskReport {
        let Self { kind, name, place, phase: _ } = self;
        TaskReport { kind, name, phase, place, after, outcome }
    }
}

/// What stops at the same time.
#[derive(Default)]
pub(crate) struct Phase {
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) reserve: Option<Duration>,
    /// Whether there is a handle that may bring tasks and guards into it.
    pub(crate) open: bool,
    pub(crate) step: Step,
    /// Those that have not ended.
    pub(crate) tasks: usize,
    pub(crate) clean_ups: usize,
    pub(crate) guards: usize,
}

/// How far the stop of a phase has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    #[default]
    Up,
    Draining,
    Cleaning,
    Over,
}

impl Step {
    pub(crate) fn next(self) -> Self {
        match self {
            Self::Up => Self::Draining,
            Self::Draining => Self::Cleaning,
            Self::Cleaning | Self::Over => Self::Over,
        }
    }
}

impl Phase {
    /// How many tasks or clean-ups have not ended.
    pub(crate) fn alive(&self, kind: Kind) -> usize {
        if kind == Kind::CleanUp { self.clean_ups } else { self.tasks }
    }

    /// Goes on to the next step if nothing is left for this one, so that nothing comes in between.
    pub(crate) fn pass(&mut self, step: Step) -> bool {
        let left = if step == Step::Draining { self.tasks + self.guards } else { self.clean_ups };
        if left == 0 {
            self.step = step.next();
        }
        left == 0
    }
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            entries: Vec::new(),
            phases: vec![Phase::default()],
            guards: Vec::new(),
            vacant: Vec::new(),
            left: Vec::new(),
            aborted: Vec::new(),
            group: None,
            plan: Plan::default(),
            ladder: Ladder::new(),
            is_system: false,
            has_begun: false,
            is_early: false,
            is_over: false,
            ended_by_itself: false,
            is_ready: false,
            readiness: Vec::new(),
        }
    }

    pub(crate) fn readiness(&mut self) -> watch::Receiver<bool> {
        if self.readiness.len() == self.readiness.capacity() {
            self.readiness.retain(|sender| !sender.is_closed());
        }
        let (sender, receiver) = watch::channel(self.is_ready);
        self.readiness.push(sender);
        receiver
    }

    /// Takes down whether it is ready, and gives the channels in which that is to be told.
    pub(crate) fn ready(&mut self, is_ready: bool) -> Vec<watch::Sender<bool>> {
        self.is_ready = is_ready;
        self.readiness.clone()
    }

    /// How many tasks have not ended, in all phases.
    pub(crate) fn tasks(&self) -> usize {
        self.phases.iter().map(|phase| phase.tasks).sum()
    }

    /// The clean-ups of a phase.
    pub(crate) fn clean_ups(&self, phase: usize) -> Vec<usize> {
        let of_phase = |given: &Given| given.kind == Kind::CleanUp && given.phase == phase;
        (0..self.entries.len()).filter(|index| of_phase(&self.entries[*index].given)).collect()
    }

    /// Lets nothing more in if nothing is left.
    pub(crate) fn close_if_empty(&mut self) -> bool {
        let empty = self.phases.iter().all(|phase| phase.tasks + phase.guards + phase.clean_ups == 0);
        if empty {
            self.close_all();
        }
        empty
    }

    pub(crate) fn close_all(&mut self) {
        (0..self.phases.len()).for_each(|phase| self.close(phase, Step::Over));
    }

    /// Takes a phase to a step at which nobody waits for its guards any more, and takes down those that are held.
    pub(crate) fn close(&mut self, phase: usize, step: Step) {
        if self.phases[phase].step < Step::Cleaning {
            self.leave_guards(phase);
        }
        self.phases[phase].step = step;
    }

    /// Takes something in, and gives its index; no clean-up when its phase is over, no task after its drain.
    pub(crate) fn enter(&mut self, given: Given) -> Option<usize> {
        let phase = &mut self.phases[given.phase];
        let (closes, count) = match given.kind {
            Kind::CleanUp => (Step::Over, &mut phase.clean_ups),
            _ => (Step::Cleaning, &mut phase.tasks),
        };
        if phase.step >= closes {
            return None;
        }
        *count += 1;
        let (stop, started) = (Stop::new(), Instant::now());
        let asked = phase.step > Step::Up && given.kind == Kind::Task;
        self.entries.push(Entry {
            given,
            vital: false,
            stop,
            asked,
            cut: false,
            start: None,
            busy: Busy::default(),
            started,
            ended: None,
        });
        Some(self.entries.len() - 1)
    }

    /// Whether it is time to start this one.
    pub(crate) fn is_due(&self, index: usize) -> bool {
        let given = &self.entries[index].given;
        match given.kind {
            Kind::CleanUp => self.phases[given.phase].step == Step::Cleaning,
            _ => self.group.is_some(),
        }
    }

    /// Takes down how something ended.
    pub(crate) fn ended(&mut self, index: usize, outcome: Outcome) {
        let entry = &mut self.entries[index];
        entry.ended = Some((outcome, entry.started.elapsed()));
        let phase = &mut self.phases[entry.given.phase];
        match entry.given.kind {
            Kind::CleanUp => phase.clean_ups -= 1,
            _ => phase.tasks -= 1,
        }
    }

    fn report(&self, given: Given, outcome: Outcome, after: Duration) -> TaskReport {
        let phase = self.phases[given.phase].name.clone();
        given.report(phase, outcome, after)
    }

    /// Keeps a guard: its key, and whether it is the first one of its phase.
    pub(crate) fn hold(&mut self, held: Held) -> (usize, bool) {
        let guards = &mut self.phases[held.given.phase].guards;
        *guards += 1;
        let first = *guards == 1;
        let key = self.vacant.pop().unwrap_or_else(|| {
            self.guards.push(None);
            self.guards.len() - 1
        });
        self.guards[key] = Some(held);
        (key, first)
    }

    /// Lets a guard go, and says whether it was the last one of its phase.
    pub(crate) fn release(&mut self, key: usize) -> bool {
        let Some(held) = self.guards[key].take() else { return false };
        self.vacant.push(key);
        let guards = &mut self.phases[held.given.phase].guards;
        *guards -= 1;
        *guards == 0
    }

    /// What runs and what is held.
    pub(crate) fn live(&self) -> Vec<TaskReport> {
        self.running().map(|(_, task)| task).chain(self.held()).collect()
    }

    fn running(&self) -> impl Iterator<Item = (&Entry, TaskReport)> {
        let running = self.entries.iter().filter(|entry| entry.ended.is_none() && entry.start.is_none());
        running.map(|entry| {
            let task = self.report(entry.given.clone(), Outcome::Running, entry.started.elapsed());
            (entry, task)
        })
    }

    fn held(&self) -> impl Iterator<Item = TaskReport> {
        let held = self.guards.iter().flatten();
        held.map(|held| self.report(held.given.clone(), Outcome::Held, held.since.elapsed()))
    }

    /// Why the process does not end: what runs, what is held, and what had to be aborted before.
    pub(crate) fn last_words(&self) -> String {
        let running: Vec<_> = self
            .running()
            .map(|(entry, task)| match entry.busy.is_set() {
                true => format!("{task}, and keeps its thread"),
                false => task.to_string(),
            })
            .collect();
        let why = match running[..] {
            [] if !self.has_begun => {
                "asked to stop before the run, which has not begun: main is still starting up"
            }
            [] => {
                "all tasks ended, but not the process: a blocking call is still running, or main is \
                 (Shutdown::disarm lets it go on)"
            }
            _ => "the tasks were aborted, but not all of them ended",
        };
        let held = self.held().map(|guard| guard.to_string());
        let lines = running.into_iter().chain(held).chain(self.aborted.iter().cloned());
        once(why.to_owned()).chain(lines).collect::<Vec<_>>().join("\n  ")
    }

    fn leave_guards(&mut self, phase: usize) {
        let outcome = || if self.phases[phase].step > Step::Up { Outcome::Held } else { Outcome::NotReached };
        let of_phase = self.guards.iter().flatten().filter(|held| held.given.phase == phase);
        let left: Vec<_> =
            of_phase.map(|held| self.report(held.given.clone(), outcome(), held.since.elapsed())).collect();
        self.left.extend(left);
    }
}

#[cfg(test)]
mod tests {
    use super::State;

    #[test]
    fn channels_that_nobody_reads_are_not_kept() {
        let mut state = State::new();
        let kept: Vec<_> = (0..10).map(|_| state.readiness()).collect();
        (0..10_000).for_each(|_| drop(state.readiness()));
        assert!(state.readiness.len() < 100);
        assert!(state.ready(true).len() >= kept.len());
        assert!(kept.iter().all(|ready| ready.has_changed().is_ok()));
    }
}
