//! RustStream over a stream of NATS JetStream: a durable pull consumer, as many handlers at once as the limit.

use std::{convert::Infallible, future::pending, num::NonZeroUsize, sync::Arc, time::Duration};

use async_nats::{
    Client, HeaderMap as NatsHeaders,
    jetstream::{
        self,
        consumer::{AckPolicy, PullConsumer, pull},
    },
};
use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    pipeline::{Capability, Item, Queue, Settings, Work, Worker},
};
use ruststream::runtime::SubscriptionEnd;
use ruststream_nats::{
    PARTITION_KEY_HEADER,
    context::{JetStreamContext, keys},
    prelude::*,
};
use tokio::{
    sync::OnceCell,
    time::{sleep, timeout},
};

use crate::{
    database::refused,
    host::{Host, Own},
    servers::{
        Nats, Restart as _, Signal, TcpLine, encode,
        streams::{Streams, until_up},
    },
    work::Handler,
};

/// The default of the crate, for all workers of a consumer together.
const MAX_ACK_PENDING: i64 = 1024;

pub(crate) struct RustStreams {
    pub(crate) server: Arc<Nats>,
}

impl Adapter<Settings> for RustStreams {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Backoff
            | Capability::ClockForward
            | Capability::Crash
            | Capability::Cut
            | Capability::Delete
            | Capability::Filter
            | Capability::Forget
            | Capability::Keys
            | Capability::Kill
            | Capability::Leases
            | Capability::Limit
            | Capability::LostAnswers
            | Capability::Split
            | Capability::Timeout => Ok(()),
            Capability::Batch => {
                Err("the elements of a batch come without their sequence and the number of their delivery")
            }
            Capability::Budget => Err("a subscriber counts messages, not bytes"),
            Capability::Capacity => Err("a publish into a full stream is an error"),
            Capability::ClockBack => {
                Err("the clock of a real server is not ours to set, and it extends no lease")
            }
            Capability::Close => Err("a stream has no end"),
            Capability::DeadLetters | Capability::LetterStore => Err(
                "a dead letter is a copy on another subject, and no code of the worker is asked to write it",
            ),
            Capability::Drain => Err("the time of a stop is set when the service is built"),
            Capability::Duplicates | Capability::Reorders => Err("a server does not do so by chance"),
            Capability::LowWater => Err("there is no position of a log"),
            Capability::Merge => Err("each source has a subscriber and workers of its own"),
            Capability::Pause => Err("a subscriber runs or is stopped"),
            Capability::PowerLoss => Err("the disk of a real server forgets nothing on request"),
            Capability::Report | Capability::Snapshot => Err("it counts, and has no account"),
            Capability::SetLimit => Err("the number of workers is fixed"),
            _ => Err("it is not known"),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Box<dyn Queue>, AdapterError> {
        let streams = Streams::new(&self.server, settings)?;
        Ok(Box::new(Stream {
            streams: Arc::new(streams),
            settings: settings.clone(),
            has_consumer: OnceCell::new(),
        }))
    }
}

struct Stream {
    streams: Arc<Streams>,
    settings: Settings,
    has_consumer: OnceCell<()>,
}

/// The bytes of a message.
struct Payload<'a>(&'a [u8]);

impl Deserialized for Payload<'_> {
    type Output<'a> = Payload<'a>;
    type Error = Infallible;

    fn from_payload(payload: &[u8]) -> Result<Payload<'_>, Infallible> {
        Ok(Payload(payload))
    }
}

impl Input for Payload<'_> {
    type Axis = SoloDeserialized<Payload<'static>>;
}

struct Body(Handler);

impl<'p> Handle<Payload<'p>, (), (), JetStreamContext> for Body {
    async fn handle(
        &self,
        payload: &Payload<'p>,
        _: &(),
        context: &mut Context<'_, JetStreamContext>,
    ) -> Result<(), HandlerOutcome> {
        let sequence = context.context(keys::STREAM_SEQUENCE).unwrap_or_default();
        let attempt = context.context(keys::DELIVERED).and_then(|delivered| u32::try_from(delivered).ok());
        let attempt = attempt.unwrap_or(1);
        let ended = self.0.within_its_time(&sequence.to_string(), attempt, payload.0).await;
        ended.map_err(|_| HandlerOutcome::retry_after(self.0.settings.backoff * attempt))
    }
}

