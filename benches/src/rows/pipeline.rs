//! Three stages with acks, beside a bare parallel map over the same functions: what the account of every item costs.

use std::{convert::Infallible, hint::black_box, ops::Range};

use evenkeel::{
    pipeline::{Ack, Delivery, Demand, MemoryBroker, Pipeline, Settle, SettleOutcome, Source, SourceError},
    stream::prelude::*,
};
use futures::StreamExt as _;
use tokio::time::Instant;

use crate::row::{AsyncRow, Metric, OURS, Row};

const LIMIT: usize = 64;
const BARE: &str = "par_map without acks";

pub(crate) fn rows() -> Vec<Row> {
    three_stages().target(3.0).everywhere().chain(through_a_broker().everywhere()).collect()
}

async fn step(n: u64) -> Result<u64, Infallible> {
    Ok(black_box(n) + 1)
}

async fn bare(n: u64) {
    let map = futures::stream::iter(0..n).par_map(LIMIT, async |n| {
        let Ok(n) = step(n).await;
        let Ok(n) = step(n).await;
        let Ok(n) = step(n).await;
        n
    });
    black_box(map.fold(0, async |sum, n| sum + n).await);
}

async fn run<S: Source<Item = u64>>(source: S) {
    let pipeline = Pipeline::from(source)
        .stage("one", step)
        .limit(LIMIT)
        .stage("two", step)
        .limit(LIMIT)
        .stage("three", step)
        .limit(LIMIT);
    let report = pipeline.start().expect("it is valid").await.expect("it ends");
    black_box(report.acked);
}

/// From numbers that nobody keeps, so that both have the same source.
fn three_stages() -> AsyncRow {
    AsyncRow::new("pipeline/three-stages", Metric::Cpu).with(OURS, |n| run(Numbers(0..n))).with(BARE, bare)
}

/// Published to the broker, leased, carried, and acked there.
fn through_a_broker() -> AsyncRow {
    AsyncRow::new("pipeline/three-stages-broker", Metric::Cpu)
        .with(OURS, |n| async move {
            let broker = MemoryBroker::new();
            let running = run(broker.source());
            let publish = async {
                for n in 0..n {
                    broker.publish(n).await.expect("it is open");
                }
                broker.close();
            };
            tokio::join!(publish, running);
        })
        .with(BARE, bare)
}

struct Numbers(Range<u64>);

#[derive(Clone)]
struct NoServer;

impl Source for Numbers {
    type Item = u64;
    type Ack = NoServer;

    async fn pull(&mut self, demand: Demand) -> Result<Vec<Delivery<u64, u64>>, SourceError> {
        let leased_at = Instant::now();
        let deliver = |n| Delivery { item: n, receipt: n, attempt: 1, size: 0, leased_at };
        Ok(self.0.by_ref().take(demand.items).map(deliver).collect())
    }

    fn ack(&self) -> NoServer {
        NoServer
    }

    fn may_block(&self) -> bool {
        false
    }
}

impl Ack for NoServer {
    type Receipt = u64;

    async fn settle(&self, batch: &[(u64, Settle)]) -> Result<Vec<SettleOutcome>, SourceError> {
        Ok(vec![SettleOutcome::Confirmed; batch.len()])
    }
}
