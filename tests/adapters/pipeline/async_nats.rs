//! A loop over async-nats: a durable pull consumer, the work on each message in a `JoinSet`, plain acks.

use std::{sync::Arc, time::Duration};

use ::async_nats::{
    Client,
    jetstream::{
        self, AckKind, Message,
        consumer::{AckPolicy, PullConsumer, pull},
        stream,
    },
};
use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    pipeline::{Capability, End, Item, Queue, Settings, Shape, Work, WorkItem, Worker},
};
use futures::StreamExt as _;
use tokio::{
    sync::OnceCell,
    task::{JoinHandle, JoinSet},
    time::timeout,
};

use super::servers::{
    Nats, Restart as _, Signal, TcpLine, encode, read,
    streams::{Streams, until_up},
};

pub(super) struct Loops {
    pub(super) server: Arc<Nats>,
}

impl Adapter<Settings> for Loops {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Backoff
            | Capability::ClockForward
            | Capability::Crash
            | Capability::Cut
            | Capability::Delete
            | Capability::Filter
            | Capability::Forget
            | Capability::Kill
            | Capability::Leases
            | Capability::LostAnswers
            | Capability::Split
            | Capability::Timeout => Ok(()),
            Capability::Capacity => Err("a publish into a full stream is an error"),
            Capability::ClockBack => {
                Err("the clock of a real server is not ours to set, and it extends no lease")
            }
            Capability::Close => Err("a stream has no end"),
            Capability::DeadLetters => Err("after max_deliver the server tells of a message, and keeps it"),
            Capability::Duplicates | Capability::Reorders => Err("a server does not do so by chance"),
            Capability::PowerLoss => Err("the disk of a real server forgets nothing on request"),
            _ => Err("it is for the program to write"),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Box<dyn Queue>, AdapterError> {
        let streams = Streams::new(&self.server, settings)?;
        Ok(Box::new(Stream { streams, settings: settings.clone(), has_consumer: OnceCell::new() }))
    }
}

struct Stream {
    streams: Streams,
    settings: Settings,
    has_consumer: OnceCell<()>,
}

impl Stream {
    /// Creates the consumer before the first worker.
    async fn ready(&self) {
        let create = || async { drop(self.consumer(self.streams.admin().await).await) };
        self.has_consumer.get_or_init(create).await;
    }

    async fn consumer(&self, client: &Client) -> PullConsumer {
        let config = pull::Config {
            durable_name: Some("worker".to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.settings.ack_wait,
            ..pull::Config::default()
        };
        let context = jetstream::new(client.clone());
        until_up(|| context.create_consumer_on_stream(config.clone(), &self.streams.name)).await
    }
}

impl Queue for Stream {
    fn publish(&self, item: Item) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let context = jetstream::new(self.streams.admin().await.clone());
            let publish = || async {
                let subject = format!("{}.new", self.streams.name);
                context.publish(subject, encode(item).into()).await?.await
            };
            until_up(publish).await;
        })
    }

    fn start(&self, work: Work) -> BoxFuture<'_, Result<Box<dyn Worker>, AdapterError>> {
        Box::pin(async move {
            self.ready().await;
            let (line, client) = self.streams.connect().await?;
            let consumer = self.consumer(&client).await;
            let task = tokio::spawn(work_loop(consumer, work, self.settings.clone()));
            let admin = self.streams.admin().await.clone();
            Ok(Box::new(Loop { task, line, admin, name: self.streams.name.clone() }) as Box<dyn Worker>)
        })
    }

    fn stored(&self) -> BoxFuture<'_, usize> {
        Box::pin(async {
            self.ready().await;
            self.streams.stored().await
        })
    }

    fn crash(&self, downtime: Duration) {
        self.streams.server.restart(Signal::Interrupt, downtime);
    }

    fn kill(&self, downtime: Duration) {
        self.streams.server.restart(Signal::Kill, downtime);
    }

    fn set_clock_forward(&self, by: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if by >= self.settings.ack_wait {
                self.streams.end_leases().await;
            }
        })
    }

    fn forget_workers(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.streams.delete_consumer().await;
            self.consumer(self.streams.admin().await).await;
        })
    }
}

async fn work_loop(consumer: PullConsumer, work: Work, settings: Settings) -> End {
    let window = settings.window;
    let messages = consumer.stream().max_messages_per_batch(window).messages().await;
    let mut messages = match messages {
        Ok(messages) => messages,
        Err(error) => return End { error: Some(error.to_string()), ..End::default() },
    };
    let mut tasks = JoinSet::new();
    loop {
        if tasks.len() == window {
            tasks.join_next().await;
        }
        tokio::select! {
            message = messages.next() => match message {
                Some(Ok(message)) => {
                    tasks.spawn(run(work.clone(), message, settings.clone()));
                }
                // A heartbeat that is missing is one; the stream goes on.
                Some(Err(_)) => {}
                None => break,
            },
            Some(_) = tasks.join_next() => {}
        }
    }
    while tasks.join_next().await.is_some() {}
    End { error: Some("the stream of messages has ended".to_owned()), ..End::default() }
}

async fn run(work: Work, message: Message, settings: Settings) {
    let Ok(info) = message.info() else { return };
    let (sequence, attempt) = (info.stream_sequence, u32::try_from(info.delivered).unwrap_or(1));
    let item = read(&message.payload);
    let items = match settings.shape {
        Shape::Filter if !work.keeps(&item) => Vec::new(),
        Shape::Split => work.parts(item),
        _ => vec![item],
    };
    let mut parts = JoinSet::new();
    for item in items {
        let work = work.clone();
        let id = if item.part == 0 { sequence.to_string() } else { format!("{sequence}/{}", item.part) };
        parts.spawn(async move {
            let run = work.run(WorkItem { id, attempt, item });
            timeout(settings.timeout.unwrap_or(Duration::MAX), run).await
        });
    }
    let mut is_done = true;
    while let Some(ended) = parts.join_next().await {
        is_done &= matches!(ended, Ok(Ok(Ok(()))));
    }
    let _ = match is_done {
        true => message.ack().await,
        false => message.ack_with(AckKind::Nak(Some(settings.backoff * attempt))).await,
    };
}

struct Loop {
    task: JoinHandle<End>,
    line: TcpLine,
    admin: Client,
    name: String,
}

impl Worker for Loop {
    fn finish(mut self: Box<Self>) -> BoxFuture<'static, End> {
        Box::pin(async move {
            let end = (&mut self.task).await;
            end.unwrap_or_else(|error| End { error: Some(error.to_string()), ..End::default() })
        })
    }

    fn cut(&self, time: Duration) {
        self.line.cut(time);
    }

    fn lose_answers(&self, time: Duration) {
        self.line.lose_answers(time);
    }

    fn delete(&self, _: usize) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let deleted = jetstream::new(self.admin.clone()).delete_stream(&self.name).await;
            let _: stream::DeleteStatus = deleted.unwrap_or_else(|error| panic!("{error}"));
        })
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        self.task.abort();
    }
}
