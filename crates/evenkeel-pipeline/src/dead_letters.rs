//! The task that writes dead letters.

use std::sync::Arc;

use evenkeel_base::error_chain;
use evenkeel_task::catch_panic;

use crate::{
    Ack, DeadLetter, Message, Settle, Sink, SinkError, SourceError,
    deliveries::{Deliveries, Origins as _},
    in_hand::InHand,
    status::Status,
};

/// The most dead letters of one call of the sink.
const MAX_LETTERS: usize = 100;

/// Writes dead letters, and terminates their items when the sink has confirmed them. An item whose dead letter cannot be
/// written is delivered again after its delay, and not run any more.
pub(crate) async fn write_dead_letters<A: Ack, T: Send + 'static>(
    sink: impl Sink<DeadLetter<T>>,
    in_hand: Arc<InHand>,
    deliveries: Arc<Deliveries<A::Receipt, T>>,
    status: Arc<Status>,
) {
    loop {
        let mut exhausted = in_hand.take_exhausted();
        if exhausted.is_empty() {
            in_hand.exhausted.notified().await;
        }
        while !exhausted.is_empty() {
            let rest = exhausted.split_off(exhausted.len().min(MAX_LETTERS));
            let (mut letters, mut written) = (Vec::new(), Vec::new());
            for item in exhausted {
                match deliveries.take_original(item.key) {
                    Some(original) if !in_hand.is_lost(item.key) => {
                        let id = deliveries.origin(item.key);
                        let letter = DeadLetter::new(original, item.reason, item.attempts);
                        letters.push(Message { id, attempt: item.attempts, item: letter });
                        written.push((item.key, item.retry_after));
                    }
                    _ => in_hand.decide(item.key, Settle::Retry { after: item.retry_after }),
                }
            }
            if !letters.is_empty() {
                let sent = catch_panic(async { sink.send(letters).await }).await;
                let failed = sent.unwrap_or_else(|panic| Err(SinkError::all(panic))).err();
                if let Some(error) = &failed {
                    let text = format!("the dead letter sink failed: {}", error_chain(error.error()));
                    status.note(&SourceError::transient(text));
                }
                for (index, (key, after)) in written.into_iter().enumerate() {
                    let is_lost = failed.as_ref().is_some_and(|failed| failed.has_failed(index));
                    in_hand.decide(key, if is_lost { Settle::Retry { after } } else { Settle::Term });
                }
            }
            exhausted = rest;
        }
    }
}
