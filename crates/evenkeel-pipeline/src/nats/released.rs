//! The number of times that each message was handed back, kept at the server, which counts every delivery.
//!
//! A record is written before the message is handed back. A crash between the two leaves a record of a delivery that ends
//! with its lease, and is not counted then.

use std::time::Duration;

use async_nats::{
    Client, HeaderMap, Request, StatusCode, Subject,
    jetstream::{Context, response::Response, stream},
};
use evenkeel_base::error_chain;
use tokio::task::JoinSet;

use super::{
    JetStream, JetStreamReceipt,
    call::{CALL, NOTHING, transient},
    publish::{Publication, Publisher},
};
use crate::SourceError;

/// The records that are written at the same time.
const WINDOW: usize = 256;

/// The bucket, one for all consumers of an account.
const BUCKET: &str = "evenkeel_released";

pub(super) struct Released {
    /// The subject of a record, up to the sequence of the message.
    prefix: String,
    publisher: Publisher,
}

impl Released {
    pub(super) async fn open(
        context: &Context,
        config: &JetStream,
        replicas: usize,
    ) -> Result<Self, SourceError> {
        let bucket = stream::Config {
            name: format!("KV_{BUCKET}"),
            subjects: vec![format!("$KV.{BUCKET}.>")],
            description: Some("deliveries that were handed back, and are no attempts".to_owned()),
            max_messages_per_subject: 1,
            // A message that waits for longer has an attempt less. The number bounds the memory of the server.
            max_age: Duration::from_secs(7 * 24 * 3600),
            max_messages: 1_000_000,
            discard: stream::DiscardPolicy::Old,
            allow_direct: true,
            allow_rollup: true,
            deny_delete: true,
            storage: stream::StorageType::File,
            num_replicas: replicas,
            ..stream::Config::default()
        };
        if !exists(context).await
            && let Err(error) = context.create_stream(bucket).await
            // Another process may have been faster.
            && !exists(context).await
        {
            return Err(SourceError::permanent(format!(
                "the bucket {BUCKET} cannot be created, which keeps what was handed back: {}",
                error_chain(&error)
            )));
        }
        let publisher = Publisher::new(&config.client, WINDOW);
        Ok(Self { publisher, prefix: format!("$KV.{BUCKET}.{}.{}.", config.stream, config.consumer) })
    }

    fn subject(&self, sequence: u64) -> String {
        format!("{}{sequence}", self.prefix)
    }

    /// Notes that these deliveries are no attempts.
    pub(super) async fn add(&self, receipts: &[JetStreamReceipt]) -> Result<(), SourceError> {
        let make = |index: usize| {
            let receipt: &JetStreamReceipt = &receipts[index];
            // By what was known at the delivery, so that a repetition does not count twice.
            let record = format!("{} {}", receipt.released + 1, receipt.published());
            let subject = Subject::from(self.subject(receipt.sequence));
            Ok(Publication { subject, headers: HeaderMap::new(), payload: record.into() })
        };
        let added = self.publisher.publish_all(receipts.len(), |_| false, make).await;
        added.map_err(|error| SourceError::transient(format!("what is handed back cannot be noted: {error}")))
    }

    /// Returns how often each was handed back, by its index.
    pub(super) async fn of(
        &self,
        client: &Client,
        receipts: impl Iterator<Item = (usize, JetStreamReceipt)>,
    ) -> Result<Vec<(usize, u64)>, SourceError> {
        let mut calls = JoinSet::new();
        for (index, receipt) in receipts {
            let client = client.clone();
            let subject = format!("$JS.API.DIRECT.GET.KV_{BUCKET}.{}", self.subject(receipt.sequence));
            calls.spawn(async move {
                let call = client.send_request(subject, Request::new().timeout(Some(CALL))).await;
                call.map(|message| (index, released(&message, &receipt)))
            });
        }
        let mut found = Vec::new();
        while let Some(call) = calls.join_next().await {
            match call {
                Ok(Ok(one)) => found.push(one),
                Ok(Err(error)) => return Err(transient(&error)),
                Err(error) => return Err(transient(&error)),
            }
        }
        Ok(found)
    }
}

async fn exists(context: &Context) -> bool {
    let subject = format!("STREAM.INFO.KV_{BUCKET}");
    matches!(context.request::<_, _, Response<stream::Info>>(subject, &NOTHING).await, Ok(Response::Ok(_)))
}

/// Reads a record; one of a message that had the same number in a stream that is gone does not count.
fn released(message: &async_nats::Message, receipt: &JetStreamReceipt) -> u64 {
    if message.status.is_some_and(|status| status != StatusCode::OK) {
        return 0;
    }
    let text = std::str::from_utf8(&message.payload).unwrap_or_default();
    let mut numbers = text.split(' ').map(|number| number.parse::<u64>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(count), Some(published)) if published == receipt.published() => count,
        _ => 0,
    }
}
