//! Slow consumers, leases for a long time, and servers that go away, also in a cluster.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use async_nats::jetstream::stream;
use evenkeel_pipeline::{
    Batch, MemoryBroker, Message, Pipeline, Running, Sink as _,
    nats::{JetStream, JetStreamMessage, JetStreamSink, Outgoing},
};
use tokio::time::{sleep, timeout};

use super::{
    harness::{Queue, ms, pull_all, queue_config, run_alone, run_with, say, skip},
    server::Cluster,
};

#[test]
#[ignore = "soak"]
fn a_sink_waits_for_a_server_that_is_away() {
    run_alone(async |mut server| {
        server.start().await;
        let queue = Queue::new(&server.url(), queue_config()).await;
        let subject = format!("{}.a", queue.name);
        let sink = Arc::new(JetStreamSink::new(queue.client.clone(), move |item: &usize| {
            Outgoing::new(subject.as_str(), item.to_string())
        }));
        let items = MemoryBroker::new();
        for item in 0..5000_usize {
            items.publish(item).await.unwrap();
        }
        items.close();
        let pipeline = Pipeline::from(items.source()).window(1000).sink(
            "publish",
            Batch::items(100),
            move |batch: Vec<Message<usize>>| {
                let sink = Arc::clone(&sink);
                async move {
                    sleep(ms(20)).await;
                    sink.send(batch).await
                }
            },
        );
        let running = pipeline.start().unwrap();
        sleep(ms(100)).await;
        server.kill();
        sleep(ms(500)).await;
        server.start().await;
        let report = timeout(ms(60_000), running).await.expect("it ends").unwrap();
        assert_eq!((report.acked, report.nacked), (5000, 0), "{report}");
        let mut source = queue.source(ms(30_000)).await;
        let stored = queue.info().await.state.messages;
        let delivered = pull_all(&mut source, usize::try_from(stored).unwrap()).await;
        let distinct: BTreeSet<_> = delivered.iter().map(|one| one.item.payload.clone()).collect();
        assert_eq!(distinct.len(), 5000);
    });
}

#[test]
#[ignore = "soak"]
fn a_slow_consumer_of_a_hundred_thousand_messages_causes_no_storm() {
    const COUNT: u64 = 100_000;
    run_with(async |url| {
        let queue = Queue::new(&url, queue_config()).await;
        queue.fill(COUNT as usize).await;
        // A window takes twice the ack wait.
        let source = queue.source(ms(2000)).await;
        let pipeline = Pipeline::from(source).window(10_000).stage("work", async |one: JetStreamMessage| {
            sleep(ms(40)).await;
            drop(one);
            Ok::<_, Infallible>(())
        });
        let running = pipeline.limit(100).start().unwrap();
        while running.snapshot().counts.acked < COUNT {
            sleep(ms(100)).await;
        }
        let report = running.drain(ms(10_000)).await.unwrap();
        assert_eq!((report.acked, report.superseded), (COUNT, 0), "{report}");
        assert_eq!(queue.consumer().await.delivered.consumer_sequence, COUNT);
    });
}

#[test]
#[ignore = "soak"]
fn ten_thousand_items_in_hand_for_ten_ack_waits_are_not_delivered_again() {
    const COUNT: u64 = 10_000;
    run_with(async |url| {
        let queue = Queue::new(&url, queue_config()).await;
        queue.fill(COUNT as usize).await;
        let ack_wait = ms(2000);
        let pipeline = Pipeline::from(queue.source(ack_wait).await)
            .stage("work", async move |one: JetStreamMessage| {
                sleep(10 * ack_wait).await;
                drop(one);
                Ok::<_, Infallible>(())
            })
            .window(COUNT as usize);
        let running = pipeline.start().unwrap();
        while running.snapshot().counts.acked < COUNT {
            sleep(ms(100)).await;
        }
        let report = running.drain(ms(10_000)).await.unwrap();
        assert_eq!((report.accepted, report.acked), (COUNT, COUNT), "{report}");
        assert_eq!(queue.consumer().await.delivered.consumer_sequence, COUNT);
    });
}

#[test]
#[ignore = "soak"]
fn a_cluster_of_three_loses_nothing_with_its_leader() {
    run_with(async |url| {
        let Some(mut cluster) = Cluster::like(&url) else { return skip("its program cannot be found here") };
        cluster.start().await;
        let client = async_nats::ConnectOptions::new().connect(cluster.urls()).await.unwrap();
        let config = || stream::Config { num_replicas: 3, ..queue_config() };
        let queue = Queue::in_cluster(client, config).await;
        let subject = format!("{}.a", queue.name);
        let sink = JetStreamSink::new(queue.client.clone(), move |item: &usize| {
            Outgoing::new(subject.as_str(), item.to_string())
        });
        let seen = Arc::new(Mutex::new(vec![0_u32; 6000]));
        let running = worker(cluster.urls(), &queue.name, &seen).await;
        for batch in 0..60 {
            let message = |item| Message { id: format!("m/{item}"), attempt: 1, item };
            sink.send((batch * 100..(batch + 1) * 100).map(message).collect()).await.unwrap();
            if [15, 35].contains(&batch) {
                let leader = queue.info().await.cluster.and_then(|cluster| cluster.leader).unwrap();
                cluster.kill(&leader);
                sleep(ms(1000)).await;
                cluster.start_again(&leader).await;
            }
        }
        let all = async {
            while seen.lock().unwrap().contains(&0) {
                sleep(ms(100)).await;
            }
        };
        timeout(ms(120_000), all).await.expect("nothing is lost");
        let report = running.drain(ms(10_000)).await.unwrap();
        let sum = report.acked + report.nacked + report.dead + report.left();
        assert_eq!(report.accepted, sum, "{report}");
        let total: u32 = seen.lock().unwrap().iter().sum();
        say(&format!("{total} runs of 6000 messages, two leaders killed: {report}"));
    });
}

/// A worker with a client of its own, as another process has.
async fn worker(urls: Vec<String>, stream: &str, seen: &Arc<Mutex<Vec<u32>>>) -> Running {
    let client = async_nats::connect(urls).await.unwrap();
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
