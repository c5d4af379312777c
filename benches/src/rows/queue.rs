//! Queues: the cost of an item from one producer to four consumers.

use std::{hint::black_box, sync::Arc};

use evenkeel::stream::{Capacity, queue};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinHandle,
};

use crate::row::{AsyncRow, Metric, OURS, Row};

const CAPACITY: usize = 64;
const CONSUMERS: usize = 4;

pub(crate) fn rows() -> Vec<Row> {
    one_to_four().everywhere().collect()
}

/// Starts the consumers, each with its own handle.
fn consumers<C: Clone, F>(handle: C, consume: impl Fn(C) -> F) -> [JoinHandle<u64>; CONSUMERS]
where
    F: Future<Output = u64> + Send + 'static,
{
    [(); CONSUMERS].map(|()| tokio::spawn(consume(handle.clone())))
}

async fn finish(consumers: [JoinHandle<u64>; CONSUMERS]) {
    for consumer in consumers {
        black_box(consumer.await.expect("a consumer does not panic"));
    }
}

/// All take an item as it comes and know when all are gone; ours also when the work on it is done. Of the peers, kanal loses
/// items when a receive is dropped.
fn one_to_four() -> AsyncRow {
    AsyncRow::new("stream/queue-1-to-4", Metric::Cpu)
        .with(OURS, |n| async move {
            let (tx, rx) = queue(Capacity::items(CAPACITY));
            let consumers = consumers(rx, async |rx| {
                let mut sum = 0;
                while let Some(job) = rx.pop().await {
                    sum += black_box(*job);
                }
                sum
            });
            for x in 0..n {
                tx.push(x).await.expect("the queue is open");
            }
            drop(tx);
            finish(consumers).await;
        })
        .with("async-channel", |n| async move {
            let (tx, rx) = async_channel::bounded(CAPACITY);
            let consumers = consumers(rx, async |rx| {
                let mut sum = 0;
                while let Ok(x) = rx.recv().await {
                    sum += black_box(x);
                }
                sum
            });
            for x in 0..n {
                tx.send(x).await.expect("the queue is open");
            }
            drop(tx);
            finish(consumers).await;
        })
        .with("flume", |n| async move {
            let (tx, rx) = flume::bounded(CAPACITY);
            let consumers = consumers(rx, async |rx| {
                let mut sum = 0;
                while let Ok(x) = rx.recv_async().await {
                    sum += black_box(x);
                }
                sum
            });
            for x in 0..n {
                tx.send_async(x).await.expect("the queue is open");
            }
            drop(tx);
            finish(consumers).await;
        })
        .with("kanal", |n| async move {
            let (tx, rx) = kanal::bounded_async(CAPACITY);
            let consumers = consumers(rx, async |rx| {
                let mut sum = 0;
                while let Ok(x) = rx.recv().await {
                    sum += black_box(x);
                }
                sum
            });
            for x in 0..n {
                tx.send(x).await.expect("the queue is open");
            }
            drop(tx);
            finish(consumers).await;
        })
        .with("crossfire", |n| async move {
            let (tx, rx) = crossfire::mpmc::bounded_async(CAPACITY);
            let consumers = consumers(rx, async |rx| {
                let mut sum = 0;
                while let Ok(x) = rx.recv().await {
                    sum += black_box(x);
                }
                sum
            });
            for x in 0..n {
                tx.send(x).await.expect("the queue is open");
            }
            drop(tx);
            finish(consumers).await;
        })
        .with("tokio mpsc in a Mutex", |n| async move {
            let (tx, rx) = mpsc::channel(CAPACITY);
            let consumers = consumers(Arc::new(Mutex::new(rx)), async |rx| {
                let mut sum = 0;
                while let Some(x) = { rx.lock().await.recv().await } {
                    sum += black_box(x);
                }
                sum
            });
            for x in 0..n {
                tx.send(x).await.expect("the queue is open");
            }
            drop(tx);
            finish(consumers).await;
        })
}
