//! A map whose items are tasks, or futures within the consumer's task.

use std::{
    collections::VecDeque,
    mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use evenkeel_tck::{
    BoxFuture,
    stream::{FailureMode, Item, Key, Map, ReportedFailure, Results, Source},
};
use futures::{Stream, StreamExt as _};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, mpsc},
    task::{JoinHandle, JoinSet},
    time::{Sleep, sleep},
};

use super::{
    Fault,
    work::{Ended, work},
};

pub(super) type Output = Result<u32, ReportedFailure>;

pub(super) struct FaultyMap {
    pub(super) fault: Fault,
    map: Map,
    source: Option<Results>,
    /// The items in flight: tasks, or futures within the consumer's task.
    tasks: JoinSet<(usize, Ended)>,
    inline: Vec<BoxFuture<'static, (usize, Ended)>>,
    /// Items whose key is in flight.
    waiting: VecDeque<(usize, Item)>,
    keys: Vec<(usize, Key)>,
    done: Vec<(usize, Ended)>,
    failure: Option<Ended>,
    given: usize,
    returned: usize,
    is_filling: bool,
    permits: Arc<Semaphore>,
    late: Option<Pin<Box<Sleep>>>,
    waker: Option<Waker>,
    has_ended: bool,
    /// How often its consumer has polled it.
    pub(super) turn: usize,
}

