//! The half that settles: in bulk, and confirmed.

use std::{fmt, sync::Arc, time::Duration};

use async_nats::{Client, Request, RequestErrorKind};
use bytes::Bytes;
use evenkeel_base::lock;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{
    JetStreamReceipt,
    call::{CALL, transient},
    link::Link,
    receipt::AckSubject,
};
use crate::{Ack, Settle, SettleOutcome, SourceError};

/// The half of a [`JetStreamSource`](super::JetStreamSource) that settles.
///
/// A batch goes over one connection, and the server works it off in its order, so that its answer to the last decision
/// confirms all; if the client has connected again meanwhile, the batch is repeated. In a cluster each has an answer, and so
/// has each of a batch with a delivery from before the client has connected again: a server that was killed may have lost it,
/// and then passes over its ack.
///
/// After the end of a lease on our clock, and after a later delivery that we have seen, a decision is
/// [superseded](SettleOutcome::Superseded), and nothing is sent that would disturb the later one: an ack alone may be late.
#[derive(Clone)]
pub struct JetStreamAck {
    pub(super) link: Arc<Link>,
}

impl Ack for JetStreamAck {
    type Receipt = JetStreamReceipt;

    fn ack_wait(&self) -> Option<Duration> {
        Some(self.link.config.ack_wait)
    }

    /// So that one answer of the server confirms more of them.
    fn linger(&self) -> Duration {
        Duration::from_millis(2)
    }

    async fn settle(&self, batch: &[(JetStreamReceipt, Settle)]) -> Result<Vec<SettleOutcome>, SourceError> {
        let link = &*self.link;
        link.check_connection()?;
        let (now, generation) = (Instant::now(), link.generation());
        let (mut sent, mut released) = (Vec::with_capacity(batch.len()), Vec::new());
        let mut outcomes = Vec::with_capacity(batch.len());
        {
            let leases = lock(&link.leases);
            for (receipt, settle) in batch {
                let is_sent = receipt.generation == generation
                    && (*settle == Settle::Ack || leases.holds(receipt, now));
                if is_sent {
                    sent.push((*receipt, payload(*settle)));
                }
                if is_sent && *settle == Settle::Release {
                    released.push(*receipt);
                }
                outcomes.push(if is_sent { SettleOutcome::Confirmed } else { SettleOutcome::Superseded });
            }
        }
        if !released.is_empty()
            && let Err(error) = link.released.add(&released).await
        {
            // Acks do not wait for that. They are sent again with the others, which does no harm.
            sent.retain(|(_, payload)| *payload == ACKED);
            confirm(link, &sent).await?;
            return Err(error);
        }
        confirm(link, &sent).await?;
        let mut leases = lock(&link.leases);
        sent.iter().for_each(|(receipt, _)| leases.remove(receipt));
        Ok(outcomes)
    }

    async fn extend(&self, receipts: &[JetStreamReceipt]) -> Result<Vec<usize>, SourceError> {
        let link = &*self.link;
        let arrived = link.look_into_inbox().await;
        let (now, generation) = (Instant::now(), link.generation());
        let (mut held, mut lost) = (Vec::with_capacity(receipts.len()), Vec::new());
        {
            let leases = lock(&link.leases);
            for (index, receipt) in receipts.iter().enumerate() {
                if receipt.generation == generation && leases.holds(receipt, now) {
                    held.push((*receipt, Bytes::from_static(b"+WPI")));
                } else {
                    lost.push(index);
                }
            }
            let arrived = arrived.into_iter().filter(|receipt| leases.holds(receipt, now));
            held.extend(arrived.map(|receipt| (receipt, Bytes::from_static(b"+WPI"))));
        }
        if held.is_empty() {
            return Ok(lost);
        }
        link.check_connection()?;
        confirm(link, &held).await?;
        let end = now + link.config.ack_wait;
        let mut leases = lock(&link.leases);
        held.iter().for_each(|(receipt, _)| leases.extend(receipt, end));
        Ok(lost)
    }
}

/// Servers take nothing for `+ACK`, and copy no payload then.
const ACKED: Bytes = Bytes::new();

fn payload(settle: Settle) -> Bytes {
    match settle {
        Settle::Ack => ACKED,
        Settle::Term => Bytes::from_static(b"+TERM"),
        Settle::Retry { after } if !after.is_zero() => {
            // The server has a signed number of nanoseconds.
            let nanos = i64::try_from(after.as_nanos()).unwrap_or(i64::MAX);
            format!("-NAK {{\"delay\":{nanos}}}").into()
        }
        Settle::Release | Settle::Retry { .. } => Bytes::from_static(b"-NAK"),
    }
}

/// Sends decisions, and waits until the server has carried out all of them.
async fn confirm(link: &Link, decisions: &[Decision]) -> Result<(), SourceError> {
    let connection = || link.connection().number;
    let before = connection();
    let sent = async {
        // A server that has been started again may not know earlier deliveries: it passes over their acks, until it has made
        // them again.
        let is_earlier = |(receipt, _): &Decision| receipt.connection != before;
        if link.config.confirm_each || link.is_clustered || decisions.iter().any(is_earlier) {
            each(link, decisions).await
        } else {
            last(link, decisions).await
        }
    };
    match timeout(CALL, sent).await {
        Ok(Ok(())) if connection() == before => Ok(()),
        Ok(Ok(())) => Err(SourceError::transient("the connection to the NATS server was lost during a call")),
        Ok(Err(Some(error))) => Err(error),
        Ok(Err(None)) | Err(_) => {
            // The next try knows whether the consumer is gone.
            link.look().await?;
            Err(SourceError::transient("the NATS server has not answered to acks"))
        }
    }
}

/// A delivery, and what the server is told of it.
type Decision = (JetStreamReceipt, Bytes);

/// `None` is a server that does not answer, or a consumer that is not there.
type Unconfirmed = Option<SourceError>;

/// Waits for an answer to the last one.
async fn last(link: &Link, decisions: &[Decision]) -> Result<(), Unconfirmed> {
    let Some((last, before)) = decisions.split_last() else { return Ok(()) };
    for (receipt, payload) in before {
        let published = link.client.publish(AckSubject(receipt), payload.clone()).await;
        published.map_err(|error| Some(transient(&error)))?;
    }
    request(&link.client, last).await
}

/// Waits for an answer to each.
async fn each(link: &Link, decisions: &[Decision]) -> Result<(), Unconfirmed> {
    let mut calls = JoinSet::new();
    for decision in decisions {
        let (client, decision) = (link.client.clone(), decision.clone());
        calls.spawn(async move { request(&client, &decision).await });
    }
    while let Some(call) = calls.join_next().await {
        call.unwrap_or_else(|error| Err(Some(transient(&error))))?;
    }
    Ok(())
}

async fn request(client: &Client, (receipt, payload): &Decision) -> Result<(), Unconfirmed> {
    let request = Request::new().payload(payload.clone()).timeout(Some(CALL));
    match client.send_request(AckSubject(receipt), request).await {
        Ok(_) => Ok(()),
        Err(error) => match error.kind() {
            RequestErrorKind::TimedOut | RequestErrorKind::NoResponders => Err(None),
            _ => Err(Some(transient(&error))),
        },
    }
}

impl fmt::Debug for JetStreamAck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JetStreamAck").field("stream", &self.link.config.stream).finish_non_exhaustive()
    }
}
