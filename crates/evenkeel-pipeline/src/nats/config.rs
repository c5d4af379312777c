//! The settings of a source, and its consumer at the server.

use std::{fmt, time::Duration};

use async_nats::{
    Client,
    jetstream::consumer::{AckPolicy, Config, DeliverPolicy},
};

use crate::SourceError;

/// The builder of a [`JetStreamSource`](super::JetStreamSource): a durable consumer of a stream.
///
/// # Examples
///
/// ```no_run
/// use evenkeel_pipeline::{Pipeline, nats::{JetStream, JetStreamMessage}};
/// use std::time::Duration;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let client = async_nats::connect("nats://127.0.0.1:4222").await?;
/// let orders = JetStream::new(client, "ORDERS", "billing").ack_wait(Duration::from_secs(30)).open().await?;
/// let pipeline = Pipeline::from(orders)
///     .stage("bill", async |order: JetStreamMessage| {
///         println!("{}: {} bytes", order.subject, order.payload.len());
///         Ok::<_, std::io::Error>(())
///     });
/// pipeline.start()?.await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until it is opened"]
pub struct JetStream {
    pub(super) client: Client,
    pub(super) stream: String,
    pub(super) consumer: String,
    pub(super) filters: Vec<String>,
    pub(super) ack_wait: Duration,
    pub(super) max_ack_pending: i64,
    pub(super) confirm_each: bool,
}

impl JetStream {
    /// Names a stream, and the durable consumer that all processes share which do the same work.
    pub fn new(client: Client, stream: impl Into<String>, consumer: impl Into<String>) -> Self {
        Self {
            client,
            stream: stream.into(),
            consumer: consumer.into(),
            filters: Vec::new(),
            ack_wait: Duration::from_secs(30),
            max_ack_pending: 65_536,
            confirm_each: false,
        }
    }

    /// Delivers only the messages of a subject, which may have wildcards; with several calls, those of all these subjects,
    /// for which the server must be 2.10 or newer.
    pub fn filter(mut self, subject: impl Into<String>) -> Self {
        self.filters.push(subject.into());
        self
    }

    /// Sets the time after which a delivery comes again that is neither settled nor extended; 30 seconds by default.
    ///
    /// It is a setting of the consumer: the source that opens last sets it for all.
    pub fn ack_wait(mut self, ack_wait: Duration) -> Self {
        self.ack_wait = ack_wait;
        self
    }

    /// Sets the number of messages that all processes together may have in hand, those included that wait for the delay of
    /// a retry; 65,536 by default.
    ///
    /// While that many are in hand, the server delivers nothing. An item that waits for its retry keeps its place, so that
    /// the limit should be far above the windows of all processes.
    pub fn max_ack_pending(mut self, messages: u32) -> Self {
        self.max_ack_pending = messages.into();
        self
    }

    /// Asks the server for an answer to each decision, and not to the last of a batch alone.
    ///
    /// It is always so in a cluster, where a part of a batch may be lost between two servers. A client that is connected to
    /// a leaf node can be in the same place without seeing it.
    pub const fn confirm_each(mut self) -> Self {
        self.confirm_each = true;
        self
    }

    pub(super) fn validate(&self) -> Result<(), SourceError> {
        let invalid = |text: &str| Err(SourceError::permanent(text.to_owned()));
        if self.ack_wait < Duration::from_millis(100) {
            return invalid("the ack wait must be at least 100 ms");
        }
        if self.max_ack_pending == 0 {
            return invalid("max_ack_pending must not be zero");
        }
        if [&self.stream, &self.consumer].into_iter().any(|name| !is_name(name)) {
            return invalid(
                "names of streams and consumers must not be empty, nor have blanks or one of `.*>/\\`",
            );
        }
        Ok(())
    }

    /// The consumer as it shall be: what is not ours to decide stays as it is.
    pub(super) fn wanted(&self, present: Option<&Config>) -> Config {
        let (filter_subject, filter_subjects) = match self.filters.as_slice() {
            [] => (String::new(), Vec::new()),
            [one] => (one.clone(), Vec::new()),
            several => (String::new(), several.to_vec()),
        };
        Config {
            durable_name: Some(self.consumer.clone()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.ack_wait,
            // The pipeline counts: a server that stops to deliver would hide the message.
            max_deliver: -1,
            max_ack_pending: self.max_ack_pending,
            filter_subject,
            filter_subjects,
            ..present.cloned().unwrap_or(Config { deliver_policy: DeliverPolicy::All, ..Config::default() })
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || ".*>/\\".contains(c))
}

/// Compares field by field what was wanted with what the server has kept: old ones drop fields without an error.
pub(super) fn compare(wanted: &Config, kept: &Config, version: &str) -> Result<(), SourceError> {
    let mut lost = Vec::new();
    let mut field = |name: &str, wanted: &dyn fmt::Debug, kept: &dyn fmt::Debug| {
        let (wanted, kept) = (format!("{wanted:?}"), format!("{kept:?}"));
        if wanted != kept {
            lost.push(format!("`{name}` shall be {wanted}, and is {kept}"));
        }
    };
    field("durable_name", &wanted.durable_name, &kept.durable_name);
    field("deliver_policy", &wanted.deliver_policy, &kept.deliver_policy);
    field("deliver_subject", &wanted.deliver_subject, &kept.deliver_subject);
    field("ack_policy", &wanted.ack_policy, &kept.ack_policy);
    field("ack_wait", &wanted.ack_wait, &kept.ack_wait);
    field("backoff", &wanted.backoff, &kept.backoff);
    // 0 stands for no limit, too.
    field("max_deliver", &wanted.max_deliver.max(0), &kept.max_deliver.max(0));
    field("max_ack_pending", &wanted.max_ack_pending, &kept.max_ack_pending);
    field("filter_subject", &wanted.filter_subject, &kept.filter_subject);
    field("filter_subjects", &wanted.filter_subjects, &kept.filter_subjects);
    field("headers_only", &wanted.headers_only, &kept.headers_only);
    if lost.is_empty() {
        return Ok(());
    }
    let lost = lost.join("; ");
    Err(SourceError::permanent(format!(
        "NATS server {version} has not kept the settings of the consumer: {lost}"
    )))
}

impl fmt::Debug for JetStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JetStream")
            .field("stream", &self.stream)
            .field("consumer", &self.consumer)
            .field("filters", &self.filters)
            .field("ack_wait", &self.ack_wait)
            .finish_non_exhaustive()
    }
}
