//! A group whose tasks are futures in its own: dropping it drops them.

use std::{
    collections::VecDeque,
    future::poll_fn,
    panic::resume_unwind,
    process::abort,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use evenkeel_tck::task::{Body, FailureKind, FailureMode, Outcome, ReportedFailure, Settings, Task};
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Duration, Instant, sleep, sleep_until, timeout, timeout_at},
};

use super::Fault;
use crate::faulty::inline_task::{Failed, InlineTask};

/// The number of ended tasks after which the group yields.
const TURNS: usize = 128;

pub(super) struct RunningGroup {
    fault: Fault,
    settings: Settings,
    queue: SpawnQueue,
    drain: watch::Sender<Option<String>>,
    /// The body is one of them until it has ended; it has no name.
    tasks: Vec<RunningTask>,
    body_ended: bool,
    ended: usize,
    failed: bool,
    stopping: bool,
    outcome: Outcome,
    finished: usize,
    cancelled: usize,
}

struct RunningTask {
    future: InlineTask,
    shield: Option<Duration>,
    /// The body spawned it, not another task.
    is_first: bool,
}

/// Children that wait to be spawned, each with whether its parent is a task.
#[derive(Clone, Default)]
struct SpawnQueue(Arc<Mutex<QueueState>>);

#[derive(Default)]
struct QueueState {
    waiting: VecDeque<(Task, bool)>,
    closed: bool,
    waker: Option<Waker>,
}

