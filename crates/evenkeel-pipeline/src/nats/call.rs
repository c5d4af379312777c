//! Calls of the API of JetStream, and their errors.

use std::{collections::BTreeMap, time::Duration};

use async_nats::{
    Client,
    jetstream::{
        self, Context, ErrorCode,
        consumer::Info,
        context::{RequestError, RequestErrorKind},
        response::Response,
        stream,
    },
};
use evenkeel_base::error_chain;

use crate::SourceError;

/// The most time that a call waits for the server.
pub(super) const CALL: Duration = Duration::from_secs(5);

/// A request without settings, as JSON.
pub(super) const NOTHING: BTreeMap<String, String> = BTreeMap::new();

pub(super) fn new_context(client: &Client) -> Context {
    let mut context = jetstream::new(client.clone());
    context.set_timeout(CALL);
    context
}

pub(super) async fn consumer_info(
    context: &Context,
    stream: &str,
    consumer: &str,
) -> Result<Option<Info>, SourceError> {
    let subject = format!("CONSUMER.INFO.{stream}.{consumer}");
    match context.request(subject, &NOTHING).await {
        Ok(Response::Ok(info)) => Ok(Some(info)),
        Ok(Response::Err { error }) if error.error_code() == ErrorCode::CONSUMER_NOT_FOUND => Ok(None),
        Ok(Response::Err { error }) => Err(refusal(&error)),
        Err(error) => Err(failure(&error)),
    }
}

pub(super) async fn stream_info(context: &Context, name: &str) -> Result<stream::Info, SourceError> {
    match context.request(format!("STREAM.INFO.{name}"), &NOTHING).await {
        Ok(Response::Ok(info)) => Ok(info),
        Ok(Response::Err { error }) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
            Err(SourceError::permanent(format!("there is no stream {name}")))
        }
        Ok(Response::Err { error }) => Err(refusal(&error)),
        Err(error) => Err(failure(&error)),
    }
}

/// The error of a server that answered: 5xx passes.
pub(super) fn refusal(error: &async_nats::jetstream::Error) -> SourceError {
    if error.error_code() == ErrorCode::STREAM_NOT_FOUND || error.code() < 500 {
        return SourceError::permanent(error.to_string());
    }
    transient(error)
}

/// The error of a call without an answer. A server that has just started does not know its streams yet.
pub(super) fn failure(error: &RequestError) -> SourceError {
    match error.kind() {
        RequestErrorKind::TimedOut => SourceError::transient("JetStream does not answer"),
        RequestErrorKind::NoResponders => {
            SourceError::transient("the NATS server has no JetStream, or not yet")
        }
        RequestErrorKind::InvalidSubject => SourceError::permanent(error_chain(error)),
        RequestErrorKind::Other => transient(error),
    }
}

pub(super) fn transient(error: &(dyn std::error::Error + 'static)) -> SourceError {
    SourceError::transient(error_chain(error))
}
