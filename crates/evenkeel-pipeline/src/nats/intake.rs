//! Messages that have arrived: shared by the half that pulls and the half that extends leases.
//!
//! A request may be answered after the pull that made it has returned. What comes then is in hand, though nobody has pulled
//! it: its lease is extended like all others. So the half that extends looks into the inbox while no pull does.

use std::{
    collections::VecDeque,
    mem,
    ops::{Deref, DerefMut},
    sync::Mutex,
    task::{Context, Poll},
    time::Duration,
};

use async_nats::Message;
use evenkeel_base::lock;
use tokio::time::Instant;

use super::{
    JetStreamMessage, JetStreamReceipt,
    connection::Connection,
    inbox::{Event, Inbox},
};
use crate::threads::leave_thread;

/// The intake, while nobody works on it.
pub(super) struct Shared(Mutex<Option<Intake>>);

impl Default for Shared {
    fn default() -> Self {
        Self(Mutex::new(Some(Intake::default())))
    }
}

#[derive(Default)]
pub(super) struct Intake {
    /// The last one is that of the requests; from the others, which are abandoned, is taken what may still come.
    pub(super) inboxes: Vec<Inbox>,
    /// More than a demand only if the server has answered a request twice.
    pub(super) arrived: VecDeque<Arrived>,
    /// Signs that came while nobody pulled.
    pub(super) events: VecDeque<Event>,
    last: Option<JetStreamReceipt>,
}

pub(super) struct Arrived {
    pub(super) item: JetStreamMessage,
    pub(super) size: usize,
    pub(super) receipt: JetStreamReceipt,
    /// An instant before which it has not left.
    pub(super) since: Instant,
    /// Whether it is known how often it was handed back.
    pub(super) is_counted: bool,
}

/// The right to work on the intake; it goes back on drop.
pub(super) struct Taken<'a> {
    shared: &'a Shared,
    intake: Intake,
}

impl Shared {
    /// `None` while somebody else works on it.
    pub(super) fn try_take(&self) -> Option<Taken<'_>> {
        let intake = lock(&self.0).take()?;
        Some(Taken { shared: self, intake })
    }

    /// Waits until nobody else works on it; the other half does so without waiting for anything.
    pub(super) async fn take(&self) -> Taken<'_> {
        loop {
            if let Some(taken) = self.try_take() {
                return taken;
            }
            leave_thread().await;
        }
    }
}

impl Intake {
    /// Notes a message, unless it is none of a stream: anybody may publish to an inbox.
    pub(super) fn accept(
        &mut self,
        message: Message,
        since: Instant,
        generation: u32,
        connection: Connection,
    ) {
        let reply = message.reply.as_deref().unwrap_or_default();
        let receipt = JetStreamReceipt::parse(reply, generation, self.last.as_ref());
        self.last = receipt.or(self.last);
        if let Some(mut receipt) = receipt {
            receipt.connection = connection.of(since);
            let Message { subject, headers, payload, length: size, .. } = message;
            let published = Duration::from_nanos(receipt.published());
            let item =
                JetStreamMessage { subject, headers, payload, sequence: receipt.sequence(), published };
            let is_counted = receipt.delivered <= 1;
            self.arrived.push_back(Arrived { item, size, receipt, since, is_counted });
        }
    }

    /// The inbox of the requests; `None` if there is none yet, or it was abandoned.
    pub(super) fn inbox(&mut self) -> Option<&mut Inbox> {
        self.inboxes.last_mut().filter(|inbox| !inbox.is_abandoned())
    }

    /// Takes one thing that has come.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Event> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(event);
        }
        for inbox in &mut self.inboxes {
            if let Poll::Ready(event) = inbox.poll(cx, now) {
                return Poll::Ready(event);
            }
        }
        self.inboxes.retain(|inbox| !inbox.is_over(now));
        Poll::Pending
    }
}

impl Deref for Taken<'_> {
    type Target = Intake;

    fn deref(&self) -> &Intake {
        &self.intake
    }
}

impl DerefMut for Taken<'_> {
    fn deref_mut(&mut self) -> &mut Intake {
        &mut self.intake
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let intake = mem::take(&mut self.intake);
        *lock(&self.shared.0) = Some(intake);
    }
}
