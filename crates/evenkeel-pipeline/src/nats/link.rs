//! The connection of a source to its consumer: calls of the API, leases, and whether it is still the same consumer.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{self, Poll},
    time::Duration,
};

use async_nats::{
    Client,
    connection::State,
    jetstream::{
        Context,
        consumer::{Info, IntoConsumerConfig as _},
        stream,
    },
};
use evenkeel_base::{error_chain, lock};
use tokio::{task::unconstrained, time::Instant};

use super::{
    JetStream, JetStreamReceipt,
    at_server::Numbers,
    call::{consumer_info, new_context, stream_info, transient},
    config::compare,
    connection::{self, Connection},
    inbox::{Event, Target},
    intake::{Arrived, Intake, Shared},
    leases::Leases,
    released::Released,
};
use crate::SourceError;

pub(super) struct Link {
    pub(super) config: JetStream,
    pub(super) client: Client,
    pub(super) context: Context,
    pub(super) intake: Shared,
    pub(super) leases: Mutex<Leases>,
    pub(super) released: Released,
    /// Whether decisions travel from server to server.
    pub(super) is_clustered: bool,
    /// The consumer as it was when it was looked at last.
    info: Mutex<Info>,
    generation: AtomicU32,
    connection: Mutex<Connection>,
    /// The ack wait that the consumer had before.
    pub(super) former_ack_wait: Option<Duration>,
    /// The numbers of the consumer while it gives nothing.
    pub(super) numbers: Numbers,
}

impl Link {
    pub(super) async fn open(config: JetStream) -> Result<Self, SourceError> {
        let client = config.client.clone();
        let context = new_context(&client);
        let stream = stream_info(&context, &config.stream).await?;
        let present = consumer_info(&context, &config.stream, &config.consumer).await?;
        let former_ack_wait =
            present.as_ref().map(|info| info.config.ack_wait).filter(|wait| *wait != config.ack_wait);
        let info = create(&client, &context, &config, present.as_ref()).await?;
        let released = Released::open(&context, &config, stream.config.num_replicas).await?;
        Ok(Self {
            is_clustered: info.cluster.is_some() && client.server_info().cluster.is_some(),
            intake: Shared::default(),
            leases: Mutex::default(),
            info: Mutex::new(info),
            generation: AtomicU32::new(0),
            connection: Mutex::new(Connection::new(&client)),
            former_ack_wait,
            numbers: Numbers::new(&context, &config),
            released,
            context,
            client,
            config,
        })
    }

    /// The number of times that the consumer was lost.
    pub(super) fn generation(&self) -> u32 {
        self.generation.load(Relaxed)
    }

    /// Looks which connection there is.
    pub(super) fn connection(&self) -> Connection {
        let mut known = lock(&self.connection);
        if known.number != connection::number(&self.client) {
            *known = Connection::new(&self.client);
        }
        *known
    }

    /// Takes the messages that have come, and notes their leases. Returns anything else that has come before there are as
    /// many messages as asked for.
    ///
    /// All at once: tokio would have a task take 128 of them in a turn, while the leases of the others run.
    pub(super) async fn take_arrived(&self, intake: &mut Intake, most: usize) -> Option<Event> {
        unconstrained(poll_fn(|cx| Poll::Ready(self.poll_arrived(intake, cx, most)))).await
    }

    fn poll_arrived(&self, intake: &mut Intake, cx: &mut task::Context<'_>, most: usize) -> Option<Event> {
        let (now, generation, known) = (Instant::now(), self.generation(), intake.arrived.len());
        let connection = self.connection();
        let mut other = None;
        while intake.arrived.len() < most && other.is_none() {
            match intake.poll(cx, now) {
                Poll::Ready(Event::Item { message, since }) => {
                    intake.accept(message, since, generation, connection);
                }
                Poll::Ready(Event::Status) => {}
                Poll::Ready(event) => other = Some(event),
                Poll::Pending => break,
            }
        }
        self.begin_leases(intake, known);
        other
    }

    /// Notes the leases of what has arrived, but for those that are known.
    pub(super) fn begin_leases(&self, intake: &Intake, known: usize) {
        let now = Instant::now();
        let mut leases = lock(&self.leases);
        for Arrived { receipt, since, .. } in intake.arrived.range(known..) {
            leases.insert(receipt, *since + self.config.ack_wait, now);
        }
    }

