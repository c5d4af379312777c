//! The capabilities and the settings of a pipeline and its server.

use std::time::Duration;

use super::Queue;
use crate::{
    adapter::{Pattern, capabilities, where_needed},
    clock::Clock,
    duration::secs,
};

/// The configuration of a server and of the workers that start on it; an adapter returns
/// [`AdapterError`](crate::AdapterError) where it cannot be.
///
/// It never has a setting whose [`Capability`] the adapter does not support.
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The time after which the server delivers a message again whose delivery is neither settled nor extended.
    pub ack_wait: Duration,
    /// The number of messages that the server holds; a publish waits while there are as many.
    pub capacity: Option<usize>,
    /// The interval at which the server makes durable what it has confirmed; `None` for at once.
    pub sync_every: Option<Duration>,
    /// The share of deliveries that come once more while the first is under way.
    pub duplicates: f64,
    /// The share of deliveries that a later message overtakes.
    pub reorders: f64,
    /// The maximum number of messages that a worker has in hand.
    pub window: usize,
    /// The maximum sum of their sizes.
    pub budget: Option<usize>,
    /// The work on each message.
    pub shape: Shape,
    /// The maximum number of messages, parts or batches that are worked on at a time.
    pub limit: Option<usize>,
    /// The time after which the work on a message has failed.
    pub timeout: Option<Duration>,
    /// Messages with the same key are worked on one after the other.
    pub keyed: bool,
    /// The delay before another attempt: this, times the number of the attempt that failed.
    pub backoff: Duration,
    /// The number of attempts after which a message is [buried](super::Work::bury).
    pub max_attempts: Option<u32>,
    /// Dead letters are written into the store that the implementation has for them, and then [buried](super::Work::bury).
    pub letter_store: bool,
    /// The server will be stopped, so that it must be one of its own.
    pub stops: bool,
    /// The number of [sources](super::Queue::merged) beside the queue, from which each worker takes messages as well.
    pub merged: usize,
    /// The clock of the server will be set, so that it must be one whose clock can be.
    pub sets_clock: bool,
}

/// The work on each message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shape {
    /// It is [run](super::Work::run).
    Single,
    /// It is run if it is [kept](super::Work::keeps), and done else.
    Filter,
    /// It is split into [parts](super::Work::parts), each of which is run.
    Split,
    /// Messages are [stored](super::Work::store) in batches of this size.
    Batch {
        /// The size.
        items: usize,
        /// The time after which a smaller batch is stored, from its first message on.
        within: Option<Duration>,
    },
}

impl Settings {
    /// Workers with this window over a server with an ack wait of 30 seconds, whose retries come 5, 10, 15 ... seconds later.
    pub(crate) fn of(window: usize) -> Self {
        Self {
            ack_wait: secs(30),
            capacity: None,
            sync_every: None,
            duplicates: 0.0,
            reorders: 0.0,
            window,
            budget: None,
            shape: Shape::Single,
            limit: None,
            timeout: None,
            keyed: false,
            backoff: secs(5),
            max_attempts: None,
            letter_store: false,
            stops: false,
            merged: 0,
            sets_clock: false,
        }
    }

    /// With a second source.
    pub(crate) fn merged(self) -> Self {
        Self { merged: 1, ..self }
    }

    pub(crate) fn shaped(self, shape: Shape) -> Self {
        Self { shape, ..self }
    }

    pub(crate) fn limited(self, limit: usize) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// Over a server that will be stopped.
    pub(crate) fn stopped(self) -> Self {
        Self { stops: true, ..self }
    }

    /// The settings on a clock.
    pub(crate) fn on(&self, clock: Clock) -> Self {
        let time = |time: Duration| clock.takes(time);
        let shape = match self.shape {
            Shape::Batch { items, within } => Shape::Batch { items, within: within.map(time) },
            shape => shape,
        };
        Self {
            ack_wait: time(self.ack_wait),
            sync_every: self.sync_every.map(time),
            timeout: self.timeout.map(time),
            backoff: time(self.backoff),
            shape,
            ..self.clone()
        }
    }