impl FaultyMap {
    pub(super) fn new(fault: Fault, map: Map, source: Source) -> Self {
        let permits = Arc::new(Semaphore::new(map.limit));
        let mut this = Self {
            fault,
            map,
            source: Some(source.results()),
            tasks: JoinSet::new(),
            inline: Vec::new(),
            waiting: VecDeque::new(),
            keys: Vec::new(),
            done: Vec::new(),
            failure: None,
            given: 0,
            returned: 0,
            is_filling: false,
            permits,
            late: None,
            waker: None,
            has_ended: false,
            turn: 0,
        };
        if fault == Fault::TakesBeforeItIsPolled {
            this.fill(&mut Context::from_waker(Waker::noop()));
        }
        this
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    /// Whether items are futures within the consumer's task, each polled whenever that is.
    fn is_inline(&self) -> bool {
        matches!(
            self.fault,
            Fault::RunsInTheConsumer
                | Fault::StandsStillWithTheConsumer
                | Fault::StopsBehindAFullOutput
                | Fault::PollsEverything
                | Fault::HogsTheThread
                | Fault::RunsOnOneThread
        )
    }

    pub(super) fn has_source(&self) -> bool {
        self.source.is_some()
    }

    fn running(&self) -> usize {
        self.tasks.len() + self.inline.len()
    }

    fn held(&self) -> usize {
        self.running() + self.waiting.len() + self.done.len()
    }

    fn has_room(&mut self) -> bool {
        let limit = self.map.limit;
        if self.held() == 0 {
            self.is_filling = true;
        }
        if self.held() >= limit {
            self.is_filling = false;
        }
        match self.fault {
            Fault::IgnoresTheLimit | Fault::StartsAllAtOnce => true,
            Fault::LeavesAPlaceFree => self.held() < limit.saturating_sub(1).max(1),
            Fault::RunsInBatches => self.is_filling,
            Fault::CountsOnlyWhatRuns => self.running() < limit,
            _ => self.held() < limit,
        }
    }

    /// Takes the results of the items that have ended.
    fn reap(&mut self, cx: &mut Context<'_>) {
        let mut nobody = Context::from_waker(Waker::noop());
        let loses_a_wake = self.is(Fault::LosesAWake) && self.given > 20;
        let cx = if loses_a_wake { &mut nobody } else { cx };
        while let Poll::Ready(Some(joined)) = self.tasks.poll_join_next(cx) {
            if let Ok((index, ended)) = joined {
                self.ended(cx, index, ended);
            }
        }
        let mut ended = Vec::new();
        self.inline.retain_mut(|future| match future.as_mut().poll(cx) {
            Poll::Ready(end) => {
                ended.push(end);
                false
            }
            Poll::Pending => true,
        });
        for (index, end) in ended {
            self.ended(cx, index, end);
        }
    }

    fn ended(&mut self, cx: &mut Context<'_>, index: usize, ended: Ended) {
        if !self.is(Fault::RemembersKeys) {
            self.keys.retain(|(of, _)| *of != index);
        }
        self.start_waiting();
        let (stops, goes_on) =
            (self.map.on_failure == FailureMode::Stop, self.map.on_failure == FailureMode::GoOn);
        match ended {
            Ended::Ok(_) if index == 3 && self.is(Fault::LosesAResult) => {}
            Ended::Ok(_) => self.done.push((index, ended)),
            Ended::Error(_) if self.is(Fault::LosesErrors) => {}
            Ended::Error(_) if self.is(Fault::TellsErrorsInOrder) => self.done.push((index, ended)),
            Ended::Error(_) if stops || self.is(Fault::StopsThoughItCollects) => {
                let begins_another = self.is(Fault::BeginsTheNextAfterAFailure);
                if begins_another {
                    let _ = self.start_next(cx);
                }
                self.fail(ended, begins_another || self.is(Fault::TellsErrorsAtTheEnd));
            }
            Ended::Panic(..) if self.is(Fault::SwallowsPanics) => {}
            Ended::Panic(_, true) if self.is(Fault::SwallowsPanicsOfTheFunction) => {}
            Ended::Panic(..) if !goes_on || self.is(Fault::StopsAtAPanic) => {
                if self.is(Fault::LeavesItemsToAPanic) {
                    self.tasks.detach_all();
                }
                self.fail(ended, false);
            }
            Ended::Error(_) | Ended::Panic(..) => self.done.push((index, ended)),
        }
    }

    fn fail(&mut self, failure: Ended, waits: bool) {
        self.source = None;
        self.waiting.clear();
        if !waits {
            self.tasks.abort_all();
            self.inline.clear();
        }
        self.failure.get_or_insert(failure);
    }

    /// Takes items from the source as far as the limit allows; returns whether one has begun, and whether the source is
    /// silent.
    pub(super) fn fill(&mut self, cx: &mut Context<'_>) -> (bool, bool) {
        let given = self.given;
        while self.failure.is_none() && self.has_room() {
            if self.source.is_none() {
                break;
            }
            if self.start_next(cx).is_pending() {
                return (self.given > given, true);
            }
        }
        (self.given > given, false)
    }

    fn start_next(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(source) = &mut self.source else { return Poll::Ready(()) };
        let polled = catch_unwind(AssertUnwindSafe(|| source.poll_next_unpin(cx)));
        let polled = match polled {
            Ok(polled) => polled,
            Err(_) if self.fault == Fault::SwallowsPanicsOfTheSource => Poll::Ready(None),
            Err(payload) => resume_unwind(payload),
        };
        match polled {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(None) => {
                if self.fault == Fault::PollsTheSourceAfterItsEnd {
                    let _ = source.poll_next_unpin(cx);
                }
                self.source = None;
            }
            Poll::Ready(Some(item)) => {
                let index = self.given;
                self.given += 1;
                match item {
                    Ok(item) => {
                        self.waiting.push_back((index, item));
                        self.start_waiting();
                    }
                    Err(failure) if self.map.on_failure == FailureMode::Stop => {
                        self.fail(Ended::Error(failure), self.is(Fault::TellsErrorsOfTheSourceAtTheEnd));
                    }
                    Err(failure) => {
                        self.done.push((index, Ended::Error(failure)));
                        if self.is(Fault::EndsAtAnErrorOfTheSource) {
                            self.source = None;
                        }
                    }
                }
            }
        }
        Poll::Ready(())
    }

    /// Starts the items whose key is free.
    fn start_waiting(&mut self) {
        let mut index = 0;
        while let Some((_, item)) = self.waiting.get(index) {
            let key = item.key();
            let is_busy = match self.fault {
                Fault::IgnoresKeys | Fault::RemembersKeys => false,
                Fault::RunsKeysInTurn => !self.keys.is_empty(),
                _ => self.keys.iter().any(|(_, other)| *other == key),
            };
            if self.map.keyed && is_busy {
                index += 1;
                continue;
            }
            let Some((number, item)) = self.waiting.remove(index) else { return };
            if self.map.keyed {
                self.keys.push((number, key));
            }
            let permits = Some(self.permits.clone()).filter(|_| self.is(Fault::StartsAllAtOnce));
            let run = async move {
                let _permit = match permits {
                    Some(permits) => permits.acquire_owned().await.ok(),
                    None => None,
                };
                (number, work(item).await)
            };
            if self.is_inline() {
                self.inline.push(Box::pin(run));
            } else {
                self.tasks.spawn(run);
            }
        }
    }

    fn take_due(&mut self) -> Option<Ended> {
        let ordered = match self.fault {
            Fault::IgnoresTheOrder => false,
            Fault::OrdersEverything => true,
            _ => self.map.ordered,
        };
        let due = self.done.iter().position(|(index, _)| !ordered || *index == self.returned)?;
        let (_, ended) = self.done.remove(due);
        self.returned += 1;
        if matches!(ended, Ended::Error(_)) && self.map.on_failure == FailureMode::Stop {
            self.fail(ended, false);
            return None;
        }
        Some(ended)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Output>> {
        if self.has_ended && self.is(Fault::PanicsAfterItsEnd) {
            panic!("polled after its end");
        }
        loop {
            self.reap(cx);
            let due = self.take_due();
            if due.is_some() && self.is(Fault::RefillsWhenItComesBack) {
                return Poll::Ready(due.map(Ended::result));
            }
            let (started, silent) = self.fill(cx);
            if due.is_some() && silent && self.is(Fault::WaitsForTheSource) {
                self.returned -= 1;
                self.done.extend(due.map(|due| (self.returned, due)));
                return Poll::Pending;
            }
            if let Some(due) = due {
                return Poll::Ready(Some(due.result()));
            }
            if started {
                continue;
            }
            let ended = self.running() == 0 || self.is(Fault::AbortsWithoutWaiting);
            if ended && let Some(failure) = self.failure.take() {
                self.done.clear();
                self.tasks.abort_all();
                return Poll::Ready(Some(match failure {
                    Ended::Panic(payload, _) => resume_unwind(payload),
                    failure => failure.result(),
                }));
            }
            if self.source.is_some() || self.held() > 0 {
                return Poll::Pending;
            }
            if self.is(Fault::EndsLate) {
                let late = self.late.get_or_insert_with(|| Box::pin(sleep(Duration::from_secs(1))));
                if late.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
            }
            self.has_ended = true;
            return Poll::Ready(None);
        }
    }
}

impl Stream for FaultyMap {
    type Item = Output;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Output>> {
        let first = self.waker.get_or_insert_with(|| cx.waker().clone()).clone();
        match self.fault {
            Fault::KeepsTheFirstWaker => self.poll(&mut Context::from_waker(&first)),
            Fault::LosesAResultToAnotherTask if !first.will_wake(cx.waker()) => {
                self.waker = Some(cx.waker().clone());
                self.reap(cx);
                self.done.clear();
                self.poll(cx)
            }
            _ => self.poll(cx),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let (lower, upper) = self.source.as_ref().map_or((0, Some(0)), Results::size_hint);
        let held = if self.is(Fault::ForgetsItemsInFlightInItsSize) { 0 } else { self.held() };
        if self.failure.is_some() {
            return (0, Some(held + 1));
        }
        let upper = match self.fault {
            Fault::OverflowsItsSize => upper.map(|upper| upper.wrapping_add(held)),
            _ => upper.and_then(|upper| upper.checked_add(held)),
        };
        // The first result may be the failure that ends it.
        let lower =
            if self.map.on_failure == FailureMode::GoOn { lower + held } else { (lower + held).min(1) };
        (lower, upper)
    }
}

impl Drop for FaultyMap {
    fn drop(&mut self) {
        let source = self.source.take();
        match self.fault {
            Fault::GoesOnWhenDropped => {
                if let (Some(source), Ok(runtime)) = (source, Handle::try_current()) {
                    runtime.spawn(source.for_each(async |_| sleep(Duration::from_millis(10)).await));
                }
            }
            Fault::KeepsASilentSource => mem::forget(source),
            Fault::DetachesWhenDropped => self.tasks.detach_all(),
            Fault::DetachesWhenDroppedEarly if self.returned == 0 => self.tasks.detach_all(),
            _ => {}
        }
    }
}

/// A map in a task of its own, which stands still while its output is full.
pub(super) fn staged(mut map: FaultyMap) -> impl Stream<Item = Output> {
    let (sender, receiver) = mpsc::channel(1);
    let task = tokio::spawn(async move {
        while let Some(output) = map.next().await {
            if sender.send(output).await.is_err() {
                return;
            }
        }
    });
    futures::stream::unfold((receiver, AbortOnDrop(task)), async |(mut receiver, task)| {
        receiver.recv().await.map(|output| (output, (receiver, task)))
    })
}

pub(super) struct AbortOnDrop(pub(super) JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
