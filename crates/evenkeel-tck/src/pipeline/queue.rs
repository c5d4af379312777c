//! A server and its workers behind their adapter.

use std::{fmt, time::Duration};

use super::{Item, Work};
use crate::{AdapterError, BoxFuture};

/// A configured server: its messages, and the workers that start on it.
///
/// It has only to have what the adapter [supports](crate::Adapter::supports): the rules never call the rest.
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
pub trait Queue: Send + Sync {
    /// Stores a message. It waits while the server is full or away.
    fn publish(&self, item: Item) -> BoxFuture<'_, ()>;

    /// Takes no more messages: workers end when all are settled.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn close(&self) {
        withheld(&"the end of a queue")
    }

    /// Connects and starts a worker, which runs until its handle is dropped.
    ///
    /// # Errors
    /// If the implementation cannot express its settings, or rejects them.
    fn start(&self, work: Work) -> BoxFuture<'_, Result<Box<dyn Worker>, AdapterError>>;

    /// Returns the number of messages that are neither acked nor buried.
    fn stored(&self) -> BoxFuture<'_, usize>;

    /// Stops the server for a time; what it has confirmed is kept.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn crash(&self, downtime: Duration) {
        withheld(&downtime)
    }

    /// Returns the number of letters in the implementation's own store of dead letters.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn dead_letters(&self) -> BoxFuture<'_, usize> {
        withheld(&"a store of dead letters")
    }

    /// Kills the server, without a word, and starts it again after a time.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn kill(&self, downtime: Duration) {
        withheld(&downtime)
    }

    /// Lets the server forget its workers and what they have in hand, which it delivers again.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn forget_workers(&self) -> BoxFuture<'_, ()> {
        withheld(&"a server that forgets")
    }

    /// Stops the server for a time, and takes what it has not made durable. Returns the number of messages that are gone.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn power_loss(&self, downtime: Duration) -> usize {
        withheld(&downtime)
    }

    /// Returns a source beside this queue, by its number from 0 on, as many as the
    /// settings of a rule ask for. It takes messages, is closed, stopped and counted on its own; workers start
    /// on the queue, and take messages from all.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn merged(&self, number: usize) -> &dyn Queue {
        withheld(&number)
    }

    /// Sets the clock of the server forward: each lease, delay and age that it counts by its clock is longer ago by this.
    ///
    /// Where the clock of a real server cannot be set, an adapter may do to the leases in hand what the server would do: end
    /// those that are over.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn set_clock_forward(&self, by: Duration) -> BoxFuture<'_, ()> {
        withheld(&by)
    }

    /// Sets the clock of the server back.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn set_clock_back(&self, by: Duration) -> BoxFuture<'_, ()> {
        withheld(&by)
    }

    /// Returns the mark of a log that is read from this position on.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn low_water(&self, position: u64) -> Box<dyn LowWater> {
        withheld(&position)
    }
}

/// A worker that runs. Dropping it kills it: nothing is settled any more.
///
/// It has only to have what the adapter [supports](crate::Adapter::supports): the rules never call the rest.
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
pub trait Worker: Send {
    /// Waits for the end: that of a closed queue, or an error that does not pass.
    fn finish(self: Box<Self>) -> BoxFuture<'static, End>;

    /// Takes no more messages, and finishes those in hand within the time; hands the rest back then, without an attempt.
    ///
    /// # Panics
    /// Unless it is implemented.
    #[must_use]
    fn drain(self: Box<Self>, within: Duration) -> BoxFuture<'static, End> {
        withheld(&within)
    }

    /// Takes no more messages until it is resumed.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn pause(&self) {
        withheld(&"a pause")
    }

    /// Takes messages again.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn resume(&self) {
        withheld(&"the end of a pause")
    }

    /// Changes the maximum number of messages that are worked on.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn set_limit(&self, limit: usize) {
        withheld(&limit)
    }

    /// Returns the numbers now.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn snapshot(&self) -> Snapshot {
        withheld(&"a snapshot")
    }

    /// Lets every call of this worker to the server fail for a time, from now on.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn cut(&self, time: Duration) {
        withheld(&time)
    }

    /// Lets every answer of the server to this worker be lost for a time, from now on: the server acts all the same.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn lose_answers(&self, time: Duration) {
        withheld(&time)
    }

    /// Lets every pull of this worker from one of its sources fail from now on, with an error that does not pass: 0 is the
    /// queue, and 1 the first that is [merged](Queue::merged).
    ///
    /// # Panics
    /// Unless it is implemented.
    fn delete(&self, source: usize) -> BoxFuture<'_, ()> {
        withheld(&source)
    }
}

/// The mark of a log: the position below which all is settled.
///
/// # Examples
/// ```
/// use evenkeel_tck::pipeline::LowWater;
///
/// /// A log whose items end in order.
/// struct InOrder(u64);
///
/// impl LowWater for InOrder {
///     fn begin(&mut self, _: u64) {}
///
///     fn settle(&mut self, position: u64) {
///         self.0 = position + 1;
///     }
///
///     fn mark(&self) -> u64 {
///         self.0
///     }
/// }
/// ```
pub trait LowWater {
    /// Notes that the item at the position is in hand.
    fn begin(&mut self, position: u64);

    /// Notes that the item at the position is settled.
    fn settle(&mut self, position: u64);

    /// Returns the mark.
    fn mark(&self) -> u64;
}

/// The end of a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "adapters build it")]
pub struct End {
    /// The account of every delivery; zeros without [`Capability::Report`](super::Capability::Report).
    pub report: Report,
    /// The error that ended it.
    pub error: Option<String>,
    /// The number of the source whose error it is, where there are several: 0 for the queue, and 1 for the first that is
    /// [merged](Queue::merged).
    pub source: Option<usize>,
}

/// The account of every delivery of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "adapters build it")]
pub struct Report {
    /// The deliveries that it took.
    pub accepted: u64,
    /// Done, as the server has confirmed.
    pub acked: u64,
    /// Failed, to be delivered again, as the server has confirmed.
    pub nacked: u64,
    /// Buried, as the server has confirmed.
    pub dead: u64,
    /// The rest: handed back, superseded, not confirmed, not finished.
    pub left: u64,
}

/// The numbers of a worker that runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "adapters build it")]
pub struct Snapshot {
    /// Messages in hand.
    pub in_hand: usize,
    /// Messages that are worked on.
    pub in_flight: usize,
    /// Messages in hand that wait for the limit.
    pub queued: usize,
    /// The account so far; what is in hand is left.
    pub report: Report,
}

fn withheld(what: &dyn fmt::Debug) -> ! {
    unreachable!("{what:?} was asked of an adapter that withholds it")
}
