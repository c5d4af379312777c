//! Publications in a window, each confirmed; a full stream and a server that is away are waited for.

use std::{collections::VecDeque, time::Duration};

use async_nats::{
    Client, HeaderMap, HeaderName, HeaderValue, Subject,
    jetstream::{
        Context, ErrorCode,
        context::{ContextBuilder, PublishAckFuture, PublishError, PublishErrorKind},
        message::PublishMessage,
        publish::PublishAck,
    },
};
use bytes::Bytes;
use evenkeel_task::BoxError;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep, timeout_at},
};

use super::call::CALL;
use crate::{SinkError, race::pause};

/// The time for which a server may not answer before the items fail.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest pause before the next look at a full stream.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A publication.
pub(super) struct Publication {
    pub(super) subject: Subject,
    pub(super) headers: HeaderMap,
    pub(super) payload: Bytes,
}

enum Verdict {
    Done,
    /// The stream takes no more until something is removed.
    Full,
    /// It is not known whether it was stored.
    Unknown(String),
    Failed(BoxError),
}

/// A window of publications.
pub(super) struct Publisher {
    context: Context,
    window: Semaphore,
}

/// The publications of a call that are under way, the oldest first.
type UnderWay<'a> = VecDeque<(usize, Answer, SemaphorePermit<'a>)>;

struct Answer {
    answer: PublishAckFuture,
    sent: Instant,
}

impl Publisher {
    /// It is called in a runtime of tokio: the context has a task.
    pub(super) fn new(client: &Client, window: usize) -> Self {
        Self { context: context(client, window), window: Semaphore::new(window) }
    }

    /// Publishes the items 0 to `count`, and returns when all are stored; the others are named in the error.
    ///
    /// An item that is published again is made again, since the first time is nearly always the last. `is_stored` knows
    /// errors which say that it is stored already.
    pub(super) async fn publish_all(
        &self,
        count: usize,
        is_stored: fn(&PublishError) -> bool,
        make: impl Fn(usize) -> Result<Publication, BoxError>,
    ) -> Result<(), SinkError> {
        let mut waiting: Vec<usize> = (0..count).collect();
        let mut failed: Vec<(usize, BoxError)> = Vec::new();
        let mut unanswered_since = None;
        let mut rounds = 0;
        while !waiting.is_empty() {
            let (mut again, mut unknown) = (Vec::new(), None);
            let sent = waiting.len();
            let mut verdict = |index, verdict| match verdict {
                Verdict::Done => {}
                Verdict::Full => again.push(index),
                Verdict::Unknown(error) => {
                    again.push(index);
                    unknown = Some(error);
                }
                Verdict::Failed(error) => failed.push((index, error)),
            };
            let mut under_way = UnderWay::new();
            for index in waiting {
                let permit = loop {
                    match (self.window.try_acquire(), under_way.pop_front()) {
                        (Ok(permit), oldest) => {
                            oldest.into_iter().for_each(|oldest| under_way.push_front(oldest));
                            break Ok(permit);
                        }
                        // Waiting for other calls with answers of our own at hand, each might wait for the other.
                        (Err(_), Some((index, answer, _permit))) => {
                            verdict(index, answer.verdict(is_stored).await);
                        }
                        (Err(_), None) => break self.window.acquire().await,
                    }
                };
                match (make(index), permit) {
                    (Ok(publication), Ok(permit)) => match self.send(publication).await {
                        Ok(answer) => {
                            let answer = Answer { answer, sent: Instant::now() };
                            under_way.push_back((index, answer, permit));
                        }
                        Err(error) => verdict(index, judge(Err(error), is_stored)),
                    },
                    (Err(error), _) => verdict(index, Verdict::Failed(error)),
                    (_, Err(closed)) => verdict(index, Verdict::Failed(closed.into())),
                }
            }
            for (index, answer, _permit) in under_way {
                verdict(index, answer.verdict(is_stored).await);
            }
            match unknown {
                None => unanswered_since = None,
                Some(error) => {
                    let since = *unanswered_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= PATIENCE {
                        failed.extend(again.drain(..).map(|index| (index, error.clone().into())));
                    }
                }
            }
            if !again.is_empty() {
                rounds = if again.len() < sent { 1 } else { rounds + 1 };
                sleep(pause(rounds).min(LONGEST_PAUSE)).await;
            }
            waiting = again;
        }
        match failed.pop() {
            None => Ok(()),
            Some((index, error)) => {
                let indices = failed.into_iter().map(|(index, _)| index).chain([index]);
                Err(SinkError::some(error, indices))
            }
        }
    }

    async fn send(&self, publication: Publication) -> Result<PublishAckFuture, PublishError> {
        let Publication { subject, headers, payload } = publication;
        let message = PublishMessage::build().payload(payload);
        let message = if headers.is_empty() { message } else { message.headers(headers) };
        self.context.send_publish(subject, message).await
    }
}

fn context(client: &Client, window: usize) -> Context {
    let builder = ContextBuilder::new().timeout(CALL).ack_timeout(CALL);
    builder.max_ack_inflight(window).backpressure_on_inflight(true).build(client.clone())
}

impl Answer {
    /// Waits for it, until it is late since it was sent: the client counts from the first poll, and many may be missing.
    async fn verdict(self, is_stored: fn(&PublishError) -> bool) -> Verdict {
        match timeout_at(self.sent + CALL, self.answer.into_future()).await {
            Ok(answer) => judge(answer, is_stored),
            Err(_) => Verdict::Unknown("the server has not confirmed in time".to_owned()),
        }
    }
}

fn judge(answer: Result<PublishAck, PublishError>, is_stored: fn(&PublishError) -> bool) -> Verdict {
    let error = match answer {
        Err(error) if !is_stored(&error) => error,
        _ => return Verdict::Done,
    };
    let code = std::error::Error::source(&error)
        .and_then(|source| source.downcast_ref::<async_nats::jetstream::Error>())
        .map(async_nats::jetstream::Error::error_code);
    match (error.kind(), code) {
        (PublishErrorKind::Other, Some(ErrorCode::STREAM_STORE_FAILED)) => Verdict::Full,
        (PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe, _) => Verdict::Unknown(error.to_string()),
        (PublishErrorKind::StreamNotFound, _) => Verdict::Failed("no stream has the subject".into()),
        _ => Verdict::Failed(error.into()),
    }
}

/// A header whose value may be any text.
pub(super) fn header(
    headers: &mut HeaderMap,
    name: impl Into<HeaderName>,
    text: &str,
) -> Result<(), BoxError> {
    let value: HeaderValue = text.parse().map_err(|error| format!("{text:?} cannot be a header: {error}"))?;
    headers.insert(name.into(), value);
    Ok(())
}
