//! A message of a stream.

use std::time::Duration;

use async_nats::{HeaderMap, Subject};
use bytes::Bytes;

/// A message of a stream, as a [`JetStreamSource`](super::JetStreamSource) delivers it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JetStreamMessage {
    /// The subject to which it was published.
    pub subject: Subject,
    /// The headers with which it was published.
    pub headers: Option<HeaderMap>,
    /// The payload.
    pub payload: Bytes,
    /// The number of the message in its stream.
    pub sequence: u64,
    /// The time of its publication, since the start of 1970.
    pub published: Duration,
}