impl Stream {
    fn subject(&self) -> String {
        format!("{}.>", self.streams.name)
    }

    /// Creates the consumer before the first worker, as the service does.
    async fn ready(&self) {
        let create = || async { drop(self.consumer(self.streams.admin().await).await) };
        self.has_consumer.get_or_init(create).await;
    }

    /// The pulls that wait at the consumer.
    async fn pulls(&self) -> usize {
        let context = jetstream::new(self.streams.admin().await.clone());
        let info = || async {
            let consumer: PullConsumer =
                context.get_consumer_from_stream("worker", &self.streams.name).await.map_err(drop)?;
            Ok::<_, ()>(consumer.cached_info().num_waiting)
        };
        until_up(info).await
    }

    async fn consumer(&self, client: &Client) -> PullConsumer {
        let config = pull::Config {
            durable_name: Some("worker".to_owned()),
            ack_policy: AckPolicy::Explicit,
            filter_subject: self.subject(),
            max_ack_pending: MAX_ACK_PENDING,
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
                let mut headers = NatsHeaders::new();
                headers.insert(PARTITION_KEY_HEADER, item.key.to_string());
                context.publish_with_headers(subject, headers, encode(item).into()).await?.await
            };
            until_up(publish).await;
        })
    }

    fn start(&self, work: Work) -> BoxFuture<'_, Result<Box<dyn Worker>, AdapterError>> {
        Box::pin(async move {
            self.ready().await;
            let settings = self.settings.clone();
            let line = TcpLine::to(self.streams.server.port()).await.map_err(refused)?;
            let runtime = Own::new()?;
            let workers = settings.limit.unwrap_or(settings.window).min(settings.window);
            let workers =
                NonZeroUsize::new(workers).ok_or_else(|| AdapterError::Refused("no workers".to_owned()))?;
            let wait = NonZeroDuration::new(settings.ack_wait);
            let wait = wait.ok_or_else(|| AdapterError::Refused("no ack wait".to_owned()))?;
            let source = JetStreamSubject::new(self.subject(), self.streams.name.as_str())
                .durable("worker")
                .ack_wait(wait)
                .max_ack_pending(MAX_ACK_PENDING);
            let panics = FailurePolicies::default().with_panic(FailurePolicy::RetryAfter(settings.backoff));
            let is_keyed = settings.keyed;
            let body = Body(Handler { work, settings });
            let url = format!("nats://127.0.0.1:{}", line.port());
            let service = async move {
                let app = RustStream::new(AppInfo::new("rule", "1.0.0")).with_broker(
                    NatsBroker::new(url),
                    |broker| {
                        let service = subscriber(source, body);
                        let service = match is_keyed {
                            true => service.workers_by_key(workers),
                            false => service.workers(workers),
                        };
                        broker.include(service.on_failure(panics).build());
                    },
                );
                // So that it does not look healthy without its subscription.
                let app = app.on_subscription_end(SubscriptionEnd::FailFast);
                app.run_until(pending::<()>()).await.map_err(|error| error.to_string())
            };
            let before = self.pulls().await;
            let task = runtime.spawn(service);
            let pulls = async {
                while self.pulls().await <= before {
                    sleep(Duration::from_millis(5)).await;
                }
            };
            let _ = timeout(Duration::from_secs(5), pulls).await;
            let streams = Arc::clone(&self.streams);
            let delete = move || -> BoxFuture<'static, ()> {
                let streams = Arc::clone(&streams);
                Box::pin(async move {
                    let context = jetstream::new(streams.admin().await.clone());
                    until_up(|| context.delete_stream(&streams.name)).await;
                })
            };
            Ok(Box::new(Host {
                _runtime: runtime,
                task,
                line,
                delete: Box::new(delete),
                pause: Box::new(|_| {}),
            }) as Box<dyn Worker>)
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
