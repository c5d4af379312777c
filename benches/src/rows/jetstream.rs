//! JetStream through a pipeline, beside the bare client in the same process.
//!
//! Both have the same messages, window and connection, run on a task of the same runtime, and are warm. All that the bare client has
//! written has left it at the end of a round; of ours, the server has confirmed all of it.

use std::{
    cell::{OnceCell, RefCell},
    collections::{HashMap, VecDeque},
    convert::Infallible,
    env,
    future::IntoFuture as _,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use async_nats::{
    Client, HeaderMap, Subject,
    jetstream::{
        self, Context,
        consumer::{AckPolicy, pull},
        context::PublishAckFuture,
        stream,
    },
};
use bytes::Bytes;
use evenkeel::pipeline::{
    Message, Pipeline, Sink as _,
    nats::{JetStream, JetStreamMessage, JetStreamSink, Outgoing},
};
use futures::StreamExt as _;
use tokio::{runtime::Runtime, sync::Notify, time::sleep};

use crate::{
    measure::{Sample, measured},
    row::{Metric, OURS, Row},
};

/// The variables that name the servers, by their version; `cargo xtask bench --nats` starts them.
const SERVERS: [(&str, &str); 2] = [("2.9", "EVENKEEL_TEST_NATS"), ("2.14", "EVENKEEL_TEST_NATS214")];
const NOT_COUNTED: &str = "messages over a socket, to a server in another process";
const CONSUMED: u64 = 50_000;
const PUBLISHED: u64 = 20_000;
/// Fewer, as each waits for its answer.
const PUBLISHED_ONE_BY_ONE: u64 = 10_000;
const ROUNDS: usize = 11;
/// The publications whose answers are awaited at the same time: the default of the sink.
const WINDOW: usize = 1024;
/// The items of a batch of the sink, and the batches at the same time.
const BATCH: (u64, usize) = (500, 2);
const CONSUMED_STREAM: &str = "EVENKEEL_BENCH_CONSUMED";
const CONSUMED_SUBJECT: &str = "evenkeel.bench.consumed";
const PUBLISHED_STREAM: &str = "EVENKEEL_BENCH_PUBLISHED";
const PUBLISHED_SUBJECT: &str = "evenkeel.bench.published";

pub(crate) fn rows() -> Vec<Row> {
    let of_server = |(version, _)| {
        let consume = [64, 256, 1000]
            .into_iter()
            .flat_map(move |window| [consume(version, window), consume_confirmed(version, window)]);
        consume.chain([publish(version), publish_one_by_one(version)])
    };
    SERVERS.into_iter().flat_map(of_server).collect()
}

/// Whether the server of a row is named.
pub(crate) fn is_named(id: &str) -> bool {
    SERVERS.iter().any(|(version, _)| id.ends_with(&format!("/{version}")) && url(version).is_some())
}

fn url(version: &str) -> Option<String> {
    let (_, variable) = SERVERS.iter().find(|(known, _)| *known == version)?;
    env::var(variable).ok().filter(|url| !url.is_empty())
}

fn row(name: &str, version: &str, target: f64, count: u64) -> Row {
    let row = Row::new(format!("jetstream/{name}/{version}"), Metric::Wall).target(target);
    let mut row = row.also(Metric::Cpu).fixed(count).not_counted(NOT_COUNTED);
    row.rounds = Some(ROUNDS);
    row
}

/// Confirmed acks beside such as nobody confirms.
fn consume(version: &'static str, window: usize) -> Row {
    row(&format!("consume-{window}"), version, 1.0 / 0.95, CONSUMED)
        .with_round(OURS, Box::new(move |count| consumed(version, count, window)))
        .with_round("plain acks", Box::new(move |count| consumed_bare(version, count, window, false)))
}

/// Confirmed acks on both sides.
fn consume_confirmed(version: &'static str, window: usize) -> Row {
    row(&format!("consume-confirmed-{window}"), version, 0.5, CONSUMED)
        .with_round(OURS, Box::new(move |count| consumed(version, count, window)))
        .with_round(
            "double acks in parallel",
            Box::new(move |count| consumed_bare(version, count, window, true)),
        )
}

/// Batches through the sink, beside publications in the same window.
fn publish(version: &'static str) -> Row {
    row("publish", version, 1.0 / 0.95, PUBLISHED)
        .with_round(OURS, Box::new(move |count| published(version, count)))
        .with_round("a window of answers", Box::new(move |count| published_bare(version, count, WINDOW)))
}

fn publish_one_by_one(version: &'static str) -> Row {
    row("publish-beside-one-by-one", version, 1.0 / 9.0, PUBLISHED_ONE_BY_ONE)
        .with_round(OURS, Box::new(move |count| published(version, count)))
        .with_round("one by one", Box::new(move |count| published_bare(version, count, 1)))
}

/// The connection to a server, which all of its rows share, and the stream that is consumed.
struct Bench {
    runtime: Runtime,
    client: Client,
    context: Context,
    filled: OnceCell<stream::Stream>,
}

thread_local! {
    static BENCHES: RefCell<HashMap<&'static str, Rc<Bench>>> = RefCell::default();
}

fn bench(version: &'static str) -> Rc<Bench> {
    BENCHES.with_borrow_mut(|benches| {
        Rc::clone(benches.entry(version).or_insert_with(|| Rc::new(Bench::new(version))))
    })
}

impl Bench {
    fn new(version: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime for a benchmark");
        let url = url(version).expect("a server");
        let (client, context) = runtime.block_on(async {
            let client = async_nats::connect(url).await.expect("a connection");
            (client.clone(), jetstream::new(client))
        });
        Self { runtime, client, context, filled: OnceCell::new() }
    }

    /// Measures work on a task, as the work of ours is on tasks.
    fn measured<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> (Sample, T) {
        let mut output = None;
        let sample = measured(|| {
            let done = self.runtime.block_on(async { tokio::spawn(work).await });
            output = Some(done.expect("a benchmark does not panic"));
        });
        (sample, output.expect("work that has ended"))
    }

    /// Creates a stream in the place of one of the same name.
    async fn stream(&self, name: &str, subject: &str) -> stream::Stream {
        // There is none at first.
        let _ = self.context.delete_stream(name).await;
        let (name, subjects) = (name.to_owned(), vec![subject.to_owned()]);
        let config = stream::Config { name, subjects, ..Default::default() };
        self.context.create_stream(config).await.expect("a stream")
    }

    /// Returns the stream that is consumed: by a new consumer each time, which gets all of it.
    fn filled(&self, count: u64) -> &stream::Stream {
        self.filled.get_or_init(|| {
            self.runtime.block_on(async {
                let stream = self.stream(CONSUMED_STREAM, CONSUMED_SUBJECT).await;
                publish_all(self.context.clone(), CONSUMED_SUBJECT, count, 1000).await;
                stream
            })
        })
    }

    /// Creates the stream of a round of publications, since an older one knows their ids.
    fn empty(&self) {
        self.runtime.block_on(self.stream(PUBLISHED_STREAM, PUBLISHED_SUBJECT));
    }

    fn delete_consumer(&self, stream: &stream::Stream, name: &str) {
        self.runtime.block_on(stream.delete_consumer(name)).expect("a consumer that is deleted");
    }
}

fn payload() -> Bytes {
    Bytes::from_static(&[b'x'; 128])
}

async fn publish_all(context: Context, subject: &'static str, count: u64, window: usize) {
    let (payload, subject) = (payload(), Subject::from_static(subject));
    let mut answers: VecDeque<PublishAckFuture> = VecDeque::new();
    for item in 0..count {
        if answers.len() == window
            && let Some(oldest) = answers.pop_front()
        {
            oldest.into_future().await.expect("a message that is stored");
        }
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", format!("bench/{item}"));
        let publish = context.publish_with_headers(subject.clone(), headers, payload.clone());
        answers.push_back(publish.await.expect("a publication that is sent"));
    }
    for answer in answers {
        answer.await.expect("a message that is stored");
    }
}

/// Returns the name of a consumer of one round.
fn name() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("bench-{}", NUMBER.fetch_add(1, Relaxed))
}

