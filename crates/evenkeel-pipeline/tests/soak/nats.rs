//! NATS: 100,000 messages under kills, and rates beside the bare client in the same process.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::IntoFuture as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use async_nats::{
    HeaderMap,
    jetstream::{consumer::pull, stream},
};
use evenkeel_pipeline::{
    Message, Pipeline, Running, Sink as _,
    nats::{JetStream, JetStreamMessage, JetStreamSink, Outgoing},
};
use futures::StreamExt as _;
use tokio::time::{Instant, sleep, timeout};

use self::harness::{Queue, ms, queue_config, run_alone, run_with, say};

#[path = "../real/nats/harness.rs"]
mod harness;
#[path = "../real/nats/server.rs"]
mod server;

const COUNT: usize = 50_000;
const ROUNDS: usize = 3;

#[test]
#[ignore = "soak"]
fn a_hundred_thousand_messages_survive_kills() {
    run_alone(async |mut server| {
        const COUNT: usize = 100_000;
        server.start().await;
        let url = server.url();
        let queue = Queue::new(&url, queue_config()).await;
        queue.fill(COUNT).await;
        let seen = Arc::new(Mutex::new(vec![0_u32; COUNT]));
        let mut workers = VecDeque::new();
        for _ in 0..3 {
            workers.push_back(worker(&url, &queue.name, &seen).await);
        }
        let mut kills = 0;
        let distinct = || seen.lock().unwrap().iter().filter(|count| **count > 0).count();
        let all = async {
            while distinct() < COUNT {
                sleep(ms(200)).await;
                if kills < 20 {
                    kills += 1;
                    // Without a word to the server: all that it had in hand comes again.
                    drop(workers.pop_front());
                    workers.push_back(worker(&url, &queue.name, &seen).await);
                }
                if [5, 10, 15].contains(&kills) {
                    kills += 1;
                    server.kill();
                    sleep(ms(300)).await;
                    server.start().await;
                }
            }
        };
        timeout(ms(240_000), all).await.expect("nothing is lost");
        for worker in workers {
            let report = worker.drain(ms(10_000)).await.unwrap();
            let sum = report.acked + report.nacked + report.dead + report.left();
            assert_eq!(report.accepted, sum, "{report}");
        }
        let total: u32 = seen.lock().unwrap().iter().sum();
        say(&format!("{total} runs of {COUNT} messages, {kills} kills, 3 of them of the server"));
    });
}

/// A worker with a client of its own, as another process has.
async fn worker(url: &str, stream: &str, seen: &Arc<Mutex<Vec<u32>>>) -> Running {
    let client = async_nats::connect(url).await.unwrap();
    let source = JetStream::new(client, stream, "worker").ack_wait(ms(3000)).open().await.unwrap();
    let seen = Arc::clone(seen);
    let pipeline = Pipeline::from(source).window(512).stage("count", move |item: JetStreamMessage| {
        let seen = Arc::clone(&seen);
        async move {
            let number: usize = std::str::from_utf8(&item.payload).unwrap().parse().unwrap();
            sleep(ms(5)).await;
            seen.lock().unwrap()[number] += 1;
            Ok::<_, Infallible>(())
        }
    });
    pipeline.limit(64).start().unwrap()
}

/// The median of rounds, in messages for each second.
fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn rate(count: usize, start: Instant) -> f64 {
    count as f64 / start.elapsed().as_secs_f64()
}

#[derive(Clone, Copy, PartialEq)]
enum Acks {
    Plain,
    Double,
}

async fn bare(queue: &Queue, name: String, window: usize, acks: Acks) -> f64 {
    let stream = queue.context.get_stream(&queue.name).await.unwrap();
    let config = pull::Config {
        durable_name: Some(name),
        max_ack_pending: 65_536,
        ack_policy: async_nats::jetstream::consumer::AckPolicy::Explicit,
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await.unwrap();
    let start = Instant::now();
    let messages = consumer.stream().max_messages_per_batch(window).messages().await.unwrap();
    let messages = messages.take(COUNT).map(|message| message.unwrap());
    match acks {
        Acks::Plain => messages.for_each(async |message| message.ack().await.unwrap()).await,
        Acks::Double => {
            let acks = messages.map(async |message| message.double_ack().await.unwrap());
            acks.buffer_unordered(window).for_each(async |()| {}).await;
        }
    }
    rate(COUNT, start)
}

async fn ours(queue: &Queue, name: String, window: usize) -> f64 {
    let source = JetStream::new(queue.client.clone(), &queue.name, name).open().await.unwrap();
    let done = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&done);
    let start = Instant::now();
    let pipeline = Pipeline::from(source).window(window).stage("nothing", move |_: JetStreamMessage| {
        counter.fetch_add(1, Relaxed);
        std::future::ready(Ok::<_, Infallible>(()))
    });
    let running = pipeline.limit(16).start().unwrap();
    while running.snapshot().counts.acked < COUNT as u64 {
        sleep(Duration::from_millis(1)).await;
    }
    let rate = rate(COUNT, start);
    let report = running.drain(ms(5000)).await.unwrap();
    assert_eq!((report.acked, done.load(Relaxed)), (COUNT as u64, COUNT), "{report}");
    rate
}

#[test]
#[ignore = "soak"]
fn confirmed_acks_beside_the_bare_client() {
    run_with(async |url| {
        let queue = Queue::new(&url, stream::Config::default()).await;
        queue.fill(COUNT).await;
        let names = AtomicU32::new(0);
        let name = || format!("c{}", names.fetch_add(1, Relaxed));
        for window in [64, 256, 1000] {
            let (mut plain, mut double, mut confirmed) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                confirmed.push(ours(&queue, name(), window).await);
                plain.push(bare(&queue, name(), window, Acks::Plain).await);
                double.push(bare(&queue, name(), window, Acks::Double).await);
            }
            let (plain, double, confirmed) = (median(plain), median(double), median(confirmed));
            say(&format!(
                "window {window}: ours, confirmed {confirmed:.0}/s; bare with plain acks {plain:.0}/s, {:.2} x; with double \
                 acks in parallel {double:.0}/s, {:.2} x",
                confirmed / plain,
                confirmed / double
            ));
        }
    });
}

#[test]
#[ignore = "soak"]
fn publications_beside_the_bare_client() {
    run_with(async |url| {
        let (mut sink, mut windowed, mut single) = (Vec::new(), Vec::new(), Vec::new());
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
            let start = Instant::now();
            for batch in 0..COUNT / 1000 {
                let message = |item| Message { id: format!("a{round}/{item}"), attempt: 1, item };
                ours.send((batch * 1000..(batch + 1) * 1000).map(message).collect()).await.unwrap();
            }
            sink.push(rate(COUNT, start));

            let start = Instant::now();
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
            windowed.push(rate(COUNT, start));

            let start = Instant::now();
            for item in 0..COUNT / 20 {
                let mut headers = HeaderMap::new();
                headers.insert("Nats-Msg-Id", format!("c{round}/{item}"));
                let publish = queue.context.publish_with_headers(subject.clone(), headers, payload.clone());
                publish.await.unwrap().await.unwrap();
            }
            single.push(rate(COUNT / 20, start));
            assert_eq!(queue.info().await.state.messages, (2 * COUNT + COUNT / 20) as u64);
        }
        let (sink, windowed, single) = (median(sink), median(windowed), median(single));
        say(&format!(
            "sink {sink:.0}/s; bare, 256 at a time {windowed:.0}/s, {:.2} x; one by one {single:.0}/s, {:.1} x",
            sink / windowed,
            sink / single
        ));
    });
}
