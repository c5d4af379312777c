//! The trait of a source: deliveries on demand.

use std::{fmt, time::Duration};

use tokio::time::Instant;

use crate::{Ack, AtServer, SourceError};

/// Items with their acks: a queue, a stream of a broker, a table.
///
/// A source delivers each item at least once, and again until it is [settled](Ack::settle). It has two halves: this one
/// pulls, and its [`Ack`] settles deliveries and extends their leases beside a pull that is under way.
///
/// - **A pull is a demand.** It returns at most the deliveries that the pipeline has room for, and a source keeps none back
///   in a buffer of its client, where their leases would run unseen.
/// - **A source never decides that an item has failed too often.** It tells the number of the attempt; the pipeline
///   counts, writes the dead letter, and then says [`Settle::Term`](crate::Settle::Term).
///
/// # Examples
///
/// Numbers, which are gone when their work fails: enough for a test. The [guide](crate::guide#a-log) has a log that delivers
/// them again.
///
/// ```
/// use evenkeel_pipeline::{Ack, Delivery, Demand, Settle, SettleOutcome, Source, SourceError};
///
/// struct Numbers(std::ops::Range<u64>);
///
/// #[derive(Clone)]
/// struct NoLease;
///
/// impl Source for Numbers {
///     type Item = u64;
///     type Ack = NoLease;
///
///     async fn pull(&mut self, demand: Demand) -> Result<Vec<Delivery<u64, u64>>, SourceError> {
///         Ok(self.0.by_ref().take(demand.items).map(|n| Delivery::new(n, n, 1)).collect())
///     }
///
///     fn ack(&self) -> NoLease {
///         NoLease
///     }
/// }
///
/// impl Ack for NoLease {
///     type Receipt = u64;
///
///     async fn settle(&self, batch: &[(u64, Settle)]) -> Result<Vec<SettleOutcome>, SourceError> {
///         Ok(vec![SettleOutcome::Confirmed; batch.len()])
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let mut numbers = Numbers(0..3);
/// let pulled = numbers.pull(Demand { items: 2, bytes: usize::MAX }).await.unwrap();
/// assert_eq!(pulled.iter().map(|delivery| delivery.item).collect::<Vec<_>>(), [0, 1]);
/// # }
/// ```
pub trait Source: Send + 'static {
    /// One item.
    type Item: Send + 'static;
    /// The half that settles.
    type Ack: Ack;

    /// Waits for at least one delivery, and returns at most the demand. An empty vector says that the source has ended.
    ///
    /// The first delivery may exceed the demand in bytes, so that an item above every budget passes; the others may not,
    /// together with it. Each pull has a
    /// time limit of its own against a server that does not answer.
    ///
    /// # Errors
    ///
    /// A [transient](SourceError::transient) one is told and the pull repeated after a pause; a
    /// [permanent](SourceError::permanent) one ends the pipeline.
    ///
    /// # Cancel safety
    ///
    /// Implementations lose nothing when a pull is dropped: the next one returns what had arrived. The pipeline drops one that waits
    /// when it has twice the room, and asks again.
    fn pull(&mut self, demand: Demand) -> impl Future<Output = Result<Deliveries<Self>, SourceError>> + Send;

    /// Returns the half that settles; the pipeline asks once.
    fn ack(&self) -> Self::Ack;

    /// Returns whether a pull may block its thread, as one that reads a file does: `true` by default.
    ///
    /// If so, a pipeline on several threads does not pull in the poll in which it has woken a stage: the stage would be kept to
    /// the thread. A source that never blocks spares a turn of a task for each pull, and mostly the wake of a thread.
    fn may_block(&self) -> bool {
        true
    }

    /// Returns the handle by which dumps of evenkeel-inspect read of the items that wait at the server; `None` by default, as of
    /// a source that is given all of them. The pipeline asks once.
    fn at_server(&self) -> Option<AtServer> {
        None
    }

    /// Compares the durability and the limits that the server really has with what the pipeline is about to do, before the
    /// first pull. It warns of nothing by default.
    ///
    /// # Errors
    ///
    /// As for [`pull`](Source::pull).
    ///
    /// # Cancel safety
    ///
    /// Implementations change nothing when it is dropped.
    fn check(
        &mut self,
        workload: &Workload,
    ) -> impl Future<Output = Result<Vec<Warning>, SourceError>> + Send {
        let _ = workload;
        std::future::ready(Ok(Vec::new()))
    }

    /// Hands back what arrived and was not pulled, without an attempt, and asks for no more until the next pull: the pipeline
    /// is paused. It does nothing by default.
    ///
    /// # Cancel safety
    ///
    /// It is dropped when the pipeline is drained meanwhile; leases that are left run out then.
    fn pause(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Hands back what arrived and was not pulled, without an attempt, and leaves the server: the last call. It does nothing
    /// by default.
    ///
    /// # Cancel safety
    ///
    /// It is dropped when the time of a drain is over; leases that are left run out then.
    fn stop(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// The deliveries of one pull.
pub type Deliveries<S> = Vec<Delivery<<S as Source>::Item, <<S as Source>::Ack as Ack>::Receipt>>;

/// The room that a pipeline has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "sources build it in their tests")]
pub struct Demand {
    /// The number of items, at least one.
    pub items: usize,
    /// The sum of their sizes in bytes; `usize::MAX` without a budget.
    pub bytes: usize,
}

/// An item that was delivered, and the facts of its delivery.
///
/// # Examples
///
/// ```
/// use evenkeel_pipeline::Delivery;
///
/// let delivery = Delivery { size: 5, ..Delivery::new("hello", 17_u64, 1) };
/// assert_eq!((delivery.receipt, delivery.attempt), (17, 1));
/// ```
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "sources build it")]
pub struct Delivery<T, R> {
    /// The item.
    pub item: T,
    /// The handle by which this delivery is settled.
    pub receipt: R,
    /// The number of this attempt: one more than the attempts that failed or whose lease ran out.
    pub attempt: u32,
    /// The size in bytes, for budgets; 0 if it is not known.
    pub size: usize,
    /// The instant from which [`ack_wait`](Ack::ack_wait) is counted: when the item left the server, or earlier.
    pub leased_at: Instant,
}

impl<T, R> Delivery<T, R> {
    /// Creates a delivery without a size, whose lease begins now.
    #[must_use]
    pub fn new(item: T, receipt: R, attempt: u32) -> Self {
        Self { item, receipt, attempt, size: 0, leased_at: Instant::now() }
    }
}

/// The work that a pipeline is about to do, for the [check](Source::check) of its source.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Workload {
    /// The most items in hand at the same time.
    pub window: usize,
    /// The sum of the timeouts of all stages; `None` if one of them has none.
    pub timeout: Option<Duration>,
}

impl Workload {
    /// Describes a pipeline with this window and no timeouts.
    #[must_use]
    pub const fn new(window: usize) -> Self {
        Self { window, timeout: None }
    }
}

/// Something that a user should know before the first item: a plain sentence.
///
/// # Examples
///
/// ```
/// let warning = evenkeel_pipeline::Warning::new("the stream has one replica: a lost disk loses it");
/// assert_eq!(warning.to_string(), "the stream has one replica: a lost disk loses it");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(String);

impl Warning {
    /// Creates a warning from its sentence.
    #[must_use]
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
