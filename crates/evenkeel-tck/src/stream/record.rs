//! The events of an operator, and the questions that rules ask of them.

use std::{fmt, time::Duration};

use crate::{probe_task::ReportedFailure, timeline::Timeline};

/// The events of a source, of its items and of a consumer, each with its time.
pub(crate) type Record = Timeline<Event>;

/// An event of the item with this number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The source gave the item.
    Given(u32),
    /// The source gave this error.
    GaveError(u32),
    /// The source has ended.
    SourceEnded,
    /// The source was polled after its end.
    PolledAfterEnd,
    /// The source was dropped.
    SourceFreed,
    /// The work of the item was polled for the first time.
    Began(u32),
    /// The work of the item was ready.
    Ended(u32),
    /// The work of the item returned an error.
    Failed(u32),
    /// The work of the item panicked.
    Panicked(u32),
    /// The item, or its work, was dropped.
    Freed(u32),
    /// The consumer got the item, or the value of its work.
    Took(u32),
    /// The consumer was told of this failure.
    Told(ReportedFailure),
    /// The consumer got this batch.
    TookBatch(Vec<u32>),
    /// A producer waits with the item for room in the queue.
    Pushes(u32),
    /// The queue accepted the item.
    Pushed(u32),
    /// The queue gave the item back.
    GaveBack(u32),
    /// The queue did not accept the item, and did not give it back.
    Refused(u32),
    /// The page with this number was asked for.
    Asked(u32),
    /// The fetch of the page has ended, or was dropped.
    Answered(u32),
    /// The consumer with this number was told that there are no more.
    Over(u32),
    /// The operator, or the wait that the rule is about, has ended.
    Returned,
}

impl Record {
    pub(crate) fn numbers(&self, of: impl Fn(&Event) -> Option<u32>) -> Vec<u32> {
        self.pick(|_, event| of(event))
    }

    /// The first time of this event.
    pub(crate) fn first(&self, wanted: &Event) -> Option<Duration> {
        self.pick(|at, event| (event == wanted).then_some(at)).first().copied()
    }

    pub(crate) fn count(&self, wanted: &Event) -> usize {
        self.pick(|_, event| (event == wanted).then_some(())).len()
    }

    /// The items that the consumer got, in this order.
    pub(crate) fn taken(&self) -> Vec<u32> {
        self.numbers(|event| match event {
            Event::Took(number) => Some(*number),
            _ => None,
        })
    }

    pub(crate) fn given(&self) -> Vec<u32> {
        self.numbers(|event| match event {
            Event::Given(number) => Some(*number),
            _ => None,
        })
    }

    pub(crate) fn begun(&self) -> Vec<u32> {
        self.numbers(|event| match event {
            Event::Began(number) => Some(*number),
            _ => None,
        })
    }

    pub(crate) fn ended(&self) -> Vec<u32> {
        self.numbers(|event| match event {
            Event::Ended(number) => Some(*number),
            _ => None,
        })
    }

    /// The failures of which the consumer was told.
    pub(crate) fn told(&self) -> Vec<ReportedFailure> {
        self.pick(|_, event| match event {
            Event::Told(failure) => Some(failure.clone()),
            _ => None,
        })
    }

    /// When the consumer was first told of a failure.
    pub(crate) fn told_at(&self) -> Option<Duration> {
        self.pick(|at, event| matches!(event, Event::Told(_)).then_some(at)).first().copied()
    }

    pub(crate) fn batches(&self) -> Vec<(Vec<u32>, Duration)> {
        self.pick(|at, event| match event {
            Event::TookBatch(items) => Some((items.clone(), at)),
            _ => None,
        })
    }

    /// The maximum of items that were begun and had neither ended nor been dropped.
    pub(crate) fn peak(&self) -> usize {
        self.peak_of(|event| matches!(event, Event::Ended(_) | Event::Failed(_) | Event::Panicked(_)))
    }

    /// The maximum of items that were begun and not taken.
    pub(crate) fn untaken_peak(&self) -> usize {
        self.peak_of(|event| matches!(event, Event::Took(_) | Event::Told(_)))
    }

    fn peak_of(&self, leaves: impl Fn(&Event) -> bool) -> usize {
        let steps = self.pick(|_, event| match event {
            Event::Began(_) => Some(1),
            event if leaves(event) => Some(-1),
            _ => None,
        });
        let (mut now, mut peak) = (0_isize, 0);
        for step in steps {
            now += step;
            peak = peak.max(now);
        }
        peak as usize
    }

    /// The items that were given and not dropped.
    pub(crate) fn alive(&self) -> Vec<u32> {
        let freed = self.numbers(|event| match event {
            Event::Freed(number) => Some(*number),
            _ => None,
        });
        self.given().into_iter().filter(|number| !freed.contains(number)).collect()
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(number) => write!(f, "the source gives item {number}"),
            Self::GaveError(number) => write!(f, "the source gives error {number}"),
            Self::SourceEnded => f.write_str("the source ends"),
            Self::PolledAfterEnd => f.write_str("the source is polled after its end"),
            Self::SourceFreed => f.write_str("the source is dropped"),
            Self::Began(number) => write!(f, "item {number} begins"),
            Self::Ended(number) => write!(f, "item {number} ends"),
            Self::Failed(number) => write!(f, "item {number} fails"),
            Self::Panicked(number) => write!(f, "item {number} panics"),
            Self::Freed(number) => write!(f, "item {number} is dropped"),
            Self::Took(number) => write!(f, "the consumer gets item {number}"),
            Self::Told(failure) => write!(f, "the consumer is told: {failure}"),
            Self::TookBatch(items) => write!(f, "the consumer gets the batch {items:?}"),
            Self::Pushes(number) => write!(f, "item {number} comes to the queue"),
            Self::Pushed(number) => write!(f, "item {number} is in the queue"),
            Self::GaveBack(number) => write!(f, "item {number} comes back"),
            Self::Refused(number) => write!(f, "item {number} is refused, and does not come back"),
            Self::Asked(number) => write!(f, "page {number} is asked for"),
            Self::Answered(number) => write!(f, "the fetch of page {number} is over"),
            Self::Over(number) => write!(f, "consumer {number} is told that there are no more"),
            Self::Returned => f.write_str("it has ended"),
        }
    }
}