impl SpawnQueue {
    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, fault: Fault, child: Task, from_task: bool) {
        if from_task && fault == Fault::ForgetsGrandchildren {
            tokio::spawn(child.alone());
            return;
        }
        let mut state = self.state();
        let (is_closed, waker) = (state.closed, state.waker.take());
        if !is_closed {
            state.waiting.push_back((child, from_task));
        } else if fault == Fault::RunsWhatIsLate {
            tokio::spawn(child.alone());
        }
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl RunningGroup {
    pub(super) async fn run(fault: Fault, settings: Settings, body: Body) -> Outcome {
        let start = Instant::now();
        let late = if fault == Fault::StopsLate { Duration::from_secs(1) } else { Duration::ZERO };
        let deaf = fault == Fault::IgnoresAStopWhileItCollects && settings.on_failure == FailureMode::GoOn;
        let stop = settings.stop_after.filter(|_| !deaf).map(|after| start + after + late);
        let deadline = settings.deadline.map(|after| start + after);
        let mut group = Self::new(fault, settings, body);

        let limits = [stop, deadline.filter(|_| fault != Fault::HasNoDeadline)];
        let in_time = match limits.into_iter().flatten().min() {
            Some(at) => timeout_at(at, poll_fn(|cx| group.poll(cx))).await.is_ok(),
            None => {
                poll_fn(|cx| group.poll(cx)).await;
                true
            }
        };
        if !in_time {
            let kind = if stop.is_some() { FailureKind::Stopped } else { FailureKind::Deadline };
            group.outcome.failures.push(ReportedFailure::new(kind));
        }
        group.stop(in_time).await;
        if let (Fault::WaitsForTheDeadline, Some(deadline)) = (fault, deadline) {
            sleep_until(deadline).await;
        }
        group.outcome()
    }

    fn new(fault: Fault, settings: Settings, body: Body) -> Self {
        let queue = SpawnQueue::default();
        let (late, first) = (queue.clone(), queue.clone());
        body.hand_out(move |child| late.push(fault, child, false));
        let body = body.run(move |child| first.push(fault, child, false));
        let future = InlineTask::new(String::new(), Box::pin(body));
        Self {
            fault,
            settings,
            queue,
            drain: watch::Sender::new(None),
            tasks: vec![RunningTask { future, shield: None, is_first: true }],
            body_ended: false,
            ended: 0,
            failed: false,
            stopping: false,
            outcome: Outcome::default(),
            finished: 0,
            cancelled: 0,
        }
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    /// Drives all tasks until there is none, or one has failed.
    fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        let mut turns = 0;
        loop {
            self.spawn_queued(cx);
            let (mut index, mut moved) = (0, false);
            while let Some(task) = self.tasks.get_mut(index) {
                let Poll::Ready(ended) = poll(self.fault, &mut task.future, cx) else {
                    index += 1;
                    continue;
                };
                moved = true;
                let task = self.tasks.swap_remove(index);
                self.ended(&task.future.name, ended);
                turns += 1;
                if turns == TURNS && !self.is(Fault::HogsTheThread) {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
            if self.failed && self.is(Fault::BeginsTheNextAfterAFailure) {
                self.spawn_queued(cx);
                self.tasks.iter_mut().for_each(|task| drop(task.future.poll(cx)));
            }
            if self.is_over() {
                return Poll::Ready(());
            }
            if !moved && (self.queue.state().waiting.is_empty() || !self.has_room()) {
                return Poll::Pending;
            }
        }
    }

    fn has_room(&self) -> bool {
        let limit = if self.is(Fault::RunsInTurn) { Some(1) } else { self.settings.limit };
        let running = self.tasks.len() - usize::from(!self.body_ended && !self.stopping);
        (!self.stopping || self.is(Fault::BeginsWhileItStops))
            && limit.is_none_or(|limit| running < limit || self.is(Fault::HasNoLimit))
    }

    /// Spawns queued tasks as far as the limit allows.
    fn spawn_queued(&mut self, cx: &Context<'_>) {
        self.queue.state().waker = Some(cx.waker().clone());
        while self.has_room() {
            let Some((child, from_task)) = self.queue.state().waiting.pop_front() else { return };
            let (name, shield) = (child.name(), child.shield());
            let (fault, queue, mut drain) = (self.fault, self.queue.clone(), self.drain.subscribe());
            if child.is_blocking() {
                self.block(child);
                continue;
            }
            let drained = async move {
                let reason = drain.wait_for(Option::is_some).await.ok()?.clone();
                reason.filter(|reason| !reason.is_empty())
            };
            let work = child.run(drained, move |child| queue.push(fault, child, true));
            let future = InlineTask::new(name, Box::pin(work));
            self.tasks.push(RunningTask { future, shield, is_first: !from_task });
        }
    }

    /// Runs a call on a thread. It cannot be stopped, so the group waits for it.
    fn block(&mut self, child: Task) {
        let (name, drain) = (child.name(), self.drain.subscribe());
        let tells = !self.is(Fault::TellsNothingToBlockingCalls);
        let call = spawn_blocking(move || child.block(|| tells && drain.borrow().is_some()));
        let work = async { call.await.unwrap_or_else(|error| resume_unwind(error.into_panic())) };
        let shield = Some(Duration::MAX).filter(|_| !self.is(Fault::LeavesBlockingCalls));
        self.tasks.push(RunningTask {
            future: InlineTask::new(name, Box::pin(work)),
            shield,
            is_first: true,
        });
    }

    fn is_over(&self) -> bool {
        let goes_on = self.settings.on_failure == FailureMode::GoOn && !self.is(Fault::StopsThoughItCollects);
        if self.failed && !self.stopping && !goes_on {
            return true;
        }
        let nobody = self.tasks.len() <= usize::from(self.is(Fault::ForgetsTheLast))
            && (self.stopping || self.queue.state().waiting.is_empty());
        match self.fault {
            Fault::WaitsForAFirst => nobody && self.ended > 0,
            Fault::EndsAtZero if self.ended > 0 && !self.body_ended => self.tasks.len() == 1,
            _ => nobody && (self.body_ended || self.stopping),
        }
    }

    fn ended(&mut self, name: &str, ended: Result<(), Failed>) {
        let is_body = name.is_empty();
        if is_body {
            self.body_ended = true;
        } else {
            self.ended += 1;
        }
        match ended {
            Ok(()) if is_body => {}
            Ok(()) => self.finished += 1,
            Err(Failed::Error(_)) if is_body && self.is(Fault::IgnoresTheBody) => {}
            Err(Failed::Error(error)) => {
                self.failed |= !self.is(Fault::GoesOnAfterAFailure);
                self.tell(name, error);
            }
            // The panic of tokio's timers when their runtime is gone.
            Err(Failed::Panic(message))
                if self.is(Fault::SwallowsTheEndOfARuntime) && message.contains("being shutdown") =>
            {
                self.finished += 1;
            }
            Err(Failed::Panic(message)) => {
                if self.is(Fault::AbortsOnPanics) {
                    abort();
                }
                self.failed |= !self.is(Fault::GoesOnAfterAPanic);
                if is_body && self.is(Fault::LeavesTasksToABodysPanic) {
                    self.detach_all();
                }
                self.tell(name, ReportedFailure::panic(&message));
            }
        }
    }

    fn tell(&mut self, name: &str, mut told: ReportedFailure) {
        let has_told = |kind| self.outcome.failures.iter().any(|told| told.kind == kind);
        let is_kept = match (self.fault, told.kind) {
            (Fault::KeepsErrorsToItself, FailureKind::Error)
            | (Fault::SwallowsPanics, FailureKind::Panic) => false,
            (Fault::TellsOneError, FailureKind::Error) => !has_told(FailureKind::Error),
            (Fault::TellsOnePanic, FailureKind::Panic) => !has_told(FailureKind::Panic),
            _ => true,
        };
        if !is_kept {
            return;
        }
        if self.is(Fault::TellsPanicsAsErrors) {
            told.kind = FailureKind::Error;
        }
        let name = Some(name).filter(|name| !name.is_empty() && !self.is(Fault::ForgetsNames));
        let at_front =
            self.is(Fault::TellsTheLastFirst) || self.stopping && self.is(Fault::TellsTheAnswerFirst);
        let at = if at_front { 0 } else { self.outcome.failures.len() };
        self.outcome.failures.insert(at, told.of(name));
    }

    /// Stops the rest: drain, grace, abort, then the shielded tasks.
    async fn stop(&mut self, after_failure: bool) {
        self.stopping = true;
        let leaves = if after_failure { Fault::LeavesTasksToAFailure } else { Fault::LeavesTasksToAStop };
        if self.is(leaves) {
            self.detach_all();
        }
        if !self.is(Fault::BeginsWhileItStops) {
            self.close();
        }
        self.drop_tasks(|task| task.future.name.is_empty());
        if let (Some(grace), false) = (self.settings.grace, self.tasks.is_empty()) {
            let reason = if self.is(Fault::HasNoReason) { "" } else { "a task failed" };
            self.drain.send_replace(Some(reason.to_owned()));
            let over = Instant::now() + grace;
            let grace = if self.is(Fault::HasNoEndOfGrace) { Duration::MAX } else { grace };
            drop(timeout(grace, poll_fn(|cx| self.poll(cx))).await);
            if self.is(Fault::WaitsForTheWholeGrace) {
                sleep_until(over).await;
            }
        }
        self.close();
        self.drain.send_replace(Some("the group stops".to_owned()));
        if self.is(Fault::StopsOnlyWhoIsThere) {
            self.drop_tasks(|task| task.is_first);
            sleep(Duration::from_secs(1)).await;
        }
        self.drop_tasks(|task| task.shield.is_none());
        if self.is(Fault::CutsShields) {
            self.drop_tasks(|_| true);
        }
        while let Some(longest) = self.tasks.iter().filter_map(|task| task.shield).min() {
            let longest = if self.is(Fault::ShieldsForEver) { Duration::MAX } else { longest };
            drop(timeout(longest, poll_fn(|cx| self.poll(cx))).await);
            self.drop_tasks(|task| task.shield <= Some(longest));
        }
    }

    fn close(&mut self) {
        let mut state = self.queue.state();
        state.closed = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        self.cancelled += waiting.len();
    }

    fn drop_tasks(&mut self, which: impl Fn(&RunningTask) -> bool) {
        for RunningTask { mut future, .. } in
            self.tasks.extract_if(.., |task| which(task)).collect::<Vec<_>>()
        {
            let dropped = future.drop_now();
            let (name, has_failed) = (future.name, !self.outcome.failures.is_empty());
            if name.is_empty() {
                continue;
            }
            if self.is(Fault::TellsWhoWasStopped) {
                self.tell(&name, ReportedFailure::panic(&format!("{name} panicked")));
            }
            match dropped {
                Err(_) if self.is(Fault::SwallowsSorePanics) => {}
                Err(_) if self.is(Fault::SwallowsLatePanics) && has_failed => {}
                Err(message) => self.tell(&name, ReportedFailure::panic(&message)),
                Ok(()) if self.is(Fault::CountsWhatWasDroppedAsFinished) => self.finished += 1,
                Ok(()) => self.cancelled += 1,
            }
        }
    }

    /// Detaches all tasks.
    fn detach_all(&mut self) {
        self.tasks.drain(..).for_each(|task| task.future.detach());
    }

    fn outcome(&mut self) -> Outcome {
        std::mem::take(&mut self.outcome).counting(self.finished, self.cancelled)
    }
}

fn poll(fault: Fault, future: &mut InlineTask, cx: &Context<'_>) -> Poll<Result<(), Failed>> {
    if fault == Fault::PollsEverybody {
        future.wake();
    }
    let polled = future.poll(cx);
    if fault == Fault::LosesAWake && polled.is_pending() {
        // Wakes during this spin, which makes the race likely, are lost.
        (0..100_000).for_each(|_| std::hint::spin_loop());
        future.forget();
    }
    polled
}

impl Drop for RunningGroup {
    fn drop(&mut self) {
        if matches!(self.fault, Fault::DetachesInnerTasks | Fault::DetachesWhenDropped) {
            self.detach_all();
        }
    }
}
