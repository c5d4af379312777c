//! Messages of a queue that its consumer has given up.

use std::time::Duration;

use async_nats::jetstream::{Context, consumer::Info, response::Response, stream::RetentionPolicy};
use serde_json::Value;
use tokio::time::sleep;

use super::{
    JetStream,
    call::{NOTHING, consumer_info, failure, new_context, refusal, stream_info},
    link::create,
};
use crate::SourceError;

/// The number of looks at numbers that move.
const LOOKS: usize = 3;

impl JetStream {
    /// Has the messages of a work queue delivered again that its consumer has given up, and returns their number: those which
    /// have used up a `max_deliver` that the consumer once had, of which the [check](crate::Source::check) warns.
    ///
    /// A server delivers them to no consumer that knows them, whatever its settings have become, so the consumer is deleted
    /// and created again, with the same settings. That is done only while nothing is in hand. Sources that are open go on. The attempts of
    /// all messages are counted from 1 then; a queue whose server is older than 2.14 and was killed delivers again what was
    /// acked shortly before, if it has kept it. A queue with a [filter](JetStream::filter) is not looked at.
    ///
    /// # Errors
    ///
    /// A [transient](SourceError::transient) one while messages are in hand, or if the server does not answer; others as for
    /// [`open`](JetStream::open). Calling it again is harmless.
    ///
    /// # Cancel safety
    ///
    /// The consumer may have been deleted when it is dropped; it is created by the next [`open`](JetStream::open), or by a source that
    /// is open.
    pub async fn sweep(&self) -> Result<u64, SourceError> {
        self.validate()?;
        let context = new_context(&self.client);
        let Some((stuck, info)) = stuck(&context, self).await? else { return Ok(0) };
        if info.num_ack_pending > 0 {
            return Err(SourceError::transient(format!(
                "{} messages are in hand: the consumer {} cannot be created again now",
                info.num_ack_pending, self.consumer
            )));
        }
        let subject = format!("CONSUMER.DELETE.{}.{}", self.stream, self.consumer);
        match context.request(subject, &NOTHING).await {
            Ok(Response::<Value>::Ok(_)) => {}
            Ok(Response::Err { error }) => return Err(refusal(&error)),
            Err(error) => return Err(failure(&error)),
        }
        create(&self.client, &context, self, Some(&info)).await?;
        Ok(stuck)
    }
}

/// The number of messages of a queue that are neither pending nor in hand, with the consumer; `None` if there are none. What
/// moves between two answers of the server is none.
pub(super) async fn stuck(context: &Context, config: &JetStream) -> Result<Option<(u64, Info)>, SourceError> {
    let mut least = u64::MAX;
    let mut looks = 1;
    loop {
        let stream = stream_info(context, &config.stream).await?;
        let consumer = consumer_info(context, &config.stream, &config.consumer).await?;
        let is_queue = stream.config.retention == RetentionPolicy::WorkQueue && config.filters.is_empty();
        let Some(consumer) = consumer.filter(|_| is_queue) else { return Ok(None) };
        let known = consumer.num_pending + consumer.num_ack_pending as u64;
        least = least.min(stream.state.messages.saturating_sub(known));
        if least == 0 {
            return Ok(None);
        }
        if looks == LOOKS {
            return Ok(Some((least, consumer)));
        }
        looks += 1;
        sleep(Duration::from_millis(100)).await;
    }
}
