//! A broker in memory: leases, redelivery, delays, and faults on request.

use std::{fmt, sync::Arc, time::Duration};

mod ended;
mod ids;
mod receipt;
mod shared;
mod snapshot;
mod source;
mod state;
mod time;

use self::shared::Shared;
pub use self::{
    receipt::MemoryReceipt,
    snapshot::{MemorySnapshot, PowerLoss},
    source::{MemoryAck, MemorySource},
};
use crate::{Message, Sink, SinkError};

/// A queue in memory with the semantics of a broker: a delivery is leased, and comes again when its lease runs out.
///
/// It is the queue within one process, and the model of a server in tests: it can be slow, deliver twice and out of order,
/// lose answers, [crash](MemoryBroker::crash), and lose what it has not [synced](MemoryBroker::sync) with the
/// [power](MemoryBroker::power_loss). All of that is decided by a seed, and happens in tokio's time, which tests pause.
///
/// It is bounded: [`publish`](MemoryBroker::publish) waits while it is full. What is in it ends with the process.
///
/// Clones are handles of the same broker. Several sources share its messages.
///
/// # Examples
///
/// ```
/// use evenkeel_pipeline::{MemoryBroker, Pipeline};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let broker = MemoryBroker::new();
/// broker.publish("hello").await?;
/// broker.close();
/// let pipeline = Pipeline::from(broker.source())
///     .stage("print", async |text: &str| Ok::<_, std::io::Error>(println!("{text}")));
/// pipeline.start()?.await?;
/// assert_eq!(broker.snapshot().stored, 0);
/// # Ok(()) }
/// ```
pub struct MemoryBroker<T> {
    shared: Arc<Shared<T>>,
}

/// The settings of a [`MemoryBroker`].
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "tests build it from its default")]
pub struct MemoryConfig {
    /// The number of messages it holds, at least one; 10,000 by default.
    pub capacity: usize,
    /// The time after which a delivery comes again that is neither settled nor extended; 30 seconds by default.
    pub ack_wait: Duration,
    /// The time for which ids of [`publish_once`](MemoryBroker::publish_once) are known; 2 minutes by default.
    pub dedup_window: Duration,
    /// The interval at which it makes what it has confirmed durable; `None`, the default, for at once.
    pub sync_every: Option<Duration>,
    /// Its faults; none by default.
    pub faults: Faults,
}

/// The faults of a [`MemoryBroker`]. The shares are from 0 to 1.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "tests build it from its default")]
pub struct Faults {
    /// The seed of all that is random.
    pub seed: u64,
    /// Each call takes a random time up to this.
    pub latency: Duration,
    /// The share of deliveries that come once more while the first is under way.
    pub duplicates: f64,
    /// The share of deliveries that a later message overtakes.
    pub reorders: f64,
    /// The share of settlements and extensions that are carried out, and their answer lost.
    pub lost_answers: f64,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self {
            capacity: 10_000,
            ack_wait: Duration::from_secs(30),
            dedup_window: Duration::from_secs(120),
            sync_every: None,
            faults: Faults::default(),
        }
    }
}

