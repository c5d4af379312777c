//! The stream of a rule, and that of its dead letters.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use async_nats::{
    Client, ConnectError,
    jetstream::{
        self, Context,
        consumer::Info,
        response::Response,
        stream::{self, DiscardPolicy, RetentionPolicy},
    },
};
use evenkeel_tck::{AdapterError, pipeline::Settings};
use tokio::{sync::OnceCell, time::sleep};

use super::{Nats, TcpLine};

/// Before another call to a server that is away.
const PAUSE: Duration = Duration::from_millis(20);

/// A request without settings, as JSON.
const NOTHING: BTreeMap<String, String> = BTreeMap::new();

pub(crate) struct Streams {
    pub(crate) server: Arc<Nats>,
    pub(crate) name: String,
    capacity: Option<usize>,
    admin: OnceCell<Client>,
}

impl Streams {
    pub(crate) fn new(server: &Arc<Nats>, settings: &Settings) -> Result<Self, AdapterError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let server = match settings.stops {
            true => Arc::new(server.another().map_err(refused)?),
            false => Arc::clone(server),
        };
        let name = format!("RULE{}", COUNT.fetch_add(1, Relaxed));
        Ok(Self { server, name, capacity: settings.capacity, admin: OnceCell::new() })
    }

    /// The prefix of the subjects of dead letters.
    pub(crate) fn dead(&self) -> String {
        format!("{}-DEAD.letter", self.name)
    }

    /// A client whose way is never cut; the streams are there.
    pub(crate) async fn admin(&self) -> &Client {
        let open = || async {
            let client = until_up(|| connect(self.server.port())).await;
            let context = jetstream::new(client.clone());
            let queue = stream::Config {
                name: self.name.clone(),
                subjects: vec![format!("{}.>", self.name)],
                retention: RetentionPolicy::WorkQueue,
                discard: DiscardPolicy::New,
                max_messages: self.capacity.map_or(-1, |messages| messages as i64),
                ..stream::Config::default()
            };
            let name = format!("{}-DEAD", self.name);
            let subjects = vec![format!("{name}.>")];
            let dead = stream::Config { name, subjects, ..stream::Config::default() };
            for config in [queue, dead] {
                until_up(|| context.create_stream(config.clone())).await;
            }
            client
        };
        self.admin.get_or_init(open).await
    }

    async fn context(&self) -> Context {
        jetstream::new(self.admin().await.clone())
    }

    /// A client of a worker.
    pub(crate) async fn connect(&self) -> Result<(TcpLine, Client), AdapterError> {
        let line = TcpLine::to(self.server.port()).await.map_err(refused)?;
        let client = until_up(|| connect(line.port())).await;
        Ok((line, client))
    }

    /// The messages that its consumer has to deliver, or has delivered and not seen the end of.
    pub(crate) async fn stored(&self) -> usize {
        let context = self.context().await;
        let count = || async {
            let subject = format!("CONSUMER.INFO.{}.worker", self.name);
            match context.request(subject, &NOTHING).await {
                Ok(Response::Ok(Info { num_pending, num_ack_pending, .. })) => {
                    Ok(num_pending as usize + num_ack_pending)
                }
                Ok(Response::Err { error }) if error.code() == 404 => Ok(0),
                _ => Err(()),
            }
        };
        until_up(count).await
    }

    /// Ends the leases of all messages that are in hand for the first time, as the server does when its clock says that the ack
    /// wait is over.
    pub(crate) async fn end_leases(&self) {
        let client = self.admin().await;
        let subject = format!("CONSUMER.INFO.{}.worker", self.name);
        let context = self.context().await;
        let delivered = until_up(async || match context.request(subject.clone(), &NOTHING).await {
            Ok(Response::Ok(Info { delivered, .. })) => Ok(delivered.consumer_sequence),
            _ => Err(()),
        });
        // The first deliveries are in the order of the stream, and the server ignores those that are settled.
        for sequence in 1..=delivered.await {
            let subject = format!("$JS.ACK.{}.worker.1.{sequence}.{sequence}.0.0", self.name);
            until_up(|| client.publish(subject.clone(), "-NAK".into())).await;
        }
        until_up(|| client.flush()).await;
    }

    pub(crate) async fn dead_letters(&self) -> usize {
        let context = self.context().await;
        let name = format!("{}-DEAD", self.name);
        until_up(|| context.get_stream(&name)).await.cached_info().state.messages as usize
    }

    pub(crate) async fn delete_consumer(&self) {
        let context = self.context().await;
        until_up(|| context.delete_consumer_from_stream("worker", &self.name)).await;
    }
}

async fn connect(port: u16) -> Result<Client, ConnectError> {
    async_nats::connect(format!("nats://127.0.0.1:{port}")).await
}

fn refused(error: io::Error) -> AdapterError {
    AdapterError::Refused(error.to_string())
}

/// Calls until the server answers.
pub(crate) async fn until_up<T, E, Fut: Future<Output = Result<T, E>>>(call: impl Fn() -> Fut) -> T {
    loop {
        match call().await {
            Ok(value) => return value,
            Err(_) => sleep(PAUSE).await,
        }
    }
}
