//! The trait of a sink, its messages, and dead letters.

use crate::SinkError;

/// A place where items go: a table, a subject of a broker.
///
/// A sink gets an item again if the ack behind its write was lost. [`Message::id`] is the same then: a sink that writes by
/// it, a unique row or a message id, has each effect once.
///
/// Functions from a vector of messages to a future are sinks.
///
/// # Examples
///
/// ```
/// use evenkeel_pipeline::{Message, Sink, SinkError};
///
/// async fn store(batch: Vec<Message<u32>>) -> Result<(), SinkError> {
///     match batch.iter().position(|message| message.item == 13) {
///         None => Ok(()),
///         Some(index) => Err(SinkError::some("unlucky", [index])),
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let batch = [7, 13].map(|item| Message { id: format!("orders/{item}"), attempt: 1, item });
/// let failed = store.send(batch.into()).await.unwrap_err();
/// assert_eq!(failed.to_string(), "unlucky (1 item of the batch)");
/// # }
/// ```
pub trait Sink<T>: Send + Sync + 'static {
    /// Writes a batch; several calls may run at the same time.
    ///
    /// # Errors
    ///
    /// The items that were not written are tried again as their own retries; see [`SinkError`].
    ///
    /// # Cancel safety
    ///
    /// Implementations may have written any part of the batch when it is dropped.
    fn send(&self, batch: Vec<Message<T>>) -> impl Future<Output = Result<(), SinkError>> + Send;
}

impl<T, F, Fut> Sink<T> for F
where
    F: Fn(Vec<Message<T>>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), SinkError>> + Send,
{
    fn send(&self, batch: Vec<Message<T>>) -> impl Future<Output = Result<(), SinkError>> + Send {
        self(batch)
    }
}

/// An item with its identity.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "tests of sinks build it")]
pub struct Message<T> {
    /// The identity of the item, the same at each attempt: the key for effects that must happen once. The parts of an item
    /// that was split have its identity and their index.
    pub id: String,
    /// The number of the attempt. A sink that stores it can refuse the write of an earlier attempt that comes late.
    pub attempt: u32,
    /// The item.
    pub item: T,
}

/// An item that has failed too often, as the dead letter sink gets it. The [`Message::id`] around it is its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter<T> {
    /// The item as the source delivered it.
    pub item: T,
    /// The reason of the last failure: the stage, the error, and its sources.
    pub reason: String,
    /// The number of attempts.
    pub attempts: u32,
}

impl<T> DeadLetter<T> {
    /// Creates a dead letter, for tests of sinks.
    #[must_use]
    pub const fn new(item: T, reason: String, attempts: u32) -> Self {
        Self { item, reason, attempts }
    }
}
