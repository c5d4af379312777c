//! A subscription for the answers to requests, and what they mean.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use async_nats::{Client, HeaderMap, Message, Subscriber};
use futures_core::Stream as _;
use tokio::time::{Instant, timeout};

use super::{
    call::{CALL, transient},
    names::ACK,
    requests::Requests,
};
use crate::{Demand, SourceError};

/// The longest time for which a request stands; a pull that is dropped leaves it for no longer.
const EXPIRES: Duration = Duration::from_secs(10);

/// The longest time between two signs of life.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// The share of the ack wait for which a request stands, as messages may have left since it was sent.
const YOUNG: u32 = 3;

/// The most messages of one request, far below those that the client queues.
const MAX_BATCH: usize = 16_384;

/// The place that requests go to, and the limits of the consumer.
pub(super) struct Target {
    pub(super) subject: String,
    pub(super) ack_wait: Duration,
    pub(super) max_items: usize,
    pub(super) max_bytes: usize,
    pub(super) max_expires: Duration,
}

pub(super) struct Inbox {
    messages: Subscriber,
    /// The subject of the answers to requests, up to their number.
    prefix: String,
    requests: Requests,
    /// Whether the next message is larger than the budget.
    is_oversize: bool,
    /// Whether no more requests are made. What the server may still send is taken.
    is_abandoned: bool,
}

/// The meaning of a message from the server.
pub(super) enum Event {
    /// A message, and an instant before which it has not left.
    Item {
        message: Message,
        since: Instant,
    },
    /// Nothing to tell.
    Status,
    /// There may be no such consumer any more.
    Suspect,
    Failed(SourceError),
    /// The client is closed.
    Closed,
}

impl Inbox {
    pub(super) async fn open(client: &Client) -> Result<Self, SourceError> {
        let prefix = format!("{}.", client.new_inbox());
        let subscribed = timeout(CALL, client.subscribe(format!("{prefix}*"))).await;
        let messages = subscribed
            .map_err(|_| SourceError::transient("the client of the NATS server does not answer"))?
            .map_err(|error| transient(&error))?;
        let requests = Requests::new(Instant::now());
        Ok(Self { messages, prefix, requests, is_oversize: false, is_abandoned: false })
    }

    pub(super) const fn is_abandoned(&self) -> bool {
        self.is_abandoned
    }

    /// Whether nothing comes any more.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.is_abandoned && self.requests.end() <= now
    }

    /// Returns the number of messages to ask for, if a request is worth it.
    ///
    /// The rest of a budget in bytes is not known while a request is open, nor before what has arrived is in hand.
    pub(super) fn worth(&self, demand: Demand, arrived: usize) -> Option<usize> {
        let worth = self.requests.worth(demand.items.saturating_sub(arrived).min(MAX_BATCH));
        worth.filter(|_| !has_budget(demand) || arrived == 0 && self.requests.outstanding() == 0)
    }

    /// Asks for messages.
    pub(super) async fn ask(
        &mut self,
        client: &Client,
        target: Target,
        items: usize,
        demand: Demand,
    ) -> Result<(), SourceError> {
        let Target { subject, ack_wait, max_items, max_bytes, max_expires } = target;
        let expires = EXPIRES.min(ack_wait / YOUNG).min(max_expires);
        let heartbeat = HEARTBEAT.min(expires / 2);
        let items = if self.is_oversize { 1 } else { items.min(max_items) };
        let mut body = format!(
            "{{\"batch\":{items},\"expires\":{},\"idle_heartbeat\":{}",
            expires.as_nanos(),
            heartbeat.as_nanos()
        );
        if has_budget(demand) && !self.is_oversize {
            body.push_str(&format!(",\"max_bytes\":{}", demand.bytes.clamp(1, max_bytes)));
        }
        body.push('}');
        let reply = format!("{}{}", self.prefix, self.requests.next_number());
        let sent = Instant::now();
        let publish = client.publish_with_reply(subject, reply, body.into());
        let published = timeout(CALL, publish).await;
        published
            .map_err(|_| SourceError::transient("the client of the NATS server does not answer"))?
            .map_err(|error| transient(&error))?;
        self.is_oversize = false;
        self.requests.begin(items, sent, expires, heartbeat);
        Ok(())
    }

    /// Makes no more requests.
    pub(super) const fn abandon(&mut self) {
        self.is_abandoned = true;
    }

    /// Returns what has come.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Event> {
        let message = Pin::new(&mut self.messages).poll_next(cx);
        message.map(|message| message.map_or(Event::Closed, |message| self.read(message, now)))
    }

    /// The instant at which the server is late, if something is to come.
    pub(super) fn late_at(&self) -> Option<Instant> {
        self.requests.late_at().filter(|_| !self.is_abandoned)
    }

    /// Ends the subscription, and returns what was on its way.
    pub(super) async fn close(mut self) -> Vec<(Message, Instant)> {
        let mut rest = Vec::new();
        let drain = async {
            if self.messages.drain().await.is_err() {
                return;
            }
            loop {
                match poll_fn(|cx| self.poll(cx, Instant::now())).await {
                    Event::Item { message, since } => rest.push((message, since)),
                    Event::Closed => return,
                    _ => {}
                }
            }
        };
        // A server that does not answer has the leases run out.
        let _ = timeout(CALL, drain).await;
        rest
    }

    fn read(&mut self, message: Message, now: Instant) -> Event {
        // Anybody may publish a message whose headers begin with a status.
        let is_stored = message.reply.as_deref().is_some_and(|reply| reply.starts_with(ACK));
        let status = message.status.map(|status| status.as_u16());
        let Some(status) = status.filter(|status| *status != 200 && !is_stored) else {
            return Event::Item { message, since: self.requests.message(now) };
        };
        let number = message.subject.strip_prefix(&self.prefix).and_then(|number| number.parse().ok());
        let Some(number) = number.filter(|_| !self.is_abandoned) else { return Event::Status };
        if status == 100 {
            self.requests.heartbeat(number, now);
            return Event::Status;
        }
        self.requests.ended(number, message.headers.as_ref().and_then(missing), now);
        let description = message.description.unwrap_or_default();
        match status {
            404 | 408 => Event::Status,
            503 => {
                self.abandon();
                Event::Suspect
            }
            409 if description == "Consumer Deleted" => {
                self.abandon();
                Event::Suspect
            }
            409 if description == "Message Size Exceeds MaxBytes" => {
                self.is_oversize = true;
                Event::Status
            }
            409 if ["Exceeded MaxRequest", "Consumer is push based"]
                .iter()
                .any(|start| description.starts_with(start)) =>
            {
                Event::Failed(SourceError::permanent(format!("the server refuses to deliver: {description}")))
            }
            _ => Event::Failed(SourceError::transient(format!(
                "the server has stopped to deliver: {description}"
            ))),
        }
    }
}

/// The rest of no budget is no limit, and no number of a Go server either.
fn has_budget(demand: Demand) -> bool {
    i64::try_from(demand.bytes).is_ok()
}

/// The number of messages of a request that has ended which will not come.
fn missing(headers: &HeaderMap) -> Option<usize> {
    headers.get("Nats-Pending-Messages")?.as_str().parse().ok()
}
