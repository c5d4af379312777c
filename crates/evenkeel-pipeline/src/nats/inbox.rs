//! Requests for messages, and what comes for them: one request at a time, with an end and heartbeats.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use async_nats::{Client, Message, Subscriber};
use futures_core::Stream as _;
use tokio::time::{Instant, timeout, timeout_at};

use super::call::{CALL, transient};
use crate::{Demand, SourceError};

/// The time for which a request stands; a pull that is dropped leaves it for no longer.
const EXPIRES: Duration = Duration::from_secs(10);

/// The longest time between two signs of life.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// The share of the ack wait within which the departure of a message is known.
const PRECISION: u32 = 6;

/// The time that a server and a network may be late.
const MARGIN: Duration = Duration::from_millis(500);

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
    requests: u64,
    request: Option<Request>,
    /// An instant before everything that will come has left the server.
    since: Instant,
    /// Until when a request that was forgotten may be answered.
    doubt: Instant,
    /// Whether the next message is larger than the budget.
    is_oversize: bool,
}

struct Request {
    reply: String,
    remaining: usize,
    sent: Instant,
    heartbeat: Duration,
    heartbeats: u32,
    last_sign: Instant,
    end: Instant,
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
}

impl Inbox {
    pub(super) async fn open(client: &Client) -> Result<Self, SourceError> {
        let prefix = client.new_inbox();
        let subscribed = timeout(CALL, client.subscribe(format!("{prefix}.*"))).await;
        let messages = subscribed
            .map_err(|_| SourceError::transient("the client of the NATS server does not answer"))?
            .map_err(|error| transient(&error))?;
        Ok(Self {
            messages,
            prefix,
            requests: 0,
            request: None,
            since: Instant::now(),
            doubt: Instant::now(),
            is_oversize: false,
        })
    }

    pub(super) const fn has_request(&self) -> bool {
        self.request.is_some()
    }

    /// Asks for as many messages as there is room for.
    pub(super) async fn ask(
        &mut self,
        client: &Client,
        target: Target,
        demand: Demand,
    ) -> Result<(), SourceError> {
        let Target { subject, ack_wait, max_items, max_bytes, max_expires } = target;
        let expires = EXPIRES.min(max_expires);
        let heartbeat = HEARTBEAT.min(ack_wait / PRECISION).min(expires / 3);
        let items = if self.is_oversize { 1 } else { demand.items.min(max_items).min(MAX_BATCH) };
        let mut body = format!(
            "{{\"batch\":{items},\"expires\":{},\"idle_heartbeat\":{}",
            expires.as_nanos(),
            heartbeat.as_nanos()
        );
        // The rest of no budget is no limit, and no number of a Go server either.
        if i64::try_from(demand.bytes).is_ok() && !self.is_oversize {
            body.push_str(&format!(",\"max_bytes\":{}", demand.bytes.clamp(1, max_bytes)));
        }
        body.push('}');
        let reply = format!("{}.{}", self.prefix, self.requests + 1);
        let sent = Instant::now();
        let publish = client.publish_with_reply(subject, reply.clone(), body.into());
        let published = timeout(CALL, publish).await;
        published
            .map_err(|_| SourceError::transient("the client of the NATS server does not answer"))?
            .map_err(|error| transient(&error))?;
        self.requests += 1;
        self.is_oversize = false;
        if sent >= self.doubt {
            self.since = sent;
        }
        self.request = Some(Request {
            reply,
            remaining: items,
            sent,
            heartbeat,
            heartbeats: 0,
            last_sign: sent,
            end: sent + expires + MARGIN,
        });
        Ok(())
    }

    /// Forgets the request. What the server may send for it still has left at any time since.
    pub(super) fn abandon(&mut self) {
        if let Some(request) = self.request.take() {
            self.doubt = self.doubt.max(request.end);
        }
    }

    /// Returns what has come, without waiting.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        Pin::new(&mut self.messages).poll_next(cx).map(|message| message.map(|message| self.read(message)))
    }

    /// Waits for something to come; without a sign of life in time, the request is forgotten.
    pub(super) async fn next(&mut self) -> Option<Event> {
        let late = self.request.as_ref().map_or_else(Instant::now, |request| {
            (request.last_sign + 2 * request.heartbeat + MARGIN).min(request.end)
        });
        match timeout_at(late, poll_fn(|cx| self.poll(cx))).await {
            Ok(event) => event,
            Err(_) => {
                self.abandon();
                Some(Event::Suspect)
            }
        }
    }

    /// Ends the subscription, and returns what was on its way.
    pub(super) async fn close(mut self) -> Vec<(Message, Instant)> {
        let mut rest = Vec::new();
        let drain = async {
            if self.messages.drain().await.is_ok() {
                while let Some(event) = poll_fn(|cx| self.poll(cx)).await {
                    if let Event::Item { message, since } = event {
                        rest.push((message, since));
                    }
                }
            }
        };
        // A server that does not answer has the leases run out.
        let _ = timeout(CALL, drain).await;
        rest
    }

    fn read(&mut self, message: Message) -> Event {
        let now = Instant::now();
        let Some(status) = message.status.map(|status| status.as_u16()).filter(|status| *status != 200)
        else {
            if let Some(request) = &mut self.request {
                request.last_sign = now;
                request.remaining -= 1;
                if request.remaining == 0 {
                    self.request = None;
                }
            }
            return Event::Item { message, since: self.since };
        };
        // Of a request that was forgotten.
        let Some(request) = self.request.as_mut().filter(|request| request.reply == *message.subject) else {
            return Event::Status;
        };
        request.last_sign = now;
        let description = message.description.unwrap_or_default();
        match status {
            100 => {
                request.heartbeats += 1;
                // The server cannot have sent it earlier.
                self.since = self.since.max(request.sent + request.heartbeat * request.heartbeats);
                Event::Status
            }
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
                self.request = None;
                Event::Status
            }
            404 | 408 => {
                self.request = None;
                Event::Status
            }
            409 if ["Exceeded MaxRequest", "Consumer is push based"]
                .iter()
                .any(|start| description.starts_with(start)) =>
            {
                self.request = None;
                Event::Failed(SourceError::permanent(format!("the server refuses to deliver: {description}")))
            }
            _ => {
                self.request = None;
                Event::Failed(SourceError::transient(format!(
                    "the server has stopped to deliver: {description}"
                )))
            }
        }
    }
}