    /// Looks for messages that have come since the last pull, unless one is under way; returns the receipts of all that have
    /// arrived and were not pulled.
    pub(super) async fn look_into_inbox(&self) -> Vec<JetStreamReceipt> {
        let Some(mut intake) = self.intake.try_take() else { return Vec::new() };
        let mut events = VecDeque::new();
        while !matches!(events.back(), Some(Event::Closed))
            && let Some(event) = self.take_arrived(&mut intake, usize::MAX).await
        {
            events.push_back(event);
        }
        intake.events = events;
        intake.arrived.iter().map(|arrived| arrived.receipt).collect()
    }

    pub(super) fn version(&self) -> String {
        self.client.server_info().version
    }

    /// The place for requests of messages.
    pub(super) fn target(&self) -> Target {
        let number =
            |limit: i64| usize::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        let info = lock(&self.info);
        let consumer = &info.config;
        let max_expires = Some(consumer.max_expires).filter(|time| !time.is_zero());
        Target {
            subject: format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", self.config.stream, self.config.consumer),
            ack_wait: self.config.ack_wait,
            max_items: number(consumer.max_batch),
            max_bytes: number(consumer.max_bytes),
            max_expires: max_expires.unwrap_or(Duration::MAX),
        }
    }

    /// Refuses a call while there is no connection: the client would keep it, and send it later.
    pub(super) fn check_connection(&self) -> Result<(), SourceError> {
        match self.client.connection_state() {
            State::Connected => Ok(()),
            _ => Err(SourceError::transient("there is no connection to the NATS server")),
        }
    }

    pub(super) async fn consumer_info(&self) -> Result<Option<Info>, SourceError> {
        consumer_info(&self.context, &self.config.stream, &self.config.consumer).await
    }

    pub(super) async fn stream_info(&self) -> Result<stream::Info, SourceError> {
        stream_info(&self.context, &self.config.stream).await
    }

    /// Looks whether the consumer is still the same, after signs that it is not; returns whether there is one.
    pub(super) async fn look(&self) -> Result<bool, SourceError> {
        self.check_connection()?;
        let present = self.consumer_info().await?;
        let is_there = present.is_some();
        let mut known = lock(&self.info);
        if present.as_ref().is_none_or(|info| info.created != known.created) {
            self.generation.fetch_add(1, Relaxed);
        }
        if let Some(info) = present {
            *known = info;
        }
        Ok(is_there)
    }

    /// The same, and creates the consumer again if that delivers nothing that was acked.
    pub(super) async fn restore(&self) -> Result<(), SourceError> {
        if self.look().await? {
            return Ok(());
        }
        let stream = self.stream_info().await?;
        // In a stream that is younger than the consumer was, nothing was acked.
        let is_same = stream.created <= lock(&self.info).created;
        if is_same && stream.config.retention == stream::RetentionPolicy::Limits {
            let JetStream { consumer, stream, .. } = &self.config;
            return Err(SourceError::permanent(format!(
                "the consumer {consumer} of the stream {stream} was deleted; the stream keeps what was acked, so that a \
                 new consumer would deliver all of it again"
            )));
        }
        let info = create(&self.client, &self.context, &self.config, None).await?;
        *lock(&self.info) = info;
        Ok(())
    }
}

pub(super) async fn create(
    client: &Client,
    context: &Context,
    config: &JetStream,
    present: Option<&Info>,
) -> Result<Info, SourceError> {
    let wanted = config.wanted(present.map(|info| &info.config)).into_consumer_config();
    let created = context.create_consumer_on_stream(wanted.clone(), &config.stream).await;
    let created = created.map_err(|error| {
        use async_nats::jetstream::stream::ConsumerErrorKind as Kind;
        match error.kind() {
            Kind::TimedOut | Kind::Request => transient(&error),
            _ => SourceError::permanent(format!(
                "the consumer {} cannot be created: {}",
                config.consumer,
                error_chain(&error)
            )),
        }
    })?;
    let info = created.cached_info().clone();
    compare(&wanted, &info.config, &client.server_info().version)?;
    Ok(info)
}
