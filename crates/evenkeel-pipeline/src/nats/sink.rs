//! A subject as a sink.

use std::fmt;

use async_nats::{Client, HeaderMap, Subject, header};
use bytes::Bytes;

use super::publish::{Publication, Publisher, header};
use crate::{Message, Sink, SinkError};

/// The number of publications whose answers are awaited at the same time: with a quarter of them NATS 2.9 stores a fifth less.
const WINDOW: usize = 1024;

/// A sink that publishes each item to a subject of a stream, and is done with it when the stream has confirmed it.
///
/// - **Up to 1,024 publications are under way** at the same time, over all batches; [`window`](JetStreamSink::window) sets it.
/// - **The id of the item is the `Nats-Msg-Id`**: within the stream's `duplicate_window` a second one is not stored. That is
///   not exactly-once: the window ends, and a work queue forgets an id with its message when the server restarts. What must
///   happen once is written by the id, in a row or a key.
/// - **A full stream is back-pressure** (discard=new), and so is an account at its limit: the sink waits until there is room. A server that does not answer, and
///   a stream of a cluster that has lost its leader, are waited for, up to 30 seconds.
/// - **An item that is too large**, whose subject is none to publish to, or that the stream refuses, fails alone.
///
/// # Examples
///
/// ```no_run
/// use evenkeel_pipeline::{Batch, MemoryBroker, Pipeline, nats::{JetStreamSink, Outgoing}};
///
/// # async fn run(client: async_nats::Client, orders: MemoryBroker<String>) -> Result<(), Box<dyn std::error::Error>> {
/// let bills = JetStreamSink::new(client, |order: &String| Outgoing::new("bills.new", order.clone()));
/// Pipeline::from(orders.source()).sink("publish", Batch::items(500), bills).start()?.await?;
/// # Ok(()) }
/// ```
pub struct JetStreamSink<F> {
    client: Client,
    publisher: Publisher,
    outgoing: F,
}

/// A message to be published.
#[derive(Clone, Debug)]
pub struct Outgoing {
    subject: Subject,
    headers: HeaderMap,
    payload: Bytes,
}

impl Outgoing {
    /// A message without headers.
    #[must_use]
    pub fn new(subject: impl Into<Subject>, payload: impl Into<Bytes>) -> Self {
        Self { subject: subject.into(), headers: HeaderMap::new(), payload: payload.into() }
    }

    /// Sets its headers. `Nats-Msg-Id` is set to the id of the item if it is not among them.
    #[must_use]
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }
}

impl<F> JetStreamSink<F> {
    /// Creates a sink from a function that makes the message of an item.
    pub fn new<T>(client: Client, outgoing: F) -> Self
    where
        F: Fn(&T) -> Outgoing,
    {
        Self { publisher: Publisher::new(client.clone(), WINDOW), client, outgoing }
    }

    /// Sets the number of publications whose answers are awaited at the same time, 1,024 by default, and 16,384 at most.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[must_use]
    #[track_caller]
    pub fn window(mut self, publications: usize) -> Self {
        assert!(publications > 0, "the window of a sink must not be zero");
        self.publisher = Publisher::new(self.client.clone(), publications);
        self
    }
}

impl<T, F> Sink<T> for JetStreamSink<F>
where
    T: Send + Sync + 'static,
    F: Fn(&T) -> Outgoing + Send + Sync + 'static,
{
    async fn send(&self, batch: Vec<Message<T>>) -> Result<(), SinkError> {
        let make = |index: usize| {
            let Message { id, item, .. } = &batch[index];
            let Outgoing { subject, mut headers, payload } = (self.outgoing)(item);
            if headers.get(header::NATS_MESSAGE_ID).is_none() {
                header(&mut headers, header::NATS_MESSAGE_ID, id)?;
            }
            Ok(Publication { subject, headers, payload })
        };
        self.publisher.publish_all(batch.len(), None, make).await
    }
}

impl<F> fmt::Debug for JetStreamSink<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JetStreamSink").finish_non_exhaustive()
    }
}
