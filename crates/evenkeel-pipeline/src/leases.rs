//! The task that extends the leases of everything in hand.
//!
//! A lease is known to hold until the last instant at which an extension was asked for and confirmed, and the ack wait.
//! When that has passed on our clock, or the server says that the lease is lost, the work is dropped: another attempt may
//! have begun.
//!
//! A source is asked even while nothing is in hand, as during a pause: it may hold what came for the last pull.

use std::{pin::pin, sync::Arc, time::Duration};

use evenkeel_base::{far_future, sleep_until};
use tokio::time::Instant;

use crate::{
    Ack, SourceError,
    deliveries::Deliveries,
    edges::Caller,
    in_hand::InHand,
    race::{First, race},
    status::SourceStatus,
    threads::leave_thread,
};

/// The resolution of timers: a shorter pause would be none.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// Extends at each third of the ack wait, and sooner after a failure; ends only with an error that does not pass.
pub(crate) async fn extend<A: Ack, T>(
    ack: A,
    ack_wait: Duration,
    in_hand: Arc<InHand>,
    deliveries: Arc<Deliveries<A::Receipt, T>>,
    status: Arc<SourceStatus>,
) -> Result<(), SourceError> {
    let pause = (ack_wait / 3).max(SHORTEST_PAUSE);
    let mut next = after(Instant::now(), pause);
    let mut first_end = None;
    loop {
        let look = next.min(first_end.unwrap_or(next));
        race(sleep_until(look), in_hand.leases.notified()).await;
        let now = Instant::now();
        let leases = in_hand.scan_leases(now);
        (next, first_end) = (after(now, pause), leases.first_end);
        if in_hand.has_threads {
            leave_thread().await;
        }
        let (keys, receipts): (Vec<_>, Vec<_>) =
            deliveries.receipts(&leases.keys, |key| *key, |key, receipt| (key, receipt)).into_iter().unzip();
        let calling = status.edges.call(Caller::Extend, "the extension of leases", receipts.len());
        let mut extension = pin!(ack.extend(&receipts));
        // All that the call was to extend has run out then.
        let limit = after(now, ack_wait.max(SHORTEST_PAUSE));
        let extended = loop {
            let look = sleep_until(first_end.map_or(limit, |end| end.min(limit)));
            match race(extension.as_mut(), race(look, in_hand.leases.notified())).await {
                First::A(extended) => break extended,
                // The server does not answer, while leases run out.
                First::B(_) => {
                    let now = Instant::now();
                    first_end = in_hand.scan_leases(now).first_end;
                    if now >= limit && receipts.is_empty() {
                        // It is asked again, and no lease was at stake.
                        break Ok(Vec::new());
                    }
                    if now >= limit {
                        let text =
                            format!("the source has not answered within {ack_wait:?}: leases are lost");
                        break Err(SourceError::transient(text));
                    }
                }
            }
        };
        calling.end();
        match extended {
            Ok(mut lost) => {
                status.edges.done(Caller::Extend);
                if let Some(index) = lost.iter().find(|index| **index >= keys.len()) {
                    let text = format!("lease {index} of {} is said to be lost", keys.len());
                    return Err(SourceError::permanent(text));
                }
                lost.sort_unstable();
                lost.dedup();
                in_hand.extended(&keys, &lost, now);
                first_end = in_hand.scan_leases(Instant::now()).first_end;
            }
            Err(error) if error.is_transient() => {
                status.note_failed(Caller::Extend, &error);
                next = after(Instant::now(), (ack_wait / 12).max(SHORTEST_PAUSE));
            }
            Err(error) => return Err(error),
        }
    }
}

fn after(instant: Instant, time: Duration) -> Instant {
    instant.checked_add(time).unwrap_or_else(|| far_future(instant))
}