fn consumed(version: &'static str, count: u64, window: usize) -> Sample {
    let (bench, name) = (bench(version), name());
    let stream = bench.filled(count);
    let source = JetStream::new(bench.client.clone(), CONSUMED_STREAM, &name).open();
    let source = bench.runtime.block_on(source).expect("a consumer");
    let ran = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&ran);
    let (sample, (running,)) = bench.measured(async move {
        let all = Arc::new(Notify::new());
        let (counter, last) = (Arc::clone(&seen), Arc::clone(&all));
        let nothing = move |message: JetStreamMessage| {
            std::hint::black_box(message);
            if counter.fetch_add(1, Relaxed) + 1 == count {
                last.notify_one();
            }
            std::future::ready(Ok::<_, Infallible>(()))
        };
        let pipeline = Pipeline::from(source).window(window).stage("nothing", nothing).limit(16);
        let running = pipeline.start().expect("it is valid");
        // The bare client asks no clock either until all have come.
        all.notified().await;
        while running.snapshot().counts.acked < count {
            sleep(Duration::from_millis(1)).await;
        }
        // In a tuple, since alone it is a future that could be one to wait for.
        (running,)
    });
    let report = bench.runtime.block_on(running.drain(Duration::from_secs(10))).expect("it ends");
    assert_eq!((report.acked, ran.load(Relaxed)), (count, count), "each message runs once");
    bench.delete_consumer(stream, &name);
    sample
}

