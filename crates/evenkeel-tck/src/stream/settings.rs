//! The capabilities and the settings of operators on streams.

use std::{fmt, time::Duration};

use super::Operator;
use crate::{
    adapter::{Pattern, capabilities, where_needed},
    task::FailureMode,
};

/// The operator that an implementation is to make; an adapter returns [`AdapterError`](crate::AdapterError) where it
/// cannot.
///
/// It never has a setting whose [`Capability`] the adapter does not support.
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Settings {
    /// A concurrent map.
    Map(Map),
    /// Batches of items.
    Batch(Batch),
    /// One stream of the items of several.
    Merge,
    /// A bounded queue between producers and consumers.
    Queue(Queue),
    /// The items of an API that returns pages.
    Pages(Pages),
    /// A stream of the values that a function emits.
    Generate,
}

/// A concurrent map: a function over the items of a source.
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Map {
    /// The maximum of items in flight. One rule asks for zero.
    pub limit: usize,
    /// The results come in the order of the items; without it in the order of completion.
    pub ordered: bool,
    /// The effect of a failure on the other items.
    pub on_failure: FailureMode,
    /// Items of one [key](super::Item::key) run one after the other.
    pub keyed: bool,
}

/// The size of a batch.
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Batch {
    /// The maximum of items. One rule asks for zero.
    pub items: usize,
    /// The time after its first item at which a batch ends.
    pub within: Option<Duration>,
    /// The maximum of the sum of [weights](super::Item::weight); an item that is heavier is a batch of its own.
    pub weight: Option<usize>,
    /// A batch ends with an item that [ends it](super::Item::ends_batch).
    pub until: bool,
}

/// A bounded queue.
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Queue {
    /// The maximum of queued items. One rule asks for zero.
    pub capacity: usize,
    /// The capacity is a sum of [weights](super::Item::weight), not a number of items.
    pub by_weight: bool,
}

/// An API that returns pages.
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Pages {
    /// The number of pages to fetch ahead; 0 fetches a page when its first item is asked for.
    pub ahead: usize,
}

impl Batch {
    pub(crate) const fn items(items: usize) -> Self {
        Self { items, within: None, weight: None, until: false }
    }

    pub(crate) const fn within(self, within: Duration) -> Self {
        Self { within: Some(within), ..self }
    }
}

impl Queue {
    pub(crate) const fn of(capacity: usize) -> Self {
        Self { capacity, by_weight: false }
    }
}

impl fmt::Display for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.ordered { "an ordered map" } else { "an unordered map" })?;
        f.write_str(if self.keyed { " with keys" } else { "" })?;
        f.write_str(match self.on_failure {
            FailureMode::Stop => " that a failure stops",
            FailureMode::GoOn => " that no failure stops",
            FailureMode::Usual => "",
        })
    }
}

impl Pattern for Settings {
    type Capability = Capability;
    type Configured = Operator;

    fn needs(&self) -> impl Iterator<Item = Capability> {
        let (map, batch, queue, pages) = match self {
            Self::Map(map) => (Some(map), None, None, None),
            Self::Batch(batch) => (None, Some(batch), None, None),
            Self::Queue(queue) => (None, None, Some(queue), None),
            Self::Pages(pages) => (None, None, None, Some(pages)),
            Self::Merge | Self::Generate => (None, None, None, None),
        };
        where_needed([
            (map.is_some(), Capability::Map),
            (map.is_some_and(|map| map.ordered), Capability::Ordered),
            (map.is_some_and(|map| !map.ordered), Capability::Unordered),
            (map.is_some_and(|map| map.on_failure == FailureMode::Stop), Capability::FailFast),
            (map.is_some_and(|map| map.on_failure == FailureMode::GoOn), Capability::CollectAll),
            (map.is_some_and(|map| map.keyed), Capability::Keys),
            (batch.is_some(), Capability::Batch),
            (batch.is_some_and(|batch| batch.within.is_some()), Capability::BatchTime),
            (batch.is_some_and(|batch| batch.weight.is_some()), Capability::BatchWeight),
            (batch.is_some_and(|batch| batch.until), Capability::BatchUntil),
            (matches!(self, Self::Merge), Capability::Merge),
            (queue.is_some(), Capability::Queue),
            (queue.is_some_and(|queue| queue.by_weight), Capability::QueueWeight),
            (pages.is_some(), Capability::Pages),
            (pages.is_some_and(|pages| pages.ahead > 0), Capability::Prefetch),
            (matches!(self, Self::Generate), Capability::Generate),
        ])
    }
}

capabilities! {
    /// A feature that an implementation of stream operators may have.
    ///
    /// # Examples
    /// As in [`SUITE`](super::SUITE).
    pub enum Capability {
        /// A concurrent map.
        Map = "map",
        /// Results of a map in the order of the items.
        Ordered = "ordered results",
        /// Results of a map in the order of completion.
        Unordered = "unordered results",
        /// The first failure of an item stops a map.
        FailFast = "fail fast",
        /// No failure of an item stops a map.
        CollectAll = "collect all",
        /// A source whose items are results, and an error of it is one of the map.
        SourceErrors = "source errors",
        /// A panic of an item is a result like another one.
        PanicResults = "panics as results",
        /// A map runs its items on several threads.
        Parallel = "parallel",
        /// The results of a map are a stream.
        Stream = "stream",
        /// Order within a key, concurrency across keys.
        Keys = "keys",
        /// Batches of a number of items.
        Batch = "batch",
        /// Batches that end after a time.
        BatchTime = "batch time",
        /// Batches of a weight, such as bytes.
        BatchWeight = "batch weight",
        /// Batches that end with certain items.
        BatchUntil = "batch until",
        /// The items of an unfinished batch can be taken back.
        BatchRest = "batch rest",
        /// One stream of several.
        Merge = "merge",
        /// Sources can be added to a merge that runs.
        AddSources = "add sources",
        /// A bounded queue.
        Queue = "queue",
        /// Items of a queue are popped; without it, workers alone take them.
        Pop = "pop",
        /// A queue ends when its last producer is gone.
        EndWithProducers = "end with producers",
        /// Pushes fail when the last consumer is gone.
        EndWithConsumers = "end with consumers",
        /// A queue has several consumers.
        Consumers = "several consumers",
        /// A queue can be closed while producers live.
        Close = "close",
        /// A queue can be closed so that its items come back.
        CloseNow = "close now",
        /// A wait until all items of a queue are finished.
        Join = "join",
        /// A consumer can hand an item back to its queue.
        HandBack = "hand back",
        /// A queue that is bounded by weight, such as bytes.
        QueueWeight = "queue weight",
        /// Workers on a queue.
        Workers = "workers",
        /// The items of an API that returns pages.
        Pages = "pages",
        /// Pages are fetched ahead.
        Prefetch = "prefetch",
        /// A stream of the values that a function emits.
        Generate = "generate",
    }
}
