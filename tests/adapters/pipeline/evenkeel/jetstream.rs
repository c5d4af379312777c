//! Ours, over a stream of NATS JetStream.

use std::{sync::Arc, time::Duration};

use async_nats::{
    Client,
    jetstream::{self, stream},
};
use evenkeel::pipeline::{
    LowWaterMark, Message, Sink as _,
    nats::{DeadLetterSubject, JetStream, JetStreamMessage, JetStreamSink, JetStreamSource, Outgoing},
};
use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    pipeline::{Capability, Item, LowWater, Queue, Settings, Work, Worker},
};
use tokio::sync::OnceCell;

use super::{Handle, LetterStore, Line, Mark, start};
use crate::adapters::pipeline::servers::{
    Nats, Restart as _, Signal, TcpLine, UNIT, encode, read,
    streams::{Streams, until_up},
};

pub(crate) struct JetStreams {
    pub(crate) server: Arc<Nats>,
}

impl Adapter<Settings> for JetStreams {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::ClockBack => {
                Err("the clock of a real server is not ours to set, and it extends no lease")
            }
            Capability::Close => Err("a stream has no end"),
            Capability::Duplicates | Capability::Reorders => Err("a server does not do so by chance"),
            Capability::PowerLoss => Err("the disk of a real server forgets nothing on request"),
            _ => Ok(()),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Box<dyn Queue>, AdapterError> {
        let stream = || {
            let streams = Streams::new(&self.server, settings)?;
            Ok::<_, AdapterError>(Stream {
                streams,
                settings: settings.clone(),
                sink: OnceCell::new(),
                merged: Vec::new(),
            })
        };
        let merged = (0..settings.merged).map(|_| stream()).collect::<Result<_, _>>()?;
        Ok(Box::new(Stream { merged, ..stream()? }))
    }
}

type Publisher = JetStreamSink<Box<dyn Fn(&Item) -> Outgoing + Send + Sync>>;

struct Stream {
    streams: Streams,
    settings: Settings,
    sink: OnceCell<Publisher>,
    merged: Vec<Stream>,
}

impl Stream {
    /// Opens the consumer.
    async fn source(&self, client: &Client) -> JetStreamSource {
        let open = || {
            let stream = JetStream::new(client.clone(), &self.streams.name, "worker");
            stream.ack_wait(self.settings.ack_wait).open()
        };
        until_up(open).await
    }

    /// The stream, on a way that is never cut, with its consumer.
    async fn publisher(&self) -> &Publisher {
        let open = || async {
            let client = self.streams.admin().await;
            drop(self.source(client).await);
            let subject = format!("{}.new", self.streams.name);
            let outgoing = move |item: &Item| Outgoing::new(subject.as_str(), encode(*item));
            JetStreamSink::new(client.clone(), Box::new(outgoing) as Box<_>)
        };
        self.sink.get_or_init(open).await
    }
}

impl Stream {
    /// A source over a way of its own.
    async fn connect(&self) -> Result<(JetStreamSource, Client, Box<dyn Line>), AdapterError> {
        self.publisher().await;
        let (line, client) = self.streams.connect().await?;
        let source = self.source(&client).await;
        let admin = self.streams.admin().await.clone();
        let line = StreamLine { line, admin, name: self.streams.name.clone() };
        Ok((source, client, Box::new(line)))
    }
}

impl Queue for Stream {
    fn publish(&self, item: Item) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let publisher = self.publisher().await;
            let message = Message { id: item.number.to_string(), attempt: 1, item };
            until_up(|| publisher.send(vec![message.clone()])).await;
        })
    }

    fn start(&self, work: Work) -> BoxFuture<'_, Result<Box<dyn Worker>, AdapterError>> {
        Box::pin(async move {
            let (source, client, line) = self.connect().await?;
            let (mut sources, mut lines) = (vec![source], vec![line]);
            for merged in &self.merged {
                let (source, _, line) = merged.connect().await?;
                sources.push(source);
                lines.push(line);
            }
            let letters = Arc::new(DeadLetterSubject::new(client, self.streams.dead()));
            let store: LetterStore<JetStreamMessage> = Arc::new(move |batch| {
                let letters = Arc::clone(&letters);
                Box::pin(async move { letters.send(batch).await })
            });
            let mut settings = self.settings.clone();
            settings.budget = settings.budget.map(|bytes| bytes * UNIT);
            let running = start(
                sources,
                |message: &JetStreamMessage| read(&message.payload),
                Some(store),
                &settings,
                work,
            )?;
            Ok(Box::new(Handle { running, lines }) as Box<dyn Worker>)
        })
    }

    fn stored(&self) -> BoxFuture<'_, usize> {
        Box::pin(async {
            self.publisher().await;
            self.streams.stored().await
        })
    }

    fn dead_letters(&self) -> BoxFuture<'_, usize> {
        Box::pin(self.streams.dead_letters())
    }

    fn crash(&self, downtime: Duration) {
        self.streams.server.restart(Signal::Interrupt, downtime);
    }

    fn kill(&self, downtime: Duration) {
        self.streams.server.restart(Signal::Kill, downtime);
    }

    fn forget_workers(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.streams.delete_consumer().await;
            drop(self.source(self.streams.admin().await).await);
        })
    }

    fn merged(&self, number: usize) -> &dyn Queue {
        &self.merged[number]
    }

    fn set_clock_forward(&self, by: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if by >= self.settings.ack_wait {
                self.streams.end_leases().await;
            }
        })
    }

    fn low_water(&self, position: u64) -> Box<dyn LowWater> {
        Box::new(Mark(LowWaterMark::new(position)))
    }
}

struct StreamLine {
    line: TcpLine,
    admin: Client,
    name: String,
}

impl Line for StreamLine {
    fn cut(&self, time: Duration) {
        self.line.cut(time);
    }

    fn lose_answers(&self, time: Duration) {
        self.line.lose_answers(time);
    }

    fn delete(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let context = jetstream::new(self.admin.clone());
            let deleted = context.delete_stream(&self.name).await;
            let _: stream::DeleteStatus = deleted.unwrap_or_else(|error| panic!("{error}"));
        })
    }
}
