//! The task that writes dead letters.

use std::{fmt::Display, pin::Pin, sync::Arc};

use evenkeel_base::error_chain;
use evenkeel_task::{Panic, catch_panic};

use crate::{
    DeadLetter, Message, Settle, Sink, SourceError,
    deliveries::Originals,
    edges::Caller,
    in_hand::{Exhausted, InHand},
    race::patiently,
    status::SourceStatus,
    threads::leave_thread,
};

/// Makes the task that writes the dead letters of one source.
pub(crate) type DeadLetterTask<T> = Box<
    dyn Fn(Arc<InHand>, Arc<dyn Originals<T>>, Arc<SourceStatus>) -> Pin<Box<dyn Future<Output = ()> + Send>>
        + Send,
>;

/// The most dead letters of one call of the sink.
pub(crate) const MAX_LETTERS: usize = 100;

/// Writes dead letters, and terminates their items when the sink has confirmed them. An item whose dead letter cannot be
/// written is delivered again after its delay, and not run any more.
pub(crate) async fn write_dead_letters<T: Send + 'static>(
    sink: Arc<impl Sink<DeadLetter<T>>>,
    in_hand: Arc<InHand>,
    deliveries: Arc<dyn Originals<T>>,
    status: Arc<SourceStatus>,
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
                let Exhausted { key, attempts, reason, retry_after } = item;
                let original = deliveries.take_original(key);
                // A receipt is displayed, and an item dropped, by code of others.
                let letter = Panic::catch(|| {
                    let original = original.filter(|_| !in_hand.is_lost(key))?;
                    let letter = DeadLetter::new(original, reason, attempts);
                    Some(Message { id: deliveries.origin(key), attempt: attempts, item: letter })
                });
                match letter {
                    Ok(Some(letter)) => {
                        letters.push(letter);
                        written.push((key, retry_after));
                    }
                    Ok(None) => in_hand.decide(key, Settle::Retry { after: retry_after }),
                    Err(panic) => {
                        note(&status, &panic);
                        in_hand.decide(key, Settle::Retry { after: retry_after });
                    }
                }
            }
            if in_hand.has_threads {
                leave_thread().await;
            }
            if !letters.is_empty() {
                let all = written.len();
                // The error is displayed and dropped within, as that is code of others as well.
                let sent = catch_panic(async {
                    let error = sink.send(letters).await.err()?;
                    let failed: Vec<bool> = (0..all).map(|index| error.has_failed(index)).collect();
                    Some((error_chain(error.error()), failed))
                });
                let waiting = all + rest.len();
                let calling = status.edges.call(Caller::DeadLetters, "the writing of letters", waiting);
                let sent = patiently(sent, |waited| {
                    note(&status, format!("it has not answered for {waited:?}, and is waited for"));
                });
                let failure = sent.await.unwrap_or_else(|panic| Some((panic.to_string(), vec![true; all])));
                calling.end();
                match &failure {
                    Some((text, _)) => note(&status, text),
                    None => status.edges.done(Caller::DeadLetters),
                }
                for (index, (key, after)) in written.into_iter().enumerate() {
                    let has_failed = failure.as_ref().is_some_and(|(_, failed)| failed[index]);
                    in_hand.decide(key, if has_failed { Settle::Retry { after } } else { Settle::Term });
                }
            }
            exhausted = rest;
            if in_hand.has_threads {
                leave_thread().await;
            }
        }
    }
}

fn note(status: &SourceStatus, problem: impl Display) {
    status.note_failed(
        Caller::DeadLetters,
        &SourceError::transient(format!("the dead letter sink failed: {problem}")),
    );
}
