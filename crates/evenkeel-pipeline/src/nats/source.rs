//! A stream as a source.

use std::{collections::VecDeque, fmt, future::poll_fn, mem, sync::Arc};

use evenkeel_base::lock;
use tokio::time::{Instant, timeout_at};

use super::{
    JetStream, JetStreamAck, JetStreamMessage, JetStreamReceipt,
    call::CALL,
    check,
    inbox::{Event, Inbox},
    intake::{Arrived, Intake},
    link::Link,
};
use crate::{Ack as _, AtServer, Delivery, Demand, Settle, Source, SourceError, Warning, Workload};

/// A source of the messages of a stream; [`JetStream`](super::JetStream) makes it.
///
/// - **A pull asks for exactly the demand**, for a third of the ack wait and 10 seconds at most, with heartbeats, so that a
///   server that has forgotten a request is noticed. A second request is made while the last one is being answered; both
///   together never exceed the demand. What is answered when the pull has returned or was dropped is given to the next one,
///   and its lease is extended meanwhile, with those of the items in hand. A pause ends the requests, and hands back what
///   came for them.
/// - **A consumer that somebody deletes** is created again, unless the stream keeps what was acked: that is a permanent error. One
///   whose stream was deleted and created again is created, too: nothing was acked there.
///   The server counts deliveries from 1 then.
/// - **Attempts are the deliveries without those that were handed back**, which a bucket counts (`evenkeel_released`, for
///   seven days). So a crash of the process or of the server counts as an attempt of what was in hand, and a drain does not.
/// - **An item that waits for its retry keeps its place** among [`max_ack_pending`](super::JetStream::max_ack_pending).
pub struct JetStreamSource {
    link: Arc<Link>,
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
        Ok(JetStreamSource { link: Arc::new(Link::open(self).await?) })
    }
}

/// Takes what has come, up to the demand, and waits for it if nothing has.
async fn receive(link: &Link, intake: &mut Intake, demand: Demand) -> Result<(), SourceError> {
    loop {
        match link.take_arrived(intake, demand.items).await {
            None => {
                let asked = ask(link, intake, demand).await;
                if !intake.arrived.is_empty() {
                    // The next pull, which may have nothing to return, sees if something is wrong.
                    return Ok(());
                }
                asked?;
                wait(intake).await;
            }
            Some(Event::Item { .. } | Event::Status) => {}
            Some(Event::Suspect) => link.restore().await?,
            Some(event) if !intake.arrived.is_empty() => {
                intake.events.push_back(event);
                return Ok(());
            }
            Some(Event::Failed(error)) => return Err(error),
            Some(Event::Closed) => {
                return Err(SourceError::permanent("the client of the NATS server is closed"));
            }
        }
    }
}

/// Asks for messages, if there is room for so many that it is worth a request.
async fn ask(link: &Link, intake: &mut Intake, demand: Demand) -> Result<(), SourceError> {
    let arrived = intake.arrived.len();
    if intake.inbox().is_none() {
        link.check_connection()?;
        intake.inboxes.push(Inbox::open(&link.client).await?);
    }
    if let Some(inbox) = intake.inbox()
        && let Some(items) = inbox.worth(demand, arrived)
    {
        link.check_connection()?;
        // It is seen before the request is sent.
        let _ = link.connection();
        inbox.ask(&link.client, link.target(), items, demand).await?;
    }
    Ok(())
}

/// Waits for something to come; without a sign of life in time, the requests are abandoned.
async fn wait(intake: &mut Intake) {
    let late_at = intake.inbox().and_then(|inbox| inbox.late_at());
    let come = poll_fn(|cx| intake.poll(cx, Instant::now()));
    let event = match timeout_at(late_at.unwrap_or_else(|| Instant::now() + CALL), come).await {
        Ok(event) => event,
        Err(_) => {
            intake.inbox().map(Inbox::abandon);
            Event::Suspect
        }
    };
    intake.events.push_back(event);
}

/// Asks how often those were handed back that were delivered more than once.
async fn count(link: &Link, arrived: &mut VecDeque<Arrived>) -> Result<(), SourceError> {
    let uncounted = arrived.iter().enumerate().filter(|(_, arrived)| !arrived.is_counted);
    let uncounted: Vec<_> = uncounted.map(|(index, arrived)| (index, arrived.receipt)).collect();
    if uncounted.is_empty() {
        return Ok(());
    }
    for (index, released) in link.released.of(&link.client, uncounted.into_iter()).await? {
        let arrived = &mut arrived[index];
        arrived.receipt.released = released;
        arrived.is_counted = true;
    }
    Ok(())
}

