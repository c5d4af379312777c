//! Buckets of keys and values, which are streams with one message for each subject.

use async_nats::{
    Client, Message, Request, RequestErrorKind, StatusCode,
    jetstream::{
        Context,
        context::CreateStreamErrorKind,
        response::Response,
        stream::{self, StorageType},
    },
};
use evenkeel_base::error_chain;

use super::call::{CALL, NOTHING, transient};
use crate::SourceError;

/// A bucket as the other clients of NATS make it.
pub(super) fn config(bucket: &str) -> stream::Config {
    stream::Config {
        name: format!("KV_{bucket}"),
        subjects: vec![format!("$KV.{bucket}.>")],
        max_messages_per_subject: 1,
        discard: stream::DiscardPolicy::New,
        allow_direct: true,
        allow_rollup: true,
        deny_delete: true,
        storage: StorageType::File,
        num_replicas: 1,
        ..stream::Config::default()
    }
}

/// Creates a bucket, unless there is one, which stays as it is; returns whether it was created.
pub(super) async fn ensure(context: &Context, config: stream::Config) -> Result<bool, SourceError> {
    let name = config.name.clone();
    if exists(context, &name).await {
        return Ok(false);
    }
    match context.create_stream(config).await {
        Ok(_) => Ok(true),
        // Another process was faster.
        Err(_) if exists(context, &name).await => Ok(false),
        Err(error) => {
            let text = format!("the bucket {name} cannot be created: {}", error_chain(&error));
            Err(match error.kind() {
                CreateStreamErrorKind::TimedOut | CreateStreamErrorKind::Response => {
                    SourceError::transient(text)
                }
                _ => SourceError::permanent(text),
            })
        }
    }
}

async fn exists(context: &Context, stream: &str) -> bool {
    let subject = format!("STREAM.INFO.{stream}");
    matches!(context.request::<_, _, Response<stream::Info>>(subject, &NOTHING).await, Ok(Response::Ok(_)))
}

/// Returns the last message of a subject.
pub(super) async fn get(
    client: &Client,
    bucket: &str,
    subject: &str,
) -> Result<Option<Message>, SourceError> {
    let call = format!("$JS.API.DIRECT.GET.KV_{bucket}.{subject}");
    match client.send_request(call, Request::new().timeout(Some(CALL))).await {
        Ok(message) => match message.status {
            None | Some(StatusCode::OK) => Ok(Some(message)),
            Some(StatusCode::NOT_FOUND) => Ok(None),
            Some(status) => Err(SourceError::transient(format!("the bucket {bucket} answers {status}"))),
        },
        Err(error) if error.kind() == RequestErrorKind::NoResponders => {
            Err(SourceError::transient(format!("the bucket {bucket} is gone, or not there yet")))
        }
        Err(error) => Err(transient(&error)),
    }
}
