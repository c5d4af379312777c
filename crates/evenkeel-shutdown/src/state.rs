//! The state of a run: its tasks, phases and guards, and the progress of its stop.

use std::{borrow::Cow, iter::once, panic::Location, time::Duration};

use evenkeel_base::Slab;
#[cfg(feature = "inspect")]
use evenkeel_inspect::TaskId;
use evenkeel_task::{Group, Stop};
use tokio::{sync::watch, time::Instant};

use crate::{
    Kind, Outcome, TaskReport,
    deadlines::Deadlines,
    escalation::Escalation,
    phase::{Phase, PhaseStep},
    work::{PollFlag, Start},
};

/// The data of a run behind its lock. No foreign code runs under that lock: no waker, closure or destructor.
///
/// The counts of a phase always equal the number of its tasks and clean-ups without an end, and of its guards that
/// are held: both change in the same critical section.
#[derive(Default)]
pub(crate) struct State {
    /// Tasks and clean-ups; an index stays valid until the report takes them.
    pub(crate) tasks: Vec<Task>,
    pub(crate) phases: Vec<Phase>,
    pub(crate) guards: Slab<HeldGuard>,
    /// Guards that were still held when their phase stopped waiting for them.
    pub(crate) left_guards: Vec<TaskReport>,
    /// Aborted tasks in words, kept after the report for the watchdog: `main` may never print the report.
    pub(crate) aborted: Vec<String>,
    /// `Some` while the run goes on.
    pub(crate) group: Option<Group>,
    pub(crate) deadlines: Deadlines,
    pub(crate) escalation: Escalation,
    /// Whether the run is connected with the signals and a watchdog of the process, and may end it.
    pub(crate) ends_process: bool,
    pub(crate) has_begun: bool,
    /// Whether a signal came before the run began.
    pub(crate) stopped_before_begin: bool,
    pub(crate) is_over: bool,
    /// Whether the run is over and nobody had asked the program to stop.
    pub(crate) ended_by_itself: bool,
    // The number of guards so far.
    #[cfg(feature = "inspect")]
    guard_numbers: u64,
    is_ready: bool,
    /// One channel for each receiver: within one channel a waker that panics keeps the others from being woken.
    readiness: Vec<watch::Sender<bool>>,
}

/// A task or a clean-up.
pub(crate) struct Task {
    pub(crate) registration: Registration,
    pub(crate) vital: bool,
    pub(crate) stop: Stop,
    /// Whether its turn to stop has come: the drain was sent to it or, for a clean-up, it was started.
    pub(crate) drain_sent: bool,
    /// Whether the run has aborted it, or knows that it aborted itself.
    pub(crate) abort_sent: bool,
    /// `Some` until it is started. The one that takes it, under the lock, either starts or drops it.
    pub(crate) start: Option<Start>,
    pub(crate) polling: PollFlag,
    pub(crate) started: Instant,
    pub(crate) ended: Option<(Outcome, Duration)>,
}

/// A guard that is held.
pub(crate) struct HeldGuard {
    pub(crate) registration: Registration,
    pub(crate) since: Instant,
    /// The number of the guard, which the state gives it.
    #[cfg(feature = "inspect")]
    pub(crate) number: u64,
    /// The task that took it.
    #[cfg(feature = "inspect")]
    pub(crate) task: TaskId,
}

/// The name of a task, clean-up or guard, its place in the source, and its phase.
#[derive(Clone)]
pub(crate) struct Registration {
    pub(crate) kind: Kind,
    pub(crate) name: Cow<'static, str>,
    pub(crate) place: &'static Location<'static>,
    pub(crate) phase: usize,
}

impl Registration {
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

impl State {
    pub(crate) fn new() -> Self {
        Self { phases: vec![Phase::default()], ..Self::default() }
    }

    pub(crate) fn readiness(&mut self) -> watch::Receiver<bool> {
        // Before the list grows, the channels without a receiver make room.
        if self.readiness.len() == self.readiness.capacity() {
            self.readiness.retain(|sender| !sender.is_closed());
        }
        let (sender, receiver) = watch::channel(self.is_ready);
        self.readiness.push(sender);
        receiver
    }

    /// Records the readiness, and returns the channels to send it to once the lock is released.
    pub(crate) fn set_ready(&mut self, is_ready: bool) -> Vec<watch::Sender<bool>> {
        self.is_ready = is_ready;
        self.readiness.clone()
    }

    /// Counts the tasks of all phases that have not ended.
    pub(crate) fn unfinished_tasks(&self) -> usize {
        self.phases.iter().map(|phase| phase.tasks).sum()
    }

    /// Returns the indices of the clean-ups of a phase.
    pub(crate) fn clean_ups(&self, phase: usize) -> Vec<usize> {
        let of_phase = |of: &Registration| of.kind == Kind::CleanUp && of.phase == phase;
        (0..self.tasks.len()).filter(|index| of_phase(&self.tasks[*index].registration)).collect()
    }

