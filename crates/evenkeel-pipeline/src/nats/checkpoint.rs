//! The position of a log, kept in a bucket.

use std::fmt;

use async_nats::{
    Client, HeaderMap, HeaderValue, header,
    jetstream::{Context, context::PublishErrorKind},
};

use super::{
    bucket,
    call::{new_context, transient},
};
use crate::SourceError;

/// The position up to which a log is settled, in a bucket of keys and values: a [`LowWaterMark`](crate::LowWaterMark) that
/// survives the process.
///
/// It never goes back: of two processes that store, the higher position stays, whoever is later.
///
/// # Examples
///
/// ```no_run
/// use evenkeel_pipeline::{LowWaterMark, nats::Checkpoint};
///
/// # async fn run(client: async_nats::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let checkpoint = Checkpoint::open(client, "checkpoints", "changes").await?;
/// let mut mark = LowWaterMark::new(checkpoint.load().await?.unwrap_or(0));
/// mark.begin(mark.get());
/// if let Some(position) = mark.settle(mark.get()) {
///     checkpoint.store(position).await?;
/// }
/// # Ok(()) }
/// ```
pub struct Checkpoint {
    client: Client,
    context: Context,
    bucket: String,
    subject: String,
}

impl Checkpoint {
    /// Opens a bucket, and creates it if there is none.
    ///
    /// # Errors
    ///
    /// A permanent one if the names are not valid, or the bucket cannot be created; a transient one if the server does not
    /// answer.
    ///
    /// # Cancel safety
    ///
    /// The bucket may have been created when it is dropped.
    pub async fn open(client: Client, bucket: &str, key: &str) -> Result<Self, SourceError> {
        let is_part = |part: &str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_=/".contains(c))
        };
        let is_bucket = is_part(bucket) && !bucket.contains(['/', '=']);
        if !is_bucket || !key.split('.').all(is_part) {
            let text = format!("{bucket:?} and {key:?} are no names of a bucket and a key");
            return Err(SourceError::permanent(text));
        }
        let context = new_context(&client);
        bucket::ensure(&context, bucket::config(bucket)).await?;
        let subject = format!("$KV.{bucket}.{key}");
        Ok(Self { client, context, bucket: bucket.to_owned(), subject })
    }

    /// Returns the position that was stored; `None` if there was none.
    ///
    /// # Errors
    ///
    /// A transient one if the server does not answer; a permanent one if the key holds something else.
    ///
    /// # Cancel safety
    ///
    /// It changes nothing.
    pub async fn load(&self) -> Result<Option<u64>, SourceError> {
        Ok(self.read().await?.0)
    }

    /// Stores a position, unless a higher one is stored.
    ///
    /// # Errors
    ///
    /// As for [`load`](Checkpoint::load). It is not known whether the position is stored then; storing it again is harmless.
    ///
    /// # Cancel safety
    ///
    /// The position may be stored or not when it is dropped.
    pub async fn store(&self, position: u64) -> Result<(), SourceError> {
        loop {
            let (stored, revision) = self.read().await?;
            if stored.is_some_and(|stored| stored >= position) {
                return Ok(());
            }
            let mut headers = HeaderMap::new();
            headers.insert(header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, HeaderValue::from(revision));
            let value = position.to_string().into();
            let sent = self.context.publish_with_headers(self.subject.clone(), headers, value).await;
            match sent.map_err(|error| transient(&error))?.await {
                Ok(_) => return Ok(()),
                // Another process has stored one meanwhile.
                Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => {}
                Err(error) => return Err(transient(&error)),
            }
        }
    }

    /// Returns the position and its revision.
    async fn read(&self) -> Result<(Option<u64>, u64), SourceError> {
        let Some(message) = bucket::get(&self.client, &self.bucket, &self.subject).await? else {
            return Ok((None, 0));
        };
        let header = |name: &str| message.headers.as_ref().and_then(|headers| headers.get(name));
        let revision = header("Nats-Sequence").and_then(|revision| revision.as_str().parse().ok());
        let revision = revision.ok_or_else(|| SourceError::transient("the bucket tells no revision"))?;
        // Deleted by hand.
        if header("KV-Operation").is_some() {
            return Ok((None, revision));
        }
        let position = std::str::from_utf8(&message.payload).ok().and_then(|text| text.parse().ok());
        match position {
            Some(position) => Ok((Some(position), revision)),
            None => Err(SourceError::permanent(format!("{} holds no position", self.subject))),
        }
    }
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint").field("subject", &self.subject).finish_non_exhaustive()
    }
}
