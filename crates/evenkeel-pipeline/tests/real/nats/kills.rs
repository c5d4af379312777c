//! A server that is killed and started again with its data.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use evenkeel_pipeline::{
    Ack as _, Pipeline, Settle, SettleOutcome, Source as _,
    nats::{JetStreamMessage, JetStreamSource},
};
use tokio::time::{sleep, timeout};

use super::harness::{Delivered, Queue, attempts, items, ms, pull_all, queue_config, run_alone};

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

/// Acks all messages of a stream until the server confirms it; then the stream is empty.
async fn ack_all(queue: &Queue, source: &mut JetStreamSource, mut delivered: Vec<Delivered>) {
    let acked = async {
        loop {
            let batch: Vec<_> = delivered.iter().map(|one| (one.receipt, Settle::Ack)).collect();
            // It may have no consumers yet when it takes connections. A newer one does not answer to acks of deliveries that
            // it does not know, and makes these again.
            match timeout(ms(500), source.ack().settle(&batch)).await {
                Ok(Ok(outcomes)) => break assert_eq!(outcomes, vec![SettleOutcome::Confirmed; batch.len()]),
                Ok(Err(error)) => assert!(error.is_transient(), "{error}"),
                Err(_) => {}
            }
            match timeout(ms(100), source.pull(items(10))).await {
                Ok(Ok(again)) => delivered.extend(again),
                Ok(Err(error)) => assert!(error.is_transient(), "{error}"),
                Err(_) => {}
            }
        }
    };
    timeout(ms(60_000), acked).await.expect("the client is connected again");
    assert_eq!(queue.info().await.state.messages, 0);
    assert_eq!(attempts(&delivered), vec![1; delivered.len()]);
    let info = queue.consumer().await;
    assert_eq!((info.num_pending, info.num_ack_pending), (0, 0));
}

/// A crash loses deliveries that the server has made in the last tenth of a second, which it has not written then.
#[test]
#[ignore = "real tier"]
fn acks_wait_for_a_server_that_is_away() {
    run_alone(async |mut server| {
        for has_forgotten in [false, true] {
            server.start().await;
            let queue = Queue::new(&server.url(), queue_config()).await;
            queue.fill(10).await;
            let mut source = queue.source(ms(60_000)).await;
            let delivered = pull_all(&mut source, 10).await;
            server.kill();
            if has_forgotten {
                server.forget_deliveries(&queue.name, "worker");
            }
            let batch: Vec<_> = delivered.iter().map(|one| (one.receipt, Settle::Ack)).collect();
            let error = source.ack().settle(&batch).await.unwrap_err();
            assert!(error.is_transient(), "{error}");
            server.start().await;
            ack_all(&queue, &mut source, delivered).await;
        }
    });
}