    /// Ends all phases if nothing is left in any of them, and returns whether it did.
    pub(crate) fn close_if_empty(&mut self) -> bool {
        let empty = self.phases.iter().all(|phase| phase.tasks + phase.guards + phase.clean_ups == 0);
        if empty {
            self.close_all();
        }
        empty
    }

    pub(crate) fn close_all(&mut self) {
        (0..self.phases.len()).for_each(|phase| self.close(phase, PhaseStep::Ended));
    }

    /// Moves a phase to a step that waits for no guards, and reports the guards that are still held.
    pub(crate) fn close(&mut self, phase: usize, step: PhaseStep) {
        if self.phases[phase].step < PhaseStep::CleaningUp {
            self.leave_guards(phase);
        }
        self.phases[phase].step = step;
    }

    /// Registers a task or clean-up and returns its index, or `None` if its phase no longer accepts it.
    ///
    /// A phase accepts tasks until its drain is over, and clean-ups until it has ended.
    pub(crate) fn register(&mut self, registration: Registration) -> Option<usize> {
        let phase = &mut self.phases[registration.phase];
        let (closes, count) = match registration.kind {
            Kind::CleanUp => (PhaseStep::Ended, &mut phase.clean_ups),
            _ => (PhaseStep::CleaningUp, &mut phase.tasks),
        };
        if phase.step >= closes {
            return None;
        }
        *count += 1;
        let (stop, started) = (Stop::new(), Instant::now());
        let drain_sent = phase.step > PhaseStep::Running && registration.kind == Kind::Task;
        self.tasks.push(Task {
            registration,
            vital: false,
            stop,
            drain_sent,
            abort_sent: false,
            start: None,
            polling: PollFlag::default(),
            started,
            ended: None,
        });
        Some(self.tasks.len() - 1)
    }

    /// Returns whether a task or clean-up may be started now.
    pub(crate) fn is_due(&self, index: usize) -> bool {
        let registration = &self.tasks[index].registration;
        match registration.kind {
            Kind::CleanUp => self.phases[registration.phase].step == PhaseStep::CleaningUp,
            _ => self.group.is_some(),
        }
    }

    pub(crate) fn record_end(&mut self, index: usize, outcome: Outcome) {
        let task = &mut self.tasks[index];
        task.ended = Some((outcome, task.started.elapsed()));
        let phase = &mut self.phases[task.registration.phase];
        match task.registration.kind {
            Kind::CleanUp => phase.clean_ups -= 1,
            _ => phase.tasks -= 1,
        }
    }

    fn report(&self, registration: Registration, outcome: Outcome, after: Duration) -> TaskReport {
        let phase = self.phases[registration.phase].name.clone();
        registration.report(phase, outcome, after)
    }

    /// Adds a guard; returns its key, and whether it is the first one of its phase.
    pub(crate) fn add_guard(&mut self, guard: HeldGuard) -> (usize, bool) {
        #[cfg(feature = "inspect")]
        let guard = {
            self.guard_numbers += 1;
            HeldGuard { number: self.guard_numbers, ..guard }
        };
        let guards = &mut self.phases[guard.registration.phase].guards;
        *guards += 1;
        let first = *guards == 1;
        (self.guards.insert(guard), first)
    }

    /// Removes a guard, and returns whether it was the last one of its phase.
    pub(crate) fn remove_guard(&mut self, key: usize) -> bool {
        let Some(guard) = self.guards.remove(key) else { return false };
        let guards = &mut self.phases[guard.registration.phase].guards;
        *guards -= 1;
        *guards == 0
    }

    /// Reports everything that runs or is held.
    pub(crate) fn live(&self) -> Vec<TaskReport> {
        self.running().map(|(_, task)| task).chain(self.held()).collect()
    }

    fn running(&self) -> impl Iterator<Item = (&Task, TaskReport)> {
        let running = self.tasks.iter().filter(|task| task.ended.is_none() && task.start.is_none());
        running.map(|task| {
            let report = self.report(task.registration.clone(), Outcome::Running, task.started.elapsed());
            (task, report)
        })
    }

    fn held(&self) -> impl Iterator<Item = TaskReport> {
        let held = self.guards.iter();
        held.map(|guard| self.report(guard.registration.clone(), Outcome::Held, guard.since.elapsed()))
    }

    /// Says why the process does not end: what runs, what is held, and what had to be aborted before.
    pub(crate) fn final_report(&self) -> String {
        let running: Vec<_> = self
            .running()
            .map(|(task, report)| match task.polling.is_set() {
                true => format!("{report}, and keeps its thread"),
                false => report.to_string(),
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
        let is_reached = self.phases[phase].step > PhaseStep::Running;
        let outcome = || if is_reached { Outcome::Held } else { Outcome::NotReached };
        let of_phase = self.guards.iter().filter(|guard| guard.registration.phase == phase);
        let left: Vec<_> = of_phase
            .map(|guard| self.report(guard.registration.clone(), outcome(), guard.since.elapsed()))
            .collect();
        self.left_guards.extend(left);
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
        assert!(state.set_ready(true).len() >= kept.len());
        assert!(kept.iter().all(|ready| ready.has_changed().is_ok()));
    }
}