fn consumed_bare(version: &'static str, count: u64, window: usize, is_confirmed: bool) -> Sample {
    let (bench, name) = (bench(version), name());
    let stream = bench.filled(count);
    let config = pull::Config {
        durable_name: Some(name.clone()),
        ack_policy: AckPolicy::Explicit,
        max_ack_pending: 65_536,
        ..Default::default()
    };
    let consumer = bench.runtime.block_on(stream.create_consumer(config)).expect("a consumer");
    let client = bench.client.clone();
    let (sample, ()) = bench.measured(async move {
        let messages = consumer.stream().max_messages_per_batch(window).messages().await.expect("messages");
        let messages = messages.take(count as usize).map(|message| message.expect("a message"));
        if is_confirmed {
            let acks = messages.map(async |message| message.double_ack().await.expect("an ack"));
            acks.buffer_unordered(window).for_each(async |()| {}).await;
        } else {
            messages.for_each(async |message| message.ack().await.expect("an ack")).await;
        }
        client.flush().await.expect("acks that are sent");
    });
    bench.delete_consumer(stream, &name);
    sample
}

fn published(version: &'static str, count: u64) -> Sample {
    let bench = bench(version);
    bench.empty();
    let (payload, subject) = (payload(), Subject::from_static(PUBLISHED_SUBJECT));
    let outgoing = move |_: &u64| Outgoing::new(subject.clone(), payload.clone());
    let sink = JetStreamSink::new(bench.client.clone(), outgoing).window(WINDOW);
    let (sample, ()) = bench.measured(async move {
        let (items, at_once) = BATCH;
        let send = async |first: u64| {
            let message = |item| Message { id: format!("bench/{item}"), attempt: 1, item };
            let batch = (first..count.min(first + items)).map(message).collect();
            sink.send(batch).await.expect("messages that are stored");
        };
        let batches = futures::stream::iter((0..count).step_by(items as usize));
        batches.for_each_concurrent(at_once, send).await;
    });
    sample
}

fn published_bare(version: &'static str, count: u64, window: usize) -> Sample {
    let bench = bench(version);
    bench.empty();
    bench.measured(publish_all(bench.context.clone(), PUBLISHED_SUBJECT, count, window)).0
}
