//! The task that extends the leases of everything in hand.
//!
//! A lease is known to hold until the last instant at which an extension was asked for and confirmed, and the ack wait.
//! When that has passed on our clock, or the server says that the lease is lost, the work is dropped: another attempt may
//! have begun.

use std::{pin::pin, sync::Arc, time::Duration};

use evenkeel_base::{far_future, sleep_until};
use tokio::time::Instant;

use crate::{
    Ack, SourceError,
    deliveries::Deliveries,
    in_hand::InHand,
    race::{First, race},
    status::Status,
};

/// Extends at each third of the ack wait, and sooner after a failure; ends only with an error that does not pass.
pub(crate) async fn extend<A: Ack, T>(
    ack: A,
    ack_wait: Duration,
    in_hand: Arc<InHand>,
    deliveries: Arc<Deliveries<A::Receipt, T>>,
    status: Arc<Status>,
) -> Result<(), SourceError> {
    let mut next = after(Instant::now(), ack_wait / 3);
    let mut first_end = None;
    loop {
        let look = next.min(first_end.unwrap_or(next));
        race(sleep_until(look), in_hand.leases.notified()).await;
        let now = Instant::now();
        let leases = in_hand.scan_leases(now);
        (next, first_end) = (after(now, ack_wait / 3), leases.first_end);
        let (keys, receipts): (Vec<_>, Vec<_>) =
            deliveries.receipts(&leases.keys, |key| *key, |key, receipt| (key, receipt)).into_iter().unzip();
        if receipts.is_empty() {
            continue;
        }
        let mut extension = pin!(ack.extend(&receipts));
        let extended = loop {
            let end = sleep_until(first_end.unwrap_or(next));
            match race(extension.as_mut(), end).await {
                First::A(extended) => break extended,
                // The server does not answer, while leases run out.
                First::B(()) => first_end = in_hand.scan_leases(Instant::now()).first_end,
            }
        };
        match extended {
            Ok(lost) => {
                in_hand.extended(&keys, &lost, now);
                first_end = in_hand.scan_leases(Instant::now()).first_end;
            }
            Err(error) if error.is_transient() => {
                status.note(&error);
                next = after(Instant::now(), ack_wait / 12);
            }
            Err(error) => return Err(error),
        }
    }
}

fn after(instant: Instant, time: Duration) -> Instant {
    instant.checked_add(time).unwrap_or_else(|| far_future(instant))
}
