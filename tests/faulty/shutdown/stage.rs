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

use evenkeel_tck::shutdown::{Job, Kind, Outcome, Parts, Probe, Settings, Told};
use tokio::{
    runtime::Builder,
    signal::ctrl_c,
    time::{Instant, timeout_at},
};

use super::{
    Fault,
    entry::{Entry, Started, What},
};
use crate::faulty::member::Failed;

pub(super) struct Stage {
    fault: Fault,
    settings: Settings,
    start: Instant,
    started: Started,
    entries: Vec<Entry>,
    clean_ups: Vec<Job>,
    probe: Probe,
    /// Why it stops, when it does.
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

/// How long after a signal another one is a copy of it.
const WINDOW: Duration = Duration::from_millis(200);

/// Why a wait has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Done,
    Overdue,
    Again,
}

impl Stage {
    pub(super) async fn run(fault: Fault, settings: Settings, parts: Parts) -> Outcome {
        let mut stage = Self {
            fault,
            start: Instant::now(),
            settings,
            started: Started::default(),
            entries: Vec::new(),
            clean_ups: parts.clean_ups,
            probe: parts.probe,
            stop: None,
            outcome: Outcome::default(),
            ended: 0,
            signal: None,
            signals: 0,
            counted: None,
        };
        if fault != Fault::IsDeafUntilItRuns {
            stage.listen();
        }
        parts.start_up.run().await;
        if fault == Fault::IsDeafUntilItRuns {
            stage.listen();
        }
        parts.tasks.into_iter().for_each(|job| stage.enter(job, What::Task, 0));
        stage.entries.extend(parts.guards.into_iter().map(Entry::guard));
        stage.up().await;
        stage.down().await;
        if fault == Fault::EndsTheProcessWithACopy {
            end_with_a_signal();
        }
        let is_clean = stage.outcome.told.is_empty() || fault == Fault::ExitsWithZero;
        std::mem::take(&mut stage.outcome).exiting(u8::from(!is_clean))
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn listen(&mut self) {
        static LISTENED: AtomicBool = AtomicBool::new(false);
        let is_late = LISTENED.swap(true, SeqCst) && self.is(Fault::ListensOnce);
        if self.settings.signals && !is_late && !self.is(Fault::IsKilledByASignal) {
            let mut signal: Signal = Box::pin(ctrl_c());
            // From here on it is heard.
            let _ = signal.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            self.signal = Some(signal);
        }
    }

    fn enter(&mut self, job: Job, kind: What, phase: usize) {
        self.entries.push(Entry::new(self.fault, job, kind, phase, self.started.clone()));
    }

    /// Until it has to stop.
    async fn up(&mut self) {
        let at = |after: Option<Duration>| after.map(|after| self.start + after);
        let (stop, alone) = (at(self.settings.stop_after), at(self.settings.alone_after));
        if alone.is_some() {
            self.wait(alone, |_| false).await;
            let all = self.is(Fault::StopsAllForOne);
            self.ask("a part is replaced", |entry| all || entry.member.name == "task 1");
        }
        let over =
            |stage: &Self| stage.stop.is_some() || stage.is_over() && !stage.is(Fault::WaitsForTheStop);
        if self.wait(stop, over).await == Why::Overdue {
            self.stop = Some("somebody asked for it");
        }
    }

    /// Whether all tasks have ended.
    fn is_over(&self) -> bool {
        let tasks = self.entries.iter().filter(|entry| entry.is_task()).count();
        tasks == 0 && (self.ended > 0 || !self.is(Fault::WaitsForATask))
    }

    /// From the stop to the end.
    async fn down(&mut self) {
        let since = if self.is(Fault::CountsTheGraceFromTheStart) { self.start } else { Instant::now() };
        let grace = match self.settings.grace {
            _ if self.is(Fault::HasNoGrace) => Duration::from_secs(365 * 24 * 3600),
            grace => grace.unwrap_or(Duration::from_secs(10)),
        };
        self.pre_stop().await;
        if self.is(Fault::CleansUpAtOnce) {
            self.begin_clean_ups();
        }
        let phases = 1 + self.entries.iter().map(|entry| entry.phase).max().unwrap_or_default();
        let mut hung = false;
        for phase in 0..phases {
            let reserve = if self.is(Fault::HasOneGraceForAll) { Duration::ZERO } else { grace / 10 };
            let steps_after = phases - phase - 1 + usize::from(!self.clean_ups.is_empty());
            if self.phase(phase, since + grace - reserve * steps_after as u32).await == Why::Again {
                return self.cut(Fault::LeavesWhatASecondStopCuts, |_| true);
            }
            let hangs = |entry: &Entry| entry.is_task() && entry.phase == phase;
            hung |= self.entries.iter().any(hangs);
            self.cut(Fault::LeavesWhatHangs, hangs);
        }
        if !(hung && self.is(Fault::SkipsCleanUpsAfterAHang)) {
            self.begin_clean_ups();
            let cleaned = |stage: &Self| {
                let fails = stage.is(Fault::EndsWithAFailedCleanUp) && !stage.outcome.told.is_empty();
                fails || stage.entries.iter().all(|entry| entry.kind != What::CleanUp)
            };
            self.wait(Some(since + grace), cleaned).await;
        }
        self.cut(Fault::LeavesWhatHangs, |_| true);
    }

    async fn pre_stop(&mut self) {
        if !self.is(Fault::IsReadyDuringTheDelay) {
            self.probe.is_turned_away();
        }
        if let Some(delay) = self.settings.pre_stop.filter(|_| !self.is(Fault::HasNoDelay)) {
            self.wait(Some(Instant::now() + delay), Self::is_over).await;
        }
        if self.is(Fault::IsReadyDuringTheDelay) {
            self.probe.is_turned_away();
        }
    }

    async fn phase(&mut self, phase: usize, until: Instant) -> Why {
        let reason = if self.is(Fault::HasNoReason) { "" } else { self.stop.unwrap_or("all have ended") };
        while let (Fault::AsksInTurn, Some(first)) = (self.fault, self.entries.first()) {
            let first = first.member.name.clone();
            self.ask(reason, |entry| entry.member.name == first);
            self.wait(Some(until), |stage| stage.entries.iter().all(|entry| entry.member.name != first))
                .await;
        }
        let all = self.is(Fault::HasOnePhase);
        self.ask(reason, |entry| all || entry.phase == phase);
        let before = self.ended;
        let ended = |stage: &Self| {
            let first = stage.is(Fault::EndsWithTheFirst) && stage.ended > before;
            let none_yet = stage.is(Fault::WaitsForATask) && stage.ended == 0;
            first || !none_yet && !stage.entries.iter().any(|entry| stage.is_awaited(entry, phase))
        };
        self.wait(Some(until), ended).await
    }

    fn begin_clean_ups(&mut self) {
        std::mem::take(&mut self.clean_ups).into_iter().for_each(|job| self.enter(job, What::CleanUp, 0));
    }

    fn is_awaited(&self, entry: &Entry, phase: usize) -> bool {
        let ignored = match entry.kind {
            What::Guard => self.is(Fault::IgnoresGuards),
            What::CleanUp => true,
            What::Task => self.is(Fault::DoesNotWaitForWhoIsLate) && entry.member.name == "task 2",
        };
        entry.phase == phase && !ignored
    }

    fn ask(&self, reason: &str, which: impl Fn(&Entry) -> bool) {
        let wanted = self.entries.iter().filter(|entry| entry.is_task() && which(entry));
        wanted.for_each(|entry| entry.ask(reason));
    }

    /// Drives everything until it is done, the time is over, or another stop comes.
    async fn wait(&mut self, until: Option<Instant>, done: impl Fn(&Self) -> bool) -> Why {
        let again = self.settings.again_after.map(|after| self.start + after);
        let again = again.filter(|again| *again > Instant::now() && self.stop.is_some());
        let again = again.filter(|_| !self.is(Fault::HearsOneStop));
        let has_guard = self.entries.iter().any(|entry| entry.kind == What::Guard);
        let until = until.filter(|_| !(self.is(Fault::WaitsForGuards) && has_guard && self.stop.is_some()));
        let driven = poll_fn(|cx| self.poll(cx, &done));
        match until.into_iter().chain(again).min() {
            Some(at) => match timeout_at(at, driven).await {
                Ok(()) if self.is_called() => Why::Again,
                Ok(()) => Why::Done,
                Err(_) if again == Some(at) => Why::Again,
                Err(_) => Why::Overdue,
            },
            None => {
                driven.await;
                Why::Done
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
            while let Some(entry) = self.entries.get_mut(index) {
                let Poll::Ready(ended) = entry.member.poll(cx) else {
                    index += 1;
                    continue;
                };
                moved = true;
                let entry = self.entries.remove(index);
                self.ended(&entry, ended);
            }
            let late = self.started.take(cx.waker());
            moved |= !late.is_empty();
            for (job, phase) in late {
                self.enter(job, What::Task, phase);
                if let (Some(reason), false) = (self.stop, self.is(Fault::DoesNotAskWhoIsLate)) {
                    self.entries[self.entries.len() - 1].ask(reason);
                }
            }
            if done(self) || self.is_called() {
                return Poll::Ready(());
            }
            if !moved {
                return Poll::Pending;
            }
        }
    }

    /// Whether a second signal has come.
    fn is_called(&self) -> bool {
        self.signals > 1 && !self.is(Fault::HearsOneSignal)
    }

    fn ended(&mut self, entry: &Entry, ended: Result<(), Failed>) {
        self.ended += usize::from(entry.is_task());
        let (name, is_late) = (&entry.member.name, self.stop.is_some());
        let stops = match ended {
            Ok(()) => {
                entry.is_vital && !self.is(Fault::KnowsNothingVital) || self.is(Fault::StopsWithAnyTask)
            }
            Err(Failed::Error(_)) => {
                let swallowed =
                    self.is(Fault::KeepsErrorsToItself) || is_late && self.is(Fault::SwallowsLateErrors);
                self.tell(Kind::Error, name, swallowed);
                !self.is(Fault::GoesOnAfterAnError)
            }
            Err(Failed::Panic(_)) => {
                if self.is(Fault::AbortsOnPanics) {
                    abort();
                }
                let swallowed =
                    self.is(Fault::SwallowsPanics) || is_late && self.is(Fault::SwallowsLatePanics);
                self.tell(Kind::Panic, name, swallowed);
                if is_late && self.is(Fault::CutsTheOthersShort) {
                    self.entries.clear();
                }
                !self.is(Fault::GoesOnAfterAPanic)
            }
        };
        if stops && self.stop.is_none() {
            self.stop = Some("a task ended");
        }
        if self.is(Fault::BlamesEverybody) {
            self.tell(Kind::Hung, name, false);
        }
    }

    fn tell(&mut self, kind: Kind, name: &str, is_swallowed: bool) {
        if !is_swallowed {
            self.outcome.told.push(Told::named(kind, name));
        }
    }

    /// Gives up what is left.
    fn cut(&mut self, leaves: Fault, which: impl Fn(&Entry) -> bool) {
        for mut entry in self.entries.extract_if(.., |entry| which(entry)).collect::<Vec<_>>() {
            let name = entry.member.name.clone();
            self.tell(Kind::Hung, &name, self.is(Fault::BlamesNobody));
            if self.is(leaves) {
                entry.member.detach();
            } else if entry.member.drop_now().is_err() {
                self.tell(Kind::Panic, &name, self.is(Fault::SwallowsSorePanics));
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

impl Drop for Stage {
    fn drop(&mut self) {
        if self.is(Fault::DetachesWhenDropped) {
            self.entries.drain(..).for_each(|entry| entry.member.detach());
        }
    }
}
