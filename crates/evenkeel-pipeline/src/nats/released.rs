//! The number of times that each message was handed back, kept at the server, which counts every delivery.
//!
//! A record is written before the message is handed back. A crash between the two leaves a record of a delivery that ends
//! with its lease, and is not counted then.

use std::time::Duration;

use async_nats::{
    Client, HeaderMap, Subject,
    jetstream::{Context, stream},
};
use tokio::task::JoinSet;

use super::{
    JetStream, JetStreamReceipt, bucket,
    call::transient,
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
    context: Context,
    bucket: stream::Config,
}

impl Released {
    pub(super) async fn open(
        context: &Context,
        config: &JetStream,
        replicas: usize,
    ) -> Result<Self, SourceError> {
        let bucket = stream::Config {
            description: Some("deliveries that were handed back, and are no attempts".to_owned()),
            // A message that waits for longer has an attempt less. The number bounds the memory of the server.
            max_age: Duration::from_secs(7 * 24 * 3600),
            max_messages: 1_000_000,
            discard: stream::DiscardPolicy::Old,
            num_replicas: replicas,
            ..bucket::config(BUCKET)
        };
        bucket::ensure(context, bucket.clone()).await?;
        let publisher = Publisher::new(config.client.clone(), WINDOW);
        let prefix = format!("$KV.{BUCKET}.{}.{}.", config.stream, config.consumer);
        Ok(Self { publisher, prefix, context: context.clone(), bucket })
    }

    /// Creates the bucket again if somebody has deleted it; returns whether it was gone.
    async fn restore(&self) -> Result<bool, SourceError> {
        bucket::ensure(&self.context, self.bucket.clone()).await
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
        let mut added = self.publisher.publish_all(receipts.len(), None, make).await;
        if added.is_err() && self.restore().await? {
            added = self.publisher.publish_all(receipts.len(), None, make).await;
        }
        added.map_err(|error| SourceError::transient(format!("what is handed back cannot be noted: {error}")))
    }

    /// Returns how often each was handed back, by its index.
    pub(super) async fn of(
        &self,
        client: &Client,
        receipts: impl Iterator<Item = (usize, JetStreamReceipt)>,
    ) -> Result<Vec<(usize, u64)>, SourceError> {
        let receipts: Vec<_> = receipts.collect();
        match self.read(client, &receipts).await {
            // There is no record in it.
            Err(_) if self.restore().await? => Ok(receipts.iter().map(|(index, _)| (*index, 0)).collect()),
            found => found,
        }
    }

    async fn read(
        &self,
        client: &Client,
        receipts: &[(usize, JetStreamReceipt)],
    ) -> Result<Vec<(usize, u64)>, SourceError> {
        let mut calls = JoinSet::new();
        for &(index, receipt) in receipts {
            let client = client.clone();
            let subject = self.subject(receipt.sequence);
            calls.spawn(async move {
                let record = bucket::get(&client, BUCKET, &subject).await?;
                Ok((index, record.map_or(0, |record| released(&record.payload, &receipt))))
            });
        }
        let mut found = Vec::new();
        while let Some(call) = calls.join_next().await {
            match call {
                Ok(Ok(one)) => found.push(one),
                Ok(Err(error)) => return Err(error),
                Err(error) => return Err(transient(&error)),
            }
        }
        Ok(found)
    }
}

/// Reads a record; one of a message that had the same number in a stream that is gone does not count.
fn released(record: &[u8], receipt: &JetStreamReceipt) -> u64 {
    let text = std::str::from_utf8(record).unwrap_or_default();
    let mut numbers = text.split(' ').map(|number| number.parse::<u64>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(count), Some(published)) if published == receipt.published() => count,
        _ => 0,
    }
}