impl<T: Clone + Send + 'static> MemoryBroker<T> {
    /// Creates a broker with the default settings.
    #[must_use]
    pub fn new() -> Self {
        Self::with(MemoryConfig::default())
    }

    /// Creates a broker.
    ///
    /// # Panics
    ///
    /// If the capacity, the ack wait, or the interval of syncs is zero.
    #[must_use]
    #[track_caller]
    pub fn with(config: MemoryConfig) -> Self {
        assert!(config.capacity > 0, "the capacity of a broker must not be zero");
        assert!(!config.ack_wait.is_zero(), "the ack wait of a broker must not be zero");
        assert!(config.sync_every != Some(Duration::ZERO), "the interval of syncs must not be zero");
        Self { shared: Arc::new(Shared::new(config)) }
    }

    /// Stores a message, and returns its number; waits while the broker is full.
    ///
    /// # Errors
    ///
    /// [`BrokerClosed`] with the message.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped before it returns has stored nothing.
    pub async fn publish(&self, item: T) -> Result<u64, BrokerClosed<T>> {
        self.publish_sized(item, 0).await
    }

    /// Stores a message with its size in bytes, for the [budget](crate::Pipeline::budget) of a pipeline.
    ///
    /// # Errors
    ///
    /// As for [`publish`](MemoryBroker::publish).
    ///
    /// # Cancel safety
    ///
    /// As for [`publish`](MemoryBroker::publish).
    pub async fn publish_sized(&self, item: T, size: usize) -> Result<u64, BrokerClosed<T>> {
        // Only a message with an id can be a duplicate, and have no number.
        self.shared.publish(item, size, None).await.map(Option::unwrap_or_default)
    }

    /// Stores a message unless one with this id was stored within the window; returns its number, or `None`.
    ///
    /// # Errors
    ///
    /// As for [`publish`](MemoryBroker::publish).
    ///
    /// # Cancel safety
    ///
    /// As for [`publish`](MemoryBroker::publish).
    pub async fn publish_once(&self, id: &str, item: T) -> Result<Option<u64>, BrokerClosed<T>> {
        self.shared.publish(item, 0, Some(id)).await
    }

    /// Returns a source of the messages.
    #[must_use]
    pub fn source(&self) -> MemorySource<T> {
        MemorySource::new(Arc::clone(&self.shared))
    }

    /// Takes no more messages. Sources end when all that are stored are settled, which those in a batch without
    /// [`within`](crate::Batch::within) are when it is full.
    pub fn close(&self) {
        self.shared.close();
    }

    /// Waits until all that was confirmed before is durable.
    ///
    /// # Cancel safety
    ///
    /// Dropping it changes nothing.
    pub async fn sync(&self) {
        self.shared.wait_for_sync().await;
    }

    /// Stops for a time: calls fail, and nothing that was confirmed is lost. Leases run on.
    pub fn crash(&self, downtime: Duration) {
        self.shared.crash(downtime);
    }

    /// Stops for a time, and forgets what was confirmed and not made durable: messages that were published since the last
    /// sync are gone, and settled ones come again.
    #[must_use = "it says what is lost"]
    pub fn power_loss(&self, downtime: Duration) -> PowerLoss {
        self.shared.power_loss(downtime)
    }

    /// Sets the clock forward, as an administrator does or a server that corrects its own: leases and delays that would end
    /// within this time end now, and ids of [`publish_once`](MemoryBroker::publish_once) are so much older. The clock of the
    /// program goes on as before.
    pub fn set_clock_forward(&self, by: Duration) {
        self.shared.set_clock_forward(by);
    }

    /// Sets the clock back: leases and delays last longer by this time, until a lease is extended, and ids are known for longer.
    pub fn set_clock_back(&self, by: Duration) {
        self.shared.set_clock_back(by);
    }

    /// Returns the numbers now.
    #[must_use]
    pub fn snapshot(&self) -> MemorySnapshot {
        self.shared.snapshot()
    }
}

impl<T: Clone + Send + 'static> Default for MemoryBroker<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for MemoryBroker<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> fmt::Debug for MemoryBroker<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBroker").field("snapshot", &self.shared.snapshot()).finish_non_exhaustive()
    }
}

/// A broker is a sink, for dead letters and for the next pipeline: it stores a message of one id once within its window.
impl<T: Clone + Send + 'static> Sink<T> for MemoryBroker<T> {
    async fn send(&self, batch: Vec<Message<T>>) -> Result<(), SinkError> {
        let all = batch.len();
        for (index, message) in batch.into_iter().enumerate() {
            if let Err(closed) = self.publish_once(&message.id, message.item).await {
                return Err(SinkError::some(closed.to_string(), index..all));
            }
        }
        Ok(())
    }
}

/// The broker was closed; the message comes back.
pub struct BrokerClosed<T>(pub T);

impl<T> fmt::Debug for BrokerClosed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BrokerClosed(..)")
    }
}

impl<T> fmt::Display for BrokerClosed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the broker is closed")
    }
}

impl<T> std::error::Error for BrokerClosed<T> {}
