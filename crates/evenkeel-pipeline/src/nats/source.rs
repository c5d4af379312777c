//! A stream as a source.

use std::{collections::VecDeque, fmt, future::poll_fn, sync::Arc, task::Poll, time::Duration};

use async_nats::Message;
use evenkeel_base::lock;
use tokio::time::Instant;

use super::{
    JetStream, JetStreamAck, JetStreamMessage, JetStreamReceipt, check,
    inbox::{Event, Inbox},
    link::Link,
};
use crate::{Ack as _, Delivery, Demand, Settle, Source, SourceError, Warning, Workload};

/// A source of the messages of a stream; [`JetStream`](super::JetStream) makes it.
///
/// - **A pull asks for exactly the demand**, for at most 10 seconds, with heartbeats, so that a server that has forgotten a
///   request is noticed. A request that stands when a pull is dropped is answered to the next one.
/// - **A consumer that somebody deletes** is created again, unless the stream keeps what was acked: that is a permanent error.
///   The server counts deliveries from 1 then.
/// - **Attempts are the deliveries without those that were handed back**, which a bucket counts (`evenkeel_released`, for
///   seven days). So a crash of the process or of the server counts as an attempt of what was in hand, and a drain does not.
/// - **An item that waits for its retry keeps its place** among [`max_ack_pending`](super::JetStream::max_ack_pending).
pub struct JetStreamSource {
    link: Arc<Link>,
    inbox: Option<Inbox>,
    /// Messages that have arrived and were not pulled: more than a demand only if the server has answered a request twice.
    arrived: VecDeque<Arrived>,
    last: Option<JetStreamReceipt>,
}

struct Arrived {
    message: Message,
    receipt: JetStreamReceipt,
    leased_at: Instant,
    /// Whether it is known how often it was handed back.
    is_counted: bool,
}

impl JetStream {
    /// Creates the consumer at the server, or updates it, and reads back what the server has made of it.
    ///
    /// # Errors
    ///
    /// A [permanent](SourceError::permanent) one without the stream; if a setting is not valid; or if the server, which
    /// may be an old one, has not kept a setting. A [transient](SourceError::transient) one if it does not answer.
    ///
    /// # Cancel safety
    ///
    /// The consumer may have been created when it is dropped; opening it again is harmless.
    pub async fn open(self) -> Result<JetStreamSource, SourceError> {
        self.validate()?;
        Ok(JetStreamSource::new(Link::open(self).await?))
    }
}

impl JetStreamSource {
    fn new(link: Link) -> Self {
        Self { link: Arc::new(link), inbox: None, arrived: VecDeque::new(), last: None }
    }

    fn accept(&mut self, message: Message, leased_at: Instant) {
        let reply = message.reply.as_deref().unwrap_or_default();
        let receipt = JetStreamReceipt::parse(reply, self.link.generation(), self.last.as_ref());
        // Anybody may publish to an inbox.
        let Some(receipt) = receipt else { return };
        self.last = Some(receipt);
        let is_counted = receipt.delivered <= 1;
        self.arrived.push_back(Arrived { message, receipt, leased_at, is_counted });
    }

    /// Takes what has come, up to the demand, and waits for it if nothing has.
    async fn receive(&mut self, demand: Demand) -> Result<(), SourceError> {
        let inbox = match &mut self.inbox {
            Some(inbox) => inbox,
            empty => empty.insert(Inbox::open(&self.link).await?),
        };
        let mut event = poll_fn(|cx| Poll::Ready(inbox.poll(cx))).await;
        if event.is_pending() && self.arrived.is_empty() {
            if !inbox.has_request() {
                inbox.ask(&self.link, demand).await?;
            }
            event = Poll::Ready(inbox.next().await);
        }
        while let Poll::Ready(received) = event {
            let Some(received) = received else {
                return Err(SourceError::permanent("the client of the NATS server is closed"));
            };
            let Some(inbox) = &mut self.inbox else { break };
            match received {
                Event::Item(message) => {
                    let since = inbox.since;
                    self.accept(message, since);
                }
                Event::Status => {}
                Event::Suspect => self.link.restore().await?,
                Event::Failed(error) => return Err(error),
            }
            if self.arrived.len() >= demand.items {
                break;
            }
            let Some(inbox) = &mut self.inbox else { break };
            event = poll_fn(|cx| Poll::Ready(inbox.poll(cx))).await;
        }
        Ok(())
    }

