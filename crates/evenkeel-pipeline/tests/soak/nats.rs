//! NATS: rates beside the bare client in the same process; messages under kills, and leases for a long time.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::IntoFuture as _,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use async_nats::{
    HeaderMap,
    jetstream::{consumer::pull, stream},
};
use evenkeel_pipeline::{
    Message, Pipeline, Sink as _,
    nats::{JetStream, JetStreamMessage, JetStreamSink, Outgoing},
};
use futures::StreamExt as _;
use tokio::time::{Instant, sleep};

use self::harness::{Queue, ms, run_one_by_one, say};

#[path = "../real/nats/harness.rs"]
mod harness;
#[cfg(feature = "postgres")]
mod kills;
mod leases;
#[path = "../real/nats/server.rs"]
mod server;

const COUNT: usize = 100_000;
const ROUNDS: usize = 5;

/// The median of rounds.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The speed of a run: messages for each second, and the microseconds of this process's CPU for each.
struct Stopwatch {
    start: Instant,
    cpu: f64,
}

#[derive(Default)]
struct Speeds {
    rates: Vec<f64>,
    cpu: Vec<f64>,
}

impl Stopwatch {
    fn start() -> Self {
        Self { start: Instant::now(), cpu: cpu_seconds() }
    }

    fn stop(self, count: usize, speeds: &mut Speeds) {
        speeds.rates.push(count as f64 / self.start.elapsed().as_secs_f64());
        speeds.cpu.push((cpu_seconds() - self.cpu) * 1e6 / count as f64);
    }
}

impl Speeds {
    fn rate(&self) -> f64 {
        median(self.rates.clone())
    }

    fn text(&self) -> String {
        format!("{:.0}/s ({:.2} us of CPU)", self.rate(), median(self.cpu.clone()))
    }

    /// The median of the ratios of rounds, each of which ran side by side.
    fn against(&self, other: &Self) -> f64 {
        median(self.rates.iter().zip(&other.rates).map(|(ours, other)| ours / other).collect())
    }
}

/// The CPU time of this process, in seconds; 0 where the system does not tell.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let numbers = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    // User and system time, the 14th and 15th field, in hundredths of seconds.
    numbers.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

#[derive(Clone, Copy, PartialEq)]
enum Acks {
    Plain,
    Double,
}

async fn bare(queue: &Queue, name: String, window: usize, acks: Acks, speeds: &mut Speeds) {
    let stream = queue.context.get_stream(&queue.name).await.unwrap();
    let config = pull::Config {
        durable_name: Some(name),
        max_ack_pending: 65_536,
        ack_policy: async_nats::jetstream::consumer::AckPolicy::Explicit,
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await.unwrap();
    let watch = Stopwatch::start();
    let messages = consumer.stream().max_messages_per_batch(window).messages().await.unwrap();
    let messages = messages.take(COUNT).map(|message| message.unwrap());
    match acks {
        Acks::Plain => messages.for_each(async |message| message.ack().await.unwrap()).await,
        Acks::Double => {
            let acks = messages.map(async |message| message.double_ack().await.unwrap());
            acks.buffer_unordered(window).for_each(async |()| {}).await;
        }
    }
    watch.stop(COUNT, speeds);
}

async fn ours(queue: &Queue, name: String, window: usize, speeds: &mut Speeds) {
    let source = JetStream::new(queue.client.clone(), &queue.name, name).open().await.unwrap();
    let done = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&done);
    let watch = Stopwatch::start();
    let pipeline = Pipeline::from(source).window(window).stage("nothing", move |_: JetStreamMessage| {
        counter.fetch_add(1, Relaxed);
        std::future::ready(Ok::<_, Infallible>(()))
    });
    let running = pipeline.limit(16).start().unwrap();
    while running.snapshot().counts.acked < COUNT as u64 {
        sleep(Duration::from_millis(1)).await;
    }
    watch.stop(COUNT, speeds);
    let report = running.drain(ms(5000)).await.unwrap();
    assert_eq!((report.acked, done.load(Relaxed)), (COUNT as u64, COUNT), "{report}");
}

#[test]
#[ignore = "soak"]
fn confirmed_acks_beside_the_bare_client() {
    run_one_by_one(async |url| {
        let queue = Queue::new(&url, stream::Config::default()).await;
        queue.fill(COUNT).await;
        let names = AtomicU32::new(0);
        let name = || format!("c{}", names.fetch_add(1, Relaxed));
        for window in [64, 256, 1000] {
            let [mut confirmed, mut plain, mut double] = [(); 3].map(|()| Speeds::default());
            for _ in 0..ROUNDS {
                ours(&queue, name(), window, &mut confirmed).await;
                bare(&queue, name(), window, Acks::Plain, &mut plain).await;
                bare(&queue, name(), window, Acks::Double, &mut double).await;
            }
            say(&format!(
                "window {window}: ours, confirmed {}; bare with plain acks {}, {:.2} x; with double acks in parallel {}, {:.2} x",
                confirmed.text(),
                plain.text(),
                confirmed.against(&plain),
                double.text(),
                confirmed.against(&double)
            ));
        }
    });
}

#[test]
#[ignore = "soak"]
fn publications_beside_the_bare_client() {
    run_one_by_one(async |url| {
        let [mut sink, mut windowed, mut single] = [(); 3].map(|()| Speeds::default());
        for round in 0..ROUNDS {
            let queue = Queue::new(&url, stream::Config::default()).await;
            let subject = format!("{}.a", queue.name);
            let payload = bytes::Bytes::from(vec![b'x'; 128]);
            let ours = {
                let (subject, payload) = (async_nats::Subject::from(subject.as_str()), payload.clone());
                JetStreamSink::new(queue.client.clone(), move |_: &usize| {
                    Outgoing::new(subject.clone(), payload.clone())
                })
            };
            let watch = Stopwatch::start();
            for batch in 0..COUNT / 1000 {
                let message = |item| Message { id: format!("a{round}/{item}"), attempt: 1, item };
                ours.send((batch * 1000..(batch + 1) * 1000).map(message).collect()).await.unwrap();
            }
            watch.stop(COUNT, &mut sink);

            let watch = Stopwatch::start();
            let mut answers = VecDeque::new();
            for item in 0..COUNT {
                if answers.len() == 256
                    && let Some(oldest) = answers.pop_front()
                {
                    let oldest: async_nats::jetstream::context::PublishAckFuture = oldest;
                    oldest.into_future().await.unwrap();
                }
                let mut headers = HeaderMap::new();
                headers.insert("Nats-Msg-Id", format!("b{round}/{item}"));
                let publish = queue.context.publish_with_headers(subject.clone(), headers, payload.clone());
                answers.push_back(publish.await.unwrap());
            }
            for answer in answers {
                answer.await.unwrap();
            }
            watch.stop(COUNT, &mut windowed);

            let watch = Stopwatch::start();
            for item in 0..COUNT / 20 {
                let mut headers = HeaderMap::new();
                headers.insert("Nats-Msg-Id", format!("c{round}/{item}"));
                let publish = queue.context.publish_with_headers(subject.clone(), headers, payload.clone());
                publish.await.unwrap().await.unwrap();
            }
            watch.stop(COUNT / 20, &mut single);
            assert_eq!(queue.info().await.state.messages, (2 * COUNT + COUNT / 20) as u64);
        }
        say(&format!(
            "sink {}; bare, 256 at a time {}, {:.2} x; one by one {}, {:.1} x",
            sink.text(),
            windowed.text(),
            sink.against(&windowed),
            single.text(),
            sink.against(&single)
        ));
    });
}