    /// With dead letters after this number of attempts.
    pub(crate) fn attempts(self, max: u32) -> Self {
        Self { max_attempts: Some(max), ..self }
    }
}

impl Pattern for Settings {
    type Capability = Capability;
    type Configured = Box<dyn Queue>;

    fn needs(&self) -> impl Iterator<Item = Capability> {
        where_needed([
            (self.capacity.is_some(), Capability::Capacity),
            (self.sync_every.is_some(), Capability::PowerLoss),
            (self.duplicates > 0.0, Capability::Duplicates),
            (self.reorders > 0.0, Capability::Reorders),
            (self.budget.is_some(), Capability::Budget),
            (self.shape == Shape::Filter, Capability::Filter),
            (self.shape == Shape::Split, Capability::Split),
            (matches!(self.shape, Shape::Batch { .. }), Capability::Batch),
            (self.limit.is_some(), Capability::Limit),
            (self.timeout.is_some(), Capability::Timeout),
            (self.keyed, Capability::Keys),
            (self.max_attempts.is_some(), Capability::DeadLetters),
            (self.letter_store, Capability::LetterStore),
            (self.stops, Capability::Crash),
            (self.merged > 0, Capability::Merge),
        ])
    }
}

capabilities! {
    /// A feature that an implementation of pipelines may have.
    ///
    /// # Examples
    /// As in [`SUITE`](super::SUITE).
    pub enum Capability {
        /// Deliveries have leases, which run out when a worker is gone.
        Leases = "leases",
        /// A failed message comes again after a delay that depends on the attempt.
        Backoff = "backoff",
        /// A budget in bytes.
        Budget = "budget",
        /// A maximum of messages that are worked on, below the window.
        Limit = "limit",
        /// The limit can be changed while it runs.
        SetLimit = "set limit",
        /// A time limit of the work on a message.
        Timeout = "time-out",
        /// Order within a key.
        Keys = "keys",
        /// Work that ends for some messages before its end.
        Filter = "filter",
        /// Messages of several parts.
        Split = "split",
        /// Messages that are stored in batches.
        Batch = "batch",
        /// Messages that have failed too often are buried.
        DeadLetters = "dead letters",
        /// The implementation has a store of its own for dead letters.
        LetterStore = "store of dead letters",
        /// A queue can be closed, which ends its workers when all is settled.
        Close = "close",
        /// Workers can be paused.
        Pause = "pause",
        /// Workers can be drained, with a deadline.
        Drain = "drain",
        /// A worker tells what became of every delivery.
        Report = "report",
        /// A worker tells its numbers while it runs.
        Snapshot = "snapshot",
        /// A publish waits while the server is full.
        Capacity = "capacity",
        /// The server can stop for a time, with its store kept.
        Crash = "crash",
        /// The server can be killed, and started again with what has reached its disk.
        Kill = "kill",
        /// The server can lose what it has not made durable.
        PowerLoss = "power loss",
        /// The link from a worker to the server can be cut for a time.
        Cut = "cut",
        /// The answers of the server to a worker can be lost for a time, though it acts.
        LostAnswers = "lost answers",
        /// The server can be made to forget its workers.
        Forget = "forgotten workers",
        /// The queue of a worker can be deleted, which is an error that does not pass.
        Delete = "delete",
        /// The server can deliver twice.
        Duplicates = "duplicates",
        /// The server can deliver out of order.
        Reorders = "reorders",
        /// A worker can take messages from several sources.
        Merge = "several sources",
        /// The clock of the server can be set forward.
        ClockForward = "clock set forward",
        /// The clock of the server can be set back.
        ClockBack = "clock set back",
        /// The position of a log below which all is settled.
        LowWater = "low-water mark",
    }
}
