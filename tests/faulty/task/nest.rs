//! A group whose tasks are futures in its own: dropping it drops them.

use std::{
    collections::VecDeque,
    future::poll_fn,
    panic::resume_unwind,
    process::abort,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use evenkeel_tck::task::{Body, Child, Kind, OnFailure, Outcome, Settings, Told};
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Duration, Instant, sleep, sleep_until, timeout, timeout_at},
};

use super::Fault;
use crate::faulty::member::{Failed, Member};

/// How many tasks are polled before others run.
const TURNS: usize = 128;

pub(super) struct Nest {
    fault: Fault,
    settings: Settings,
    queue: Queue,
    drain: watch::Sender<Option<String>>,
    /// The body is one of them until it has ended; it has no name.
    members: Vec<Task>,
    body_ended: bool,
    ended: usize,
    failed: bool,
    stopping: bool,
    outcome: Outcome,
    finished: usize,
    cancelled: usize,
}

struct Task {
    member: Member,
    shield: Option<Duration>,
    /// The body spawned it, not another task.
    is_first: bool,
}

/// Children that are to come in; whether their parent is a task.
#[derive(Clone, Default)]
struct Queue(Arc<Mutex<Gate>>);

#[derive(Default)]
struct Gate {
    waiting: VecDeque<(Child, bool)>,
    closed: bool,
    waker: Option<Waker>,
}

