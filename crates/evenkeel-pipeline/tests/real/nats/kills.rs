//! A server that is killed and started again with its data.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use evenkeel_pipeline::{Pipeline, Settle, SettleOutcome, nats::JetStreamMessage};
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
        let pipeline = Pipeline::from(queue.source(ms(1000)).await)
            .window(100)
            .stage("work", {
                let seen = Arc::clone(&seen);
                move |message: JetStreamMessage| {
                    let seen = Arc::clone(&seen);
                    async move {
                        sleep(ms(10)).await;
                        seen.lock().unwrap().insert(message.payload.clone());
                        Ok::<_, std::io::Error>(())
                    }
                }
            })
            .limit(20);
        let running = pipeline.start().unwrap();
        sleep(ms(100)).await;
        server.kill();
        sleep(ms(100)).await;
        server.start().await;
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
        // A server that is connected to may have no consumers yet.
        let settled = async {
            loop {
                match evenkeel_pipeline::Ack::settle(&ack, &batch).await {
                    Ok(outcomes) => break outcomes,
                    Err(error) => assert!(error.is_transient(), "{error}"),
                }
                sleep(ms(20)).await;
            }
        };
        let outcomes = timeout(ms(30_000), settled).await.expect("the client is connected again");
        assert_eq!(outcomes, [SettleOutcome::Confirmed; 10]);
        let info = queue.consumer().await;
        assert_eq!((info.num_pending, info.num_ack_pending), (0, 0));
    });
}
