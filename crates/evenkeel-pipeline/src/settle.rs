//! The task that tells the source what became of its deliveries, in bulk.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use crate::{
    Ack, MAX_SETTLED, Settle, SourceError,
    deliveries::Deliveries,
    edges::Caller,
    in_hand::InHand,
    item_key::ItemKey,
    race::{First, PATIENCE, pause, race},
    random::Random,
    status::SourceStatus,
    threads::{leave_thread, let_others_run},
};

/// The longest pause between calls that fail at the end.
const LAST_PAUSE: Duration = Duration::from_millis(500);

/// Settles until there are no more decisions: at once when idle, else all that fall while the last call is on the wire.
pub(crate) async fn settle<A: Ack, T>(
    ack: A,
    in_hand: Arc<InHand>,
    deliveries: Arc<Deliveries<A::Receipt, T>>,
    status: Arc<SourceStatus>,
    mut random: Random,
) -> Result<(), SourceError> {
    let linger = ack.linger();
    let mut batch: Vec<(ItemKey, Settle)> = Vec::new();
    loop {
        wait_for_decisions(&in_hand, linger).await;
        batch.clear();
        if in_hand.take_decided(MAX_SETTLED, &mut batch).is_none() {
            return Ok(());
        }
        // Through all attempts, as nothing is settled until one of them succeeds.
        let _calling = status.edges.call(Caller::Settle, "answers to decisions", batch.len());
        let mut failures = 0;
        loop {
            if in_hand.ack_wait.is_some() {
                in_hand.drop_late(&mut batch);
            }
            if batch.is_empty() {
                break;
            }
            let receipts =
                deliveries.receipts(&batch, |(key, _)| *key, |(_, settle), receipt| (receipt, settle));
            // The timer is made when the call is pending.
            let answer = match race(ack.settle(&receipts), async { sleep(PATIENCE).await }).await {
                First::A(answer) => answer,
                First::B(()) => {
                    let text = format!(
                        "the source has not answered {} decisions within {PATIENCE:?}: they are sent again",
                        receipts.len()
                    );
                    Err(SourceError::transient(text))
                }
            };
            match answer {
                Ok(outcomes) if outcomes.len() == batch.len() => {
                    status.edges.done(Caller::Settle);
                    in_hand.settled(&batch, &outcomes);
                    if in_hand.has_threads {
                        leave_thread().await;
                    }
                    break;
                }
                Ok(outcomes) => {
                    let (got, sent) = (outcomes.len(), batch.len());
                    return Err(SourceError::permanent(format!("{got} answers to {sent} decisions")));
                }
                Err(error) if error.is_transient() => {
                    status.note_failed(Caller::Settle, &error);
                    failures += 1;
                    pause_or_close(&in_hand, pause(failures, &mut random)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Pauses after a failure; shortly once no more decisions come, as the time to hand back is short.
async fn pause_or_close(in_hand: &InHand, time: Duration) {
    let (_, was_closed) = in_hand.waiting_decisions();
    if was_closed {
        return sleep(time.min(LAST_PAUSE)).await;
    }
    let closed = async {
        while let (_, false) = in_hand.waiting_decisions() {
            in_hand.decided.notified().await;
        }
    };
    race(sleep(time), closed).await;
}

async fn wait_for_decisions(in_hand: &InHand, linger: Duration) {
    loop {
        match in_hand.waiting_decisions() {
            (0, false) => {
                in_hand.decided.notified().await;
                // Behind the others that are ready, whose decisions go with it.
                let_others_run(in_hand.has_threads, || in_hand.waiting_decisions().0).await;
            }
            (waiting, is_closed) if is_closed || linger.is_zero() || waiting >= MAX_SETTLED => return,
            _ => break,
        }
    }
    let enough = async {
        while matches!(in_hand.waiting_decisions(), (waiting, false) if waiting < MAX_SETTLED) {
            in_hand.decided.notified().await;
        }
    };
    race(enough, sleep(linger)).await;
}