/// Delivers what has arrived, up to the demand, and forgets those whose lease has run out meanwhile.
fn deliver(
    link: &Link,
    arrived: &mut VecDeque<Arrived>,
    demand: Demand,
) -> Vec<Delivery<JetStreamMessage, JetStreamReceipt>> {
    let (now, ack_wait) = (Instant::now(), link.config.ack_wait);
    let mut delivered = Vec::with_capacity(arrived.len().min(demand.items));
    let mut bytes = 0_usize;
    let leases = lock(&link.leases);
    while delivered.len() < demand.items
        && let Some(next) = arrived.front()
    {
        let size = next.size;
        if !delivered.is_empty() && bytes.saturating_add(size) > demand.bytes {
            break;
        }
        let Some(Arrived { item, receipt, .. }) = arrived.pop_front() else { break };
        let end = leases.end(&receipt).filter(|end| *end > now);
        let Some(end) = end.filter(|_| receipt.generation == link.generation()) else { continue };
        bytes = bytes.saturating_add(size);
        let (attempt, leased_at) = (receipt.attempt(), end.checked_sub(ack_wait).unwrap_or(now));
        delivered.push(Delivery { item, receipt, attempt, size, leased_at });
    }
    delivered
}

impl Source for JetStreamSource {
    type Item = JetStreamMessage;
    type Ack = JetStreamAck;

    async fn pull(
        &mut self,
        demand: Demand,
    ) -> Result<Vec<Delivery<JetStreamMessage, JetStreamReceipt>>, SourceError> {
        let link = &*self.link;
        let mut intake = link.intake.take().await;
        loop {
            // Around the whole of it: a heartbeat ends a wait each second, and would end a read that takes longer.
            link.numbers.read_while(receive(link, &mut intake, demand)).await?;
            count(link, &mut intake.arrived).await?;
            let delivered = deliver(link, &mut intake.arrived, demand);
            if !delivered.is_empty() {
                link.numbers.forget();
                return Ok(delivered);
            }
        }
    }

    fn ack(&self) -> JetStreamAck {
        JetStreamAck { link: Arc::clone(&self.link) }
    }

    fn may_block(&self) -> bool {
        false
    }

    fn at_server(&self) -> Option<AtServer> {
        self.link.numbers.handle()
    }

    async fn check(&mut self, workload: &Workload) -> Result<Vec<Warning>, SourceError> {
        check::check(&self.link, workload).await
    }

    /// Ends the subscription, and hands back what was on its way.
    async fn pause(&mut self) {
        let link = &*self.link;
        link.numbers.forget();
        let mut intake = link.intake.take().await;
        let known = intake.arrived.len();
        for inbox in mem::take(&mut intake.inboxes) {
            for (message, since) in inbox.close().await {
                intake.accept(message, since, link.generation(), link.connection());
            }
        }
        link.begin_leases(&intake, known);
        // A server that is asked for numbers removes requests without a subscription. NATS 2.9 would give the first message
        // that is handed back to such a request. Without an answer, it is one attempt of one message.
        let _ = link.consumer_info().await;
        // Messages that cannot be counted in time are handed back when their leases run out.
        if count(link, &mut intake.arrived).await.is_err() {
            intake.arrived.retain(|arrived| arrived.is_counted);
        }
        let demand = Demand { items: usize::MAX, bytes: usize::MAX };
        let delivered = deliver(link, &mut intake.arrived, demand);
        drop(intake);
        let back: Vec<_> =
            delivered.into_iter().map(|delivery| (delivery.receipt, Settle::Release)).collect();
        if !back.is_empty() {
            // The same holds for an error.
            let _ = self.ack().settle(&back).await;
        }
    }

    async fn stop(&mut self) {
        self.pause().await;
    }
}

impl fmt::Debug for JetStreamSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JetStreamSource")
            .field("stream", &self.link.config.stream)
            .field("consumer", &self.link.config.consumer)
            .finish_non_exhaustive()
    }
}