    /// Asks how often those were handed back that were delivered more than once.
    async fn count(&mut self) -> Result<(), SourceError> {
        let uncounted = self.arrived.iter().enumerate().filter(|(_, arrived)| !arrived.is_counted);
        let uncounted: Vec<_> = uncounted.map(|(index, arrived)| (index, arrived.receipt)).collect();
        if uncounted.is_empty() {
            return Ok(());
        }
        for (index, released) in self.link.released.of(&self.link.client, uncounted.into_iter()).await? {
            let arrived = &mut self.arrived[index];
            arrived.receipt.released = released;
            arrived.is_counted = true;
        }
        Ok(())
    }

    /// Delivers what has arrived, up to the demand, and forgets those whose lease has run out meanwhile.
    fn deliver(&mut self, demand: Demand) -> Vec<Delivery<JetStreamMessage, JetStreamReceipt>> {
        let (now, ack_wait) = (Instant::now(), self.link.config.ack_wait);
        let mut delivered = Vec::with_capacity(self.arrived.len().min(demand.items));
        let mut bytes = 0_usize;
        let mut leases = lock(&self.link.leases);
        while delivered.len() < demand.items
            && let Some(next) = self.arrived.front()
        {
            let size = next.message.length;
            if !delivered.is_empty() && bytes.saturating_add(size) > demand.bytes {
                break;
            }
            let Some(Arrived { message, receipt, leased_at, .. }) = self.arrived.pop_front() else { break };
            let end = leased_at + ack_wait;
            if end <= now || receipt.generation != self.link.generation() {
                continue;
            }
            bytes = bytes.saturating_add(size);
            leases.insert(&receipt, end, now);
            let Message { subject, headers, payload, .. } = message;
            let published = Duration::from_nanos(receipt.published());
            let item =
                JetStreamMessage { subject, headers, payload, sequence: receipt.sequence(), published };
            let attempt = receipt.attempt();
            delivered.push(Delivery { item, receipt, attempt, size, leased_at });
        }
        delivered
    }
}

impl Source for JetStreamSource {
    type Item = JetStreamMessage;
    type Ack = JetStreamAck;

    async fn pull(
        &mut self,
        demand: Demand,
    ) -> Result<Vec<Delivery<JetStreamMessage, JetStreamReceipt>>, SourceError> {
        loop {
            self.receive(demand).await?;
            self.count().await?;
            let delivered = self.deliver(demand);
            if !delivered.is_empty() {
                return Ok(delivered);
            }
        }
    }

    fn ack(&self) -> JetStreamAck {
        JetStreamAck { link: Arc::clone(&self.link) }
    }

    async fn check(&mut self, workload: &Workload) -> Result<Vec<Warning>, SourceError> {
        check::check(&self.link, workload).await
    }

    /// Ends the subscription, and hands back what was on its way.
    async fn stop(&mut self) {
        if let Some(mut inbox) = self.inbox.take() {
            inbox.abandon();
            let since = inbox.since;
            for message in inbox.close().await {
                self.accept(message, since);
            }
        }
        // Messages that cannot be counted in time are handed back when their leases run out.
        if self.count().await.is_err() {
            self.arrived.retain(|arrived| arrived.is_counted);
        }
        let demand = Demand { items: usize::MAX, bytes: usize::MAX };
        let back: Vec<_> =
            self.deliver(demand).into_iter().map(|delivery| (delivery.receipt, Settle::Release)).collect();
        if !back.is_empty() {
            // The same holds for an error.
            let _ = self.ack().settle(&back).await;
        }
    }
}

impl fmt::Debug for JetStreamSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JetStreamSource")
            .field("stream", &self.link.stream)
            .field("consumer", &self.link.config.consumer)
            .field("arrived", &self.arrived.len())
            .finish_non_exhaustive()
    }
}
