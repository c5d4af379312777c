//! The source of a map, of batches and of a merge: a stream that follows the script of a rule, and records its steps.

use std::{
    collections::VecDeque,
    fmt,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use futures_core::Stream;
use tokio::time::advance;

use super::{
    item::{Item, Script},
    record::{Event, Record},
    remote::RemoteSource,
};
use crate::{
    agenda::{Sleep, sleep},
    probe_task::ReportedFailure,
};

/// The script of a source.
#[derive(Clone, Debug)]
pub(crate) struct Supply {
    steps: VecDeque<Step>,
    /// After the last step it is silent, and does not end.
    stays_open: bool,
    /// It is always ready, and this time goes by before each step.
    busy: Duration,
    hint: Hint,
}

#[derive(Clone, Debug)]
struct Step {
    /// The source is silent for this time.
    after: Duration,
    gives: Give,
}

/// A step of a source. The script has no end among its steps: that is their last one.
#[derive(Clone, Debug)]
pub(crate) enum Give {
    Item(Script),
    Error(u32),
    Panic,
    End,
}

/// The size hint of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    Exact,
    Unknown,
    /// True, and as large as a number can be.
    Huge,
}

impl Supply {
    /// Gives these one after the other, always ready.
    pub(crate) fn of(items: impl IntoIterator<Item = Script>) -> Self {
        let steps = items.into_iter().map(|script| Step { after: Duration::ZERO, gives: Give::Item(script) });
        Self { steps: steps.collect(), stays_open: false, busy: Duration::ZERO, hint: Hint::Exact }
    }

    /// Gives another one after this time of silence.
    pub(crate) fn later(self, after: Duration, script: Script) -> Self {
        self.step(after, Give::Item(script))
    }

    /// Gives an error after this time of silence.
    pub(crate) fn error(self, after: Duration, number: u32) -> Self {
        self.step(after, Give::Error(number))
    }

    /// Panics after this time of silence.
    pub(crate) fn panic(self, after: Duration) -> Self {
        self.step(after, Give::Panic)
    }

    /// Does not end.
    pub(crate) fn open(self) -> Self {
        Self { stays_open: true, ..self }
    }

    /// Lets this time go by before each step, though it is always ready.
    pub(crate) fn busy(self, busy: Duration) -> Self {
        Self { busy, ..self }
    }

    pub(crate) fn hinting(self, hint: Hint) -> Self {
        Self { hint, ..self }
    }

    fn step(mut self, after: Duration, gives: Give) -> Self {
        self.steps.push_back(Step { after, gives });
        self
    }
}

/// The source of an operator: a stream of [items](Item).
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
#[must_use = "streams do nothing unless polled"]
pub struct Source(Inner);

enum Inner {
    Scripted(Scripted),
    Remote(Box<dyn RemoteSource>),
}

/// A source with its script.
pub(crate) struct Scripted {
    supply: Supply,
    record: Record,
    timer: Option<Sleep>,
    has_ended: bool,
}

impl Source {
    pub(crate) fn new(supply: Supply, record: &Record) -> Self {
        Self(Inner::Scripted(Scripted { supply, record: record.clone(), timer: None, has_ended: false }))
    }

    /// A source in another process.
    pub(crate) fn remote(remote: Box<dyn RemoteSource>) -> Self {
        Self(Inner::Remote(remote))
    }

    /// The script, to be played for another process.
    pub(crate) fn into_scripted(self) -> Option<Scripted> {
        match self.0 {
            Inner::Scripted(scripted) => Some(scripted),
            Inner::Remote(_) => None,
        }
    }

    /// The items as a stream of results, for a map that takes one; an error is among them only where
    /// [`Capability::SourceErrors`](super::Capability::SourceErrors) is supported.
    pub fn results(self) -> Results {
        Results(self)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Item, ReportedFailure>>> {
        match &mut self.0 {
            Inner::Scripted(scripted) => scripted.poll(cx),
            Inner::Remote(remote) => remote.poll(cx),
        }
    }

    fn hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            Inner::Scripted(scripted) => scripted.hint(),
            Inner::Remote(_) => (0, None),
        }
    }
}

impl Scripted {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Item, ReportedFailure>>> {
        if self.has_ended {
            self.asked_again();
            return Poll::Ready(None);
        }
        let Some(silence) = self.silence() else { return Poll::Pending };
        if !silence.is_zero() {
            let timer = self.timer.get_or_insert_with(|| sleep(silence));
            if Pin::new(timer).poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer = None;
            self.speak();
        }
        if !self.supply.busy.is_zero() && !self.supply.steps.is_empty() {
            // The first poll moves the clock.
            let _ = pin!(advance(self.supply.busy)).poll(cx);
        }
        let give = self.next();
        let item = self.gave(&give);
        Poll::Ready(match give {
            Give::Item(_) => item.map(Ok),
            Give::Error(number) => Some(Err(ReportedFailure::error(number))),
            Give::Panic => panic!("task 0 panicked"),
            Give::End => None,
        })
    }

    fn hint(&self) -> (usize, Option<usize>) {
        let left = self.supply.steps.len();
        match self.supply.hint {
            Hint::Exact if self.supply.stays_open => (left, None),
            Hint::Exact => (left, Some(left)),
            Hint::Unknown => (0, None),
            Hint::Huge => (left, Some(usize::MAX)),
        }
    }

    /// For how long it is silent before its next step; `None` if that is for ever.
    pub(crate) fn silence(&self) -> Option<Duration> {
        match self.supply.steps.front() {
            Some(step) => Some(step.after),
            None => (!self.supply.stays_open && !self.has_ended).then_some(Duration::ZERO),
        }
    }

    /// The silence before its next step is over.
    pub(crate) fn speak(&mut self) {
        if let Some(step) = self.supply.steps.front_mut() {
            step.after = Duration::ZERO;
        }
    }

    /// Its next step, if it is not silent before it.
    pub(crate) fn ready(&mut self) -> Option<Give> {
        (self.silence() == Some(Duration::ZERO)).then(|| self.next())
    }

    /// Takes its next step, whose silence is over.
    fn next(&mut self) -> Give {
        let step = self.supply.steps.pop_front();
        self.has_ended |= step.is_none();
        step.map_or(Give::End, |step| step.gives)
    }

    /// A step is handed out, here or in the other process.
    pub(crate) fn gave(&self, give: &Give) -> Option<Item> {
        match give {
            Give::Item(script) => {
                self.record.note(Event::Given(script.number));
                return Some(Item::new(script.clone(), &self.record));
            }
            Give::Error(number) => self.record.note(Event::GaveError(*number)),
            Give::Panic => {}
            Give::End => self.record.note(Event::SourceEnded),
        }
        None
    }

    /// It is asked again after its end.
    pub(crate) fn asked_again(&self) {
        self.record.note(Event::PolledAfterEnd);
    }
}

impl Stream for Source {
    type Item = Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        self.poll(cx).map(|item| item.and_then(Result::ok))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.hint()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.record.note(Event::SourceFreed);
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}

/// The stream of [`Source::results`].
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Results(Source);

impl Stream for Results {
    type Item = Result<Item, ReportedFailure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.hint()
    }
}