impl Queue {
    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, fault: Fault, child: Child, from_task: bool) {
        if from_task && fault == Fault::ForgetsGrandchildren {
            tokio::spawn(child.alone());
            return;
        }
        let mut gate = self.gate();
        let (is_closed, waker) = (gate.closed, gate.waker.take());
        if !is_closed {
            gate.waiting.push_back((child, from_task));
        } else if fault == Fault::RunsWhatIsLate {
            tokio::spawn(child.alone());
        }
        drop(gate);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Nest {
    pub(super) async fn run(fault: Fault, settings: Settings, body: Body) -> Outcome {
        let start = Instant::now();
        let late = if fault == Fault::StopsLate { Duration::from_secs(1) } else { Duration::ZERO };
        let deaf = fault == Fault::IgnoresAStopWhileItCollects && settings.on_failure == OnFailure::GoOn;
        let stop = settings.stop_after.filter(|_| !deaf).map(|after| start + after + late);
        let deadline = settings.deadline.map(|after| start + after);
        let mut nest = Self::new(fault, settings, body);

        let limits = [stop, deadline.filter(|_| fault != Fault::HasNoDeadline)];
        let in_time = match limits.into_iter().flatten().min() {
            Some(at) => timeout_at(at, poll_fn(|cx| nest.poll(cx))).await.is_ok(),
            None => {
                poll_fn(|cx| nest.poll(cx)).await;
                true
            }
        };
        if !in_time {
            let kind = if stop.is_some() { Kind::Stopped } else { Kind::Deadline };
            nest.outcome.told.push(Told::new(kind));
        }
        nest.stop(in_time).await;
        if let (Fault::WaitsForTheDeadline, Some(deadline)) = (fault, deadline) {
            sleep_until(deadline).await;
        }
        nest.outcome()
    }

    fn new(fault: Fault, settings: Settings, body: Body) -> Self {
        let queue = Queue::default();
        let (late, first) = (queue.clone(), queue.clone());
        body.hand_out(move |child| late.push(fault, child, false));
        let body = body.run(move |child| first.push(fault, child, false));
        let member = Member::new(String::new(), Box::pin(body));
        Self {
            fault,
            settings,
            queue,
            drain: watch::Sender::new(None),
            members: vec![Task { member, shield: None, is_first: true }],
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
            self.take_in(cx);
            let (mut index, mut moved) = (0, false);
            while let Some(task) = self.members.get_mut(index) {
                let Poll::Ready(ended) = poll(self.fault, &mut task.member, cx) else {
                    index += 1;
                    continue;
                };
                moved = true;
                let task = self.members.swap_remove(index);
                self.ended(&task.member.name, ended);
                turns += 1;
                if turns == TURNS && !self.is(Fault::HogsTheThread) {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
            if self.failed && self.is(Fault::BeginsTheNextAfterAFailure) {
                self.take_in(cx);
                self.members.iter_mut().for_each(|task| drop(task.member.poll(cx)));
            }
            if self.is_over() {
                return Poll::Ready(());
            }
            if !moved && (self.queue.gate().waiting.is_empty() || !self.has_room()) {
                return Poll::Pending;
            }
        }
    }

    fn has_room(&self) -> bool {
        let limit = if self.is(Fault::RunsInTurn) { Some(1) } else { self.settings.limit };
        let running = self.members.len() - usize::from(!self.body_ended && !self.stopping);
        (!self.stopping || self.is(Fault::BeginsWhileItStops))
            && limit.is_none_or(|limit| running < limit || self.is(Fault::HasNoLimit))
    }

    /// Lets tasks in as far as the limit allows.
    fn take_in(&mut self, cx: &Context<'_>) {
        self.queue.gate().waker = Some(cx.waker().clone());
        while self.has_room() {
            let Some((child, from_task)) = self.queue.gate().waiting.pop_front() else { return };
            let (name, shield) = (child.name(), child.shield());
            let (fault, queue, mut drain) = (self.fault, self.queue.clone(), self.drain.subscribe());
            if child.is_blocking() {
                self.block(child);
                continue;
            }
            let child = child.watching(async move {
                let reason = drain.wait_for(Option::is_some).await.ok()?.clone();
                reason.filter(|reason| !reason.is_empty())
            });
            let work = child.run(move |child| queue.push(fault, child, true));
            let member = Member::new(name, Box::pin(work));
            self.members.push(Task { member, shield, is_first: !from_task });
        }
    }

    /// Runs a call on a thread; nobody can stop it, so it is waited for.
    fn block(&mut self, child: Child) {
        let (name, drain) = (child.name(), self.drain.subscribe());
        let tells = !self.is(Fault::TellsNothingToBlockingCalls);
        let call = spawn_blocking(move || child.block(|| tells && drain.borrow().is_some()));
        let work = async { call.await.unwrap_or_else(|error| resume_unwind(error.into_panic())) };
        let shield = Some(Duration::MAX).filter(|_| !self.is(Fault::LeavesBlockingCalls));
        self.members.push(Task { member: Member::new(name, Box::pin(work)), shield, is_first: true });
    }

    fn is_over(&self) -> bool {
        let goes_on = self.settings.on_failure == OnFailure::GoOn && !self.is(Fault::StopsThoughItCollects);
        if self.failed && !self.stopping && !goes_on {
            return true;
        }
        let nobody = self.members.len() <= usize::from(self.is(Fault::ForgetsTheLast))
            && (self.stopping || self.queue.gate().waiting.is_empty());
        match self.fault {
            Fault::WaitsForAFirst => nobody && self.ended > 0,
            Fault::EndsAtZero if self.ended > 0 && !self.body_ended => self.members.len() == 1,
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
                self.tell(name, Told::from(error));
            }
            // What tokio's timers say when their runtime is gone.
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
                    self.leave();
                }
                self.tell(name, Told::panic(&message));
            }
        }
    }

    fn tell(&mut self, name: &str, mut told: Told) {
        let has_told = |kind| self.outcome.told.iter().any(|told| told.kind == kind);
        let is_kept = match (self.fault, told.kind) {
            (Fault::KeepsErrorsToItself, Kind::Error) | (Fault::SwallowsPanics, Kind::Panic) => false,
            (Fault::TellsOneError, Kind::Error) => !has_told(Kind::Error),
            (Fault::TellsOnePanic, Kind::Panic) => !has_told(Kind::Panic),
            _ => true,
        };
        if !is_kept {
            return;
        }
        if self.is(Fault::TellsPanicsAsErrors) {
            told.kind = Kind::Error;
        }
        let name = Some(name).filter(|name| !name.is_empty() && !self.is(Fault::ForgetsNames));
        let at_front =
            self.is(Fault::TellsTheLastFirst) || self.stopping && self.is(Fault::TellsTheAnswerFirst);
        let at = if at_front { 0 } else { self.outcome.told.len() };
        self.outcome.told.insert(at, told.of(name));
    }

    /// Ends all that is left, in good order.
    async fn stop(&mut self, after_failure: bool) {
        self.stopping = true;
        let leaves = if after_failure { Fault::LeavesTasksToAFailure } else { Fault::LeavesTasksToAStop };
        if self.is(leaves) {
            self.leave();
        }
        if !self.is(Fault::BeginsWhileItStops) {
            self.close();
        }
        self.drop_members(|task| task.member.name.is_empty());
        if let (Some(grace), false) = (self.settings.grace, self.members.is_empty()) {
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
            self.drop_members(|task| task.is_first);
            sleep(Duration::from_secs(1)).await;
        }
        self.drop_members(|task| task.shield.is_none());
        if self.is(Fault::CutsShields) {
            self.drop_members(|_| true);
        }
        while let Some(longest) = self.members.iter().filter_map(|task| task.shield).min() {
            let longest = if self.is(Fault::ShieldsForEver) { Duration::MAX } else { longest };
            drop(timeout(longest, poll_fn(|cx| self.poll(cx))).await);
            self.drop_members(|task| task.shield <= Some(longest));
        }
    }

    fn close(&mut self) {
        let mut gate = self.queue.gate();
        gate.closed = true;
        let waiting = std::mem::take(&mut gate.waiting);
        drop(gate);
        self.cancelled += waiting.len();
    }

    fn drop_members(&mut self, which: impl Fn(&Task) -> bool) {
        for Task { mut member, .. } in self.members.extract_if(.., |task| which(task)).collect::<Vec<_>>() {
            let dropped = member.drop_now();
            let (name, has_failed) = (member.name, !self.outcome.told.is_empty());
            if name.is_empty() {
                continue;
            }
            if self.is(Fault::TellsWhoWasStopped) {
                self.tell(&name, Told::panic(&format!("{name} panicked")));
            }
            match dropped {
                Err(_) if self.is(Fault::SwallowsSorePanics) => {}
                Err(_) if self.is(Fault::SwallowsLatePanics) && has_failed => {}
                Err(message) => self.tell(&name, Told::panic(&message)),
                Ok(()) if self.is(Fault::CountsWhatWasDroppedAsFinished) => self.finished += 1,
                Ok(()) => self.cancelled += 1,
            }
        }
    }

    /// Lets all tasks go on, and has nothing to do with them any more.
    fn leave(&mut self) {
        self.members.drain(..).for_each(|task| task.member.detach());
    }

    fn outcome(&mut self) -> Outcome {
        std::mem::take(&mut self.outcome).counting(self.finished, self.cancelled)
    }
}

fn poll(fault: Fault, member: &mut Member, cx: &Context<'_>) -> Poll<Result<(), Failed>> {
    if fault == Fault::PollsEverybody {
        member.wake();
    }
    let polled = member.poll(cx);
    if fault == Fault::LosesAWake && polled.is_pending() {
        // What wakes it in this moment, which is a long one, is lost.
        (0..100_000).for_each(|_| std::hint::spin_loop());
        member.forget();
    }
    polled
}

impl Drop for Nest {
    fn drop(&mut self) {
        if matches!(self.fault, Fault::DetachesInnerTasks | Fault::DetachesWhenDropped) {
            self.leave();
        }
    }
}
