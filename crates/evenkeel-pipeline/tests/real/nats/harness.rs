//! A stream for each test, and loops that need the traits alone.

use std::{
    env,
    io::Write as _,
    pin::Pin,
    process,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
    time::Duration,
};

use async_nats::{
    Client,
    jetstream::{self, Context, consumer::Info, context::CreateStreamError, stream},
};
use evenkeel_pipeline::{
    Ack as _, Delivery, Demand, Settle, SettleOutcome, Source as _,
    nats::{JetStream, JetStreamMessage, JetStreamReceipt, JetStreamSource},
};
use tokio::time::{sleep, timeout};

use super::server::Server;

const SERVERS: [(&str, &str); 2] = [("NATS", "EVENKEEL_TEST_NATS"), ("NATS 2.14", "EVENKEEL_TEST_NATS214")];

pub(super) type Delivered = Delivery<JetStreamMessage, JetStreamReceipt>;

pub(super) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

pub(super) fn skip(why: &str) {
    say(&format!("SKIPPED: {why}"));
}

pub(super) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Runs a test with each available server, at the same time.
pub(super) fn run<Fut: Future<Output = ()>>(test: impl Fn(Queue) -> Fut + Sync) {
    run_with(async |url| test(Queue::new(&url, queue_config()).await).await);
}

pub(super) fn run_with(test: impl AsyncFn(String) + Sync) {
    thread::scope(|scope| {
        for (name, variable) in SERVERS {
            match env::var(variable) {
                Ok(url) => {
                    let test = &test;
                    thread::Builder::new()
                        .name(format!("{} with {name}", thread::current().name().unwrap_or_default()))
                        .spawn_scoped(scope, move || block_on(test(url)))
                        .unwrap();
                }
                Err(_) => skip(&format!("no {name} server (cargo xtask servers up)")),
            }
        }
    });
}

/// The same, one after the other, for tests that measure.
pub(super) fn run_one_by_one(test: impl AsyncFn(String)) {
    for (name, variable) in SERVERS {
        match env::var(variable) {
            Ok(url) => {
                say(&format!("with {name}"));
                block_on(test(url));
            }
            Err(_) => skip(&format!("no {name} server (cargo xtask servers up)")),
        }
    }
}

fn block_on<'a>(test: impl Future<Output = ()> + 'a) {
    // The runtime's code is compiled once, and not for each test.
    let test: Pin<Box<dyn Future<Output = ()> + 'a>> = Box::pin(test);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}

/// Runs a test with a server of its own of each kind that can be started, one after the other.
pub(super) fn run_alone<Fut: Future<Output = ()>>(test: impl Fn(Server) -> Fut) {
    run_one_by_one(async |url| match Server::like(&url) {
        Some(server) => test(server).await,
        None => skip("its program cannot be found here"),
    });
}

/// A stream that is named after nothing else, with its subjects below its name.
pub(super) struct Queue {
    pub(super) client: Client,
    pub(super) context: Context,
    pub(super) name: String,
}

pub(super) fn queue_config() -> stream::Config {
    stream::Config { retention: stream::RetentionPolicy::WorkQueue, ..stream::Config::default() }
}

impl Queue {
    pub(super) async fn new(url: &str, config: stream::Config) -> Self {
        let client = async_nats::connect(url).await.unwrap();
        Self::create(client, config).await.unwrap()
    }

    async fn create(client: Client, config: stream::Config) -> Result<Self, CreateStreamError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("T{}-{}", process::id(), COUNT.fetch_add(1, Relaxed));
        let context = jetstream::new(client.clone());
        let subjects = vec![format!("{name}.>")];
        context.create_stream(stream::Config { name: name.clone(), subjects, ..config }).await?;
        Ok(Self { client, context, name })
    }

    /// A stream in a cluster, which has to find itself first.
    pub(super) async fn in_cluster(client: Client, config: impl Fn() -> stream::Config) -> Self {
        for _ in 0..100 {
            if let Ok(queue) = Self::create(client.clone(), config()).await {
                return queue;
            }
            sleep(ms(300)).await;
        }
        panic!("the cluster makes no stream");
    }

    pub(super) fn builder(&self) -> JetStream {
        JetStream::new(self.client.clone(), &self.name, "worker")
    }

    pub(super) async fn source(&self, ack_wait: Duration) -> JetStreamSource {
        self.builder().ack_wait(ack_wait).open().await.unwrap()
    }

    /// Publishes the numbers from 0 on, as texts.
    pub(super) async fn fill(&self, count: usize) {
        let mut answers = Vec::new();
        for number in 0..count {
            let subject = format!("{}.{}", self.name, number % 8);
            answers.push(self.context.publish(subject, number.to_string().into()).await.unwrap());
            if answers.len() == 256 {
                for answer in answers.drain(..) {
                    answer.await.unwrap();
                }
            }
        }
        for answer in answers {
            answer.await.unwrap();
        }
    }

    pub(super) async fn info(&self) -> stream::Info {
        self.context.get_stream(&self.name).await.unwrap().cached_info().clone()
    }

    pub(super) async fn consumer(&self) -> Info {
        let stream = self.context.get_stream(&self.name).await.unwrap();
        stream.consumer_info("worker").await.unwrap()
    }
}

pub(super) const fn items(items: usize) -> Demand {
    Demand { items, bytes: usize::MAX }
}

/// Pulls, and waits for as long as a test may wait.
pub(super) async fn pull(source: &mut JetStreamSource, count: usize) -> Vec<Delivered> {
    timeout(ms(20_000), source.pull(items(count))).await.expect("something comes").unwrap()
}

/// Pulls until there are as many.
pub(super) async fn pull_all(source: &mut JetStreamSource, count: usize) -> Vec<Delivered> {
    let mut all = Vec::new();
    while all.len() < count {
        all.extend(pull(source, count - all.len()).await);
    }
    all
}

/// Pulls for a while, and expects nothing.
pub(super) async fn assert_idle(source: &mut JetStreamSource, time: Duration) {
    if let Ok(pulled) = timeout(time, source.pull(items(100))).await {
        panic!("{:?}", pulled.map(|all| all.iter().map(|one| one.receipt).collect::<Vec<_>>()));
    }
}

pub(super) async fn settle(
    source: &JetStreamSource,
    delivered: &[Delivered],
    settle: Settle,
) -> Vec<SettleOutcome> {
    let batch: Vec<_> = delivered.iter().map(|one| (one.receipt, settle)).collect();
    source.ack().settle(&batch).await.unwrap()
}

pub(super) fn number(delivered: &Delivered) -> usize {
    std::str::from_utf8(&delivered.item.payload).unwrap().parse().unwrap()
}

pub(super) fn numbers(delivered: &[Delivered]) -> Vec<usize> {
    let mut numbers: Vec<_> = delivered.iter().map(number).collect();
    numbers.sort_unstable();
    numbers
}

pub(super) fn attempts(delivered: &[Delivered]) -> Vec<u32> {
    delivered.iter().map(|one| one.attempt).collect()
}
