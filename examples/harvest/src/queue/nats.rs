//! A stream of a NATS server as the queue: one for each harvest.

use std::time::Duration;

use async_nats::{
    Client,
    jetstream::{
        self, Context,
        context::GetStreamErrorKind,
        stream::{Config, RetentionPolicy},
    },
};
use evenkeel::{
    pipeline::{
        Message, Sink as _,
        nats::{JetStream, JetStreamMessage, JetStreamSink, JetStreamSource, Outgoing},
    },
    task::BoxError,
};
use reqwest::Url;

use super::job::{Job, Letter};
use crate::{error::Fatal, link, store::Joined};

/// A server that was connected to.
#[derive(Debug)]
pub(super) struct Server {
    url: String,
    client: Client,
    context: Context,
}

/// The stream of a harvest. A handle: clones are the same queue.
#[derive(Clone, Debug)]
pub(crate) struct NatsQueue {
    client: Client,
    context: Context,
    harvest: String,
    lease: Duration,
}

/// The name of the stream of a harvest, and of its subject.
fn stream(harvest: &str) -> String {
    format!("harvest_{harvest}")
}

impl Server {
    pub(super) async fn connect(url: &Url) -> Result<Self, Fatal> {
        let shown = link::without_password(url);
        let options = async_nats::ConnectOptions::new().name(format!("harvest {}", std::process::id()));
        let connected = options.connect(url.as_str()).await;
        let client = connected.map_err(|error| unusable(&shown, &error))?;
        let context = jetstream::new(client.clone());
        Ok(Self { url: shown, client, context })
    }

    /// Opens the stream of a harvest, or creates it; returns whether it was created. Deletes that of the harvest before.
    pub(super) async fn open(self, joined: &Joined, lease: Duration) -> Result<(NatsQueue, bool), Fatal> {
        let Self { url, client, context } = self;
        if let Some(before) = &joined.before {
            // It is gone already if its last worker has ended by itself.
            let _ = context.delete_stream(stream(before)).await;
        }
        let name = stream(&joined.harvest);
        let is_created = match context.get_stream(&name).await {
            Ok(_) => false,
            Err(error) if matches!(error.kind(), GetStreamErrorKind::JetStream(_)) => {
                let config = Config {
                    name: name.clone(),
                    subjects: vec![name],
                    retention: RetentionPolicy::WorkQueue,
                    duplicate_window: Duration::from_secs(120),
                    ..Config::default()
                };
                // Another worker may create it at the same moment: that is the same stream.
                context.get_or_create_stream(config).await.map_err(|error| unusable(&url, &error))?;
                true
            }
            Err(error) => return Err(unusable(&url, &error)),
        };
        Ok((NatsQueue { client, context, harvest: joined.harvest.clone(), lease }, is_created))
    }
}

impl NatsQueue {
    pub(super) async fn source(&self) -> Result<JetStreamSource, Fatal> {
        let source =
            JetStream::new(self.client.clone(), stream(&self.harvest), "workers").ack_wait(self.lease);
        source.open().await.map_err(|error| Fatal::Broken(format!("cannot read the queue: {error}")))
    }

    pub(super) fn read(&self, message: &JetStreamMessage) -> Result<Option<Job>, String> {
        Letter::read(&message.payload, &self.harvest)
    }

    /// Publishes jobs, each once within two minutes.
    pub(super) async fn publish(&self, jobs: Vec<Job>) -> Result<(), BoxError> {
        let sink = JetStreamSink::new(self.client.clone(), Outgoing::clone);
        let message = |job: Job| {
            let id = format!("{} {job}", self.harvest);
            let letter = Letter { harvest: self.harvest.clone(), job };
            Message { id, attempt: 1, item: Outgoing::new(stream(&self.harvest), letter.text()) }
        };
        let sent = sink.send(jobs.into_iter().map(message).collect()).await;
        sent.map_err(|error| error.to_string().into())
    }

    pub(super) async fn delete(&self) {
        // The next harvest of this store tries it again.
        let _ = self.context.delete_stream(stream(&self.harvest)).await;
    }
}

fn unusable(url: &str, error: &dyn std::error::Error) -> Fatal {
    Fatal::Input(format!("cannot use the queue {url}: {error}"))
}
