//! A program whose tasks are futures in its own: dropping it drops them.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    process::{abort, exit},
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use evenkeel_tck::shutdown::{FailureKind, Outcome, Parts, ReportedFailure, Settings, Task};
use tokio::{
    runtime::Builder,
    signal::ctrl_c,
    time::{Instant, timeout_at},
};

use super::{
    Fault,
    task::{ProgramTask, SpawnQueue, TaskKind},
};
use crate::faulty::inline_task::Failed;

pub(super) struct RunningProgram {
    fault: Fault,
    settings: Settings,
    start: Instant,
    spawned: SpawnQueue,
    tasks: Vec<ProgramTask>,
    clean_ups: Vec<Task>,
    not_ready: Box<dyn Fn() + Send>,
    /// The reason of the stop, once it stops.
    stop: Option<&'static str>,
    outcome: Outcome,
    ended: usize,
    /// The next signal of the process, and how many have come.
    signal: Option<Signal>,
    signals: u32,
    /// When the last one counted.
    counted: Option<Instant>,
}

type Signal = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// The time after a signal in which another one is a copy of it.
const WINDOW: Duration = Duration::from_millis(200);

/// The end of a wait.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WaitEnd {
    Done,
    Overdue,
    Again,
}

impl RunningProgram {
    pub(super) async fn run(fault: Fault, settings: Settings, parts: Parts) -> Outcome {
        let start_up = parts.start_up();
        let mut program = Self {
            fault,
            start: Instant::now(),
            settings,
            spawned: SpawnQueue::default(),
            tasks: Vec::new(),
            not_ready: Box::new(parts.readiness_probe()),
            clean_ups: parts.clean_ups,
            stop: None,
            outcome: Outcome::default(),
            ended: 0,
            signal: None,
            signals: 0,
            counted: None,
        };
        if fault != Fault::IsDeafUntilItRuns {
            program.listen();
        }
        start_up.await;
        if fault == Fault::IsDeafUntilItRuns {
            program.listen();
        }
        parts.tasks.into_iter().for_each(|task| program.enter(task, TaskKind::Task, 0));
        program.tasks.extend(parts.guards.into_iter().map(ProgramTask::guard));
        program.run_until_stop().await;
        program.stop_phases().await;
        if fault == Fault::EndsTheProcessWithACopy {
            end_with_a_signal();
        }
        let is_clean = program.outcome.failures.is_empty() || fault == Fault::ExitsWithZero;
        std::mem::take(&mut program.outcome).exiting(u8::from(!is_clean))
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn listen(&mut self) {
        static LISTENED: AtomicBool = AtomicBool::new(false);
        let is_late = LISTENED.swap(true, SeqCst) && self.is(Fault::ListensOnce);
        if self.settings.signals && !is_late && !self.is(Fault::IsKilledByASignal) {
            let mut signal: Signal = Box::pin(ctrl_c());
            // The handler is registered from here on.
            let _ = signal.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            self.signal = Some(signal);
        }
    }

    fn enter(&mut self, task: Task, kind: TaskKind, phase: usize) {
        self.tasks.push(ProgramTask::new(self.fault, task, kind, phase, self.spawned.clone()));
    }

    /// Runs until the stop.
    async fn run_until_stop(&mut self) {
        let at = |after: Option<Duration>| after.map(|after| self.start + after);
        let (stop, alone) = (at(self.settings.stop_after), at(self.settings.alone_after));
        if alone.is_some() {
            self.wait(alone, |_| false).await;
            let all = self.is(Fault::StopsAllForOne);
            self.ask("a part is replaced", |task| all || task.future.name == "task 1");
        }
        let over = |program: &Self| {
            program.stop.is_some() || program.is_over() && !program.is(Fault::WaitsForTheStop)
        };
        if self.wait(stop, over).await == WaitEnd::Overdue {
            self.stop = Some("somebody asked for it");
        }
    }

    /// Whether all tasks have ended.
    fn is_over(&self) -> bool {
        let tasks = self.tasks.iter().filter(|task| task.is_task()).count();
        tasks == 0 && (self.ended > 0 || !self.is(Fault::WaitsForATask))
    }

    /// Runs the phases from the stop to the end.
    async fn stop_phases(&mut self) {
        let since = if self.is(Fault::CountsTheGraceFromTheStart) { self.start } else { Instant::now() };
        let grace = match self.settings.grace {
            _ if self.is(Fault::HasNoGrace) => Duration::from_secs(365 * 24 * 3600),
            grace => grace.unwrap_or(Duration::from_secs(10)),
        };
        self.pre_stop().await;
        if self.is(Fault::CleansUpAtOnce) {
            self.begin_clean_ups();
        }
        let phases = 1 + self.tasks.iter().map(|task| task.phase).max().unwrap_or_default();
        let mut hung = false;
        for phase in 0..phases {
            let reserve = if self.is(Fault::HasOneGraceForAll) { Duration::ZERO } else { grace / 10 };
            let steps_after = phases - phase - 1 + usize::from(!self.clean_ups.is_empty());
            if self.phase(phase, since + grace - reserve * steps_after as u32).await == WaitEnd::Again {
                return self.abort_tasks(Fault::LeavesWhatASecondStopCuts, |_| true);
            }
            let hangs = |task: &ProgramTask| task.is_task() && task.phase == phase;
            hung |= self.tasks.iter().any(hangs);
            self.abort_tasks(Fault::LeavesWhatHangs, hangs);
        }
        if !(hung && self.is(Fault::SkipsCleanUpsAfterAHang)) {
            self.begin_clean_ups();
            let cleaned = |program: &Self| {
                let fails = program.is(Fault::EndsWithAFailedCleanUp) && !program.outcome.failures.is_empty();
                fails || program.tasks.iter().all(|task| task.kind != TaskKind::CleanUp)
            };
            self.wait(Some(since + grace), cleaned).await;
        }
        self.abort_tasks(Fault::LeavesWhatHangs, |_| true);
    }

    async fn pre_stop(&mut self) {
        if !self.is(Fault::IsReadyDuringTheDelay) {
            (self.not_ready)();
        }
        if let Some(delay) = self.settings.pre_stop.filter(|_| !self.is(Fault::HasNoDelay)) {
            self.wait(Some(Instant::now() + delay), Self::is_over).await;
        }
        if self.is(Fault::IsReadyDuringTheDelay) {
            (self.not_ready)();
        }
    }

    async fn phase(&mut self, phase: usize, until: Instant) -> WaitEnd {
        let reason = if self.is(Fault::HasNoReason) { "" } else { self.stop.unwrap_or("all have ended") };
        while let (Fault::AsksInTurn, Some(first)) = (self.fault, self.tasks.first()) {
            let first = first.future.name.clone();
            self.ask(reason, |task| task.future.name == first);
            self.wait(Some(until), |program| program.tasks.iter().all(|task| task.future.name != first))
                .await;
        }
        let all = self.is(Fault::HasOnePhase);
        self.ask(reason, |task| all || task.phase == phase);
        let before = self.ended;
        let ended = |program: &Self| {
            let first = program.is(Fault::EndsWithTheFirst) && program.ended > before;
            let none_yet = program.is(Fault::WaitsForATask) && program.ended == 0;
            first || !none_yet && !program.tasks.iter().any(|task| program.is_awaited(task, phase))
        };
        self.wait(Some(until), ended).await
    }

    fn begin_clean_ups(&mut self) {
        std::mem::take(&mut self.clean_ups)
            .into_iter()
            .for_each(|task| self.enter(task, TaskKind::CleanUp, 0));
    }

    fn is_awaited(&self, task: &ProgramTask, phase: usize) -> bool {
        let ignored = match task.kind {
            TaskKind::Guard => self.is(Fault::IgnoresGuards),
            TaskKind::CleanUp => true,
            TaskKind::Task => self.is(Fault::DoesNotWaitForWhoIsLate) && task.future.name == "task 2",
        };
        task.phase == phase && !ignored
    }

    fn ask(&self, reason: &str, which: impl Fn(&ProgramTask) -> bool) {
        let wanted = self.tasks.iter().filter(|task| task.is_task() && which(task));
        wanted.for_each(|task| task.ask(reason));
    }

    /// Drives everything until it is done, the time is over, or another stop comes.
    async fn wait(&mut self, until: Option<Instant>, done: impl Fn(&Self) -> bool) -> WaitEnd {
        let again = self.settings.again_after.map(|after| self.start + after);
        let again = again.filter(|again| *again > Instant::now() && self.stop.is_some());
        let again = again.filter(|_| !self.is(Fault::HearsOneStop));
        let has_guard = self.tasks.iter().any(|task| task.kind == TaskKind::Guard);
        let until = until.filter(|_| !(self.is(Fault::WaitsForGuards) && has_guard && self.stop.is_some()));
        let driven = poll_fn(|cx| self.poll(cx, &done));
        match until.into_iter().chain(again).min() {
            Some(at) => match timeout_at(at, driven).await {
                Ok(()) if self.is_stopped_again() => WaitEnd::Again,
                Ok(()) => WaitEnd::Done,
                Err(_) if again == Some(at) => WaitEnd::Again,
                Err(_) => WaitEnd::Overdue,
            },
            None => {
                driven.await;
                WaitEnd::Done
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, done: impl Fn(&Self) -> bool) -> Poll<()> {
        loop {
            let mut moved = false;
            if self.signal.as_mut().is_some_and(|signal| signal.as_mut().poll(cx).is_ready()) {
                let is_copy = self.counted.is_some_and(|counted| counted.elapsed() < WINDOW);
                if !is_copy || self.is(Fault::TakesACopyForASecond) {
                    self.counted = Some(Instant::now());
                    self.signals += 1;
                }
                self.signal = None;
                self.stop.get_or_insert("a signal came");
                self.listen();
                moved = true;
            }
            let mut index = 0;
            while let Some(task) = self.tasks.get_mut(index) {
                let Poll::Ready(ended) = task.future.poll(cx) else {
                    index += 1;
                    continue;
                };
                moved = true;
                let task = self.tasks.remove(index);
                self.ended(&task, ended);
            }
            let late = self.spawned.take(cx.waker());
            moved |= !late.is_empty();
            for (task, phase) in late {
                self.enter(task, TaskKind::Task, phase);
                if let (Some(reason), false) = (self.stop, self.is(Fault::DoesNotAskWhoIsLate)) {
                    self.tasks[self.tasks.len() - 1].ask(reason);
                }
            }
            if done(self) || self.is_stopped_again() {
                return Poll::Ready(());
            }
            if !moved {
                return Poll::Pending;
            }
        }
    }

    /// Whether a second signal has come.
    fn is_stopped_again(&self) -> bool {
        self.signals > 1 && !self.is(Fault::HearsOneSignal)
    }

    fn ended(&mut self, task: &ProgramTask, ended: Result<(), Failed>) {
        self.ended += usize::from(task.is_task());
        let (name, is_late) = (&task.future.name, self.stop.is_some());
        let stops = match ended {
            Ok(()) => task.is_vital && !self.is(Fault::KnowsNothingVital) || self.is(Fault::StopsWithAnyTask),
            Err(Failed::Error(_)) => {
                let swallowed =
                    self.is(Fault::KeepsErrorsToItself) || is_late && self.is(Fault::SwallowsLateErrors);
                self.tell(FailureKind::Error, name, swallowed);
                !self.is(Fault::GoesOnAfterAnError)
            }
            Err(Failed::Panic(_)) => {
                if self.is(Fault::AbortsOnPanics) {
                    abort();
                }
                let swallowed =
                    self.is(Fault::SwallowsPanics) || is_late && self.is(Fault::SwallowsLatePanics);
                self.tell(FailureKind::Panic, name, swallowed);
                if is_late && self.is(Fault::CutsTheOthersShort) {
                    self.tasks.clear();
                }
                !self.is(Fault::GoesOnAfterAPanic)
            }
        };
        if stops && self.stop.is_none() {
            self.stop = Some("a task ended");
        }
        if self.is(Fault::BlamesEverybody) {
            self.tell(FailureKind::Hung, name, false);
        }
    }

    fn tell(&mut self, kind: FailureKind, name: &str, is_swallowed: bool) {
        if !is_swallowed {
            self.outcome.failures.push(ReportedFailure::named(kind, name));
        }
    }

    /// Aborts the remaining tasks that `which` selects.
    fn abort_tasks(&mut self, leaves: Fault, which: impl Fn(&ProgramTask) -> bool) {
        for mut task in self.tasks.extract_if(.., |task| which(task)).collect::<Vec<_>>() {
            let name = task.future.name.clone();
            self.tell(FailureKind::Hung, &name, self.is(Fault::BlamesNobody));
            if self.is(leaves) {
                task.future.detach();
            } else if task.future.drop_now().is_err() {
                self.tell(FailureKind::Panic, &name, self.is(Fault::SwallowsSorePanics));
            }
        }
    }
}

fn end_with_a_signal() {
    thread::spawn(|| {
        let runtime = Builder::new_current_thread().enable_all().build().expect("there is a thread, too");
        let _ = runtime.block_on(ctrl_c());
        exit(130);
    });
}

impl Drop for RunningProgram {
    fn drop(&mut self) {
        if self.is(Fault::DetachesWhenDropped) {
            self.tasks.drain(..).for_each(|task| task.future.detach());
        }
    }
}
