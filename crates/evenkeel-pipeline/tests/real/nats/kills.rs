//! A server that is killed and started again with its data.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use evenkeel_pipeline::{
    Batch, Message, Pipeline, Settle, SettleOutcome,
    nats::{JetStreamMessage, JetStreamSink, Outgoing},
};
use tokio::time::{sleep, timeout};

use super::harness::{Queue, ms, pull_all, queue_config, run_alone};

#[test]
#[ignore = "real tier"]
fn a_source_goes_on_after_a_kill_of_the_server() {
    run_alone(async |mut server| {
        server.start().await;
        let queue = Queue::new(&server.url(), queue_config()).await;
        queue.fill(1000).await;
        let seen = Arc::new(Mutex::new(BTreeSet::new()));
        let pipeline = Pipeline::from(queue.source(ms(2000)).await)
            .window(100)
            .stage("work", {
                let seen = Arc::clone(&seen);
                move |message: JetStreamMessage| {
                    let seen = Arc::clone(&seen);
                    async move {
                        sleep(ms(20)).await;
                        seen.lock().unwrap().insert(message.payload.clone());
                        Ok::<_, std::io::Error>(())
                    }
                }
            })
            .limit(20);
        let running = pipeline.start().unwrap();
        for _ in 0..3 {
            sleep(ms(200)).await;
            server.kill();
            sleep(ms(500)).await;
            server.start().await;
        }
        let all = async {
            while seen.lock().unwrap().len() < 1000 {
                sleep(ms(50)).await;
            }
        };
        timeout(ms(40_000), all).await.expect("nothing is lost");
        let report = running.drain(ms(5000)).await.unwrap();
        assert_eq!(report.accepted, report.acked + report.nacked + report.dead + report.left(), "{report}");
    });
}

#[test]
#[ignore = "real tier"]
fn acks_wait_for_a_server_that_is_away() {
    run_alone(async |mut server| {
        server.start().await;
        let queue = Queue::new(&server.url(), queue_config()).await;
        queue.fill(10).await;
        let mut source = queue.source(ms(20_000)).await;
        let delivered = pull_all(&mut source, 10).await;
        server.kill();
        sleep(ms(100)).await;
        let batch: Vec<_> = delivered.iter().map(|one| (one.receipt, Settle::Ack)).collect();
        let ack = evenkeel_pipeline::Source::ack(&source);
        let error = evenkeel_pipeline::Ack::settle(&ack, &batch).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        server.start().await;
        while queue.client.connection_state() != async_nats::connection::State::Connected {
            sleep(ms(20)).await;
        }
        // A server that is connected to may have no consumers yet.
        let outcomes = loop {
            match evenkeel_pipeline::Ack::settle(&ack, &batch).await {
                Ok(outcomes) => break outcomes,
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
            sleep(ms(20)).await;
        };
        assert_eq!(outcomes, [SettleOutcome::Confirmed; 10]);
        let info = queue.consumer().await;
        assert_eq!((info.num_pending, info.num_ack_pending), (0, 0));
    });
}

#[test]
#[ignore = "real tier"]
fn a_sink_waits_for_a_server_that_is_away() {
    run_alone(async |mut server| {
        server.start().await;
        let queue = Queue::new(&server.url(), queue_config()).await;
        let subject = format!("{}.a", queue.name);
        let sink = Arc::new(JetStreamSink::new(queue.client.clone(), move |item: &usize| {
            Outgoing::new(subject.as_str(), item.to_string())
        }));
        let items = evenkeel_pipeline::MemoryBroker::new();
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
                    evenkeel_pipeline::Sink::send(&*sink, batch).await
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
