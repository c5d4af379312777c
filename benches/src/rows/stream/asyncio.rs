//! A million items, a hundred at a time, beside asyncio's own remedies: workers on a bounded queue, and tasks under a semaphore.

use std::{hint::black_box, time::Duration};

use evenkeel::stream::prelude::*;
use futures::StreamExt as _;
use serde::Deserialize;
use tokio::{
    runtime::{Builder, Runtime},
    task::yield_now,
};

use crate::{
    measure::{Sample, measured},
    python,
    row::{Metric, OURS, Row},
};

const ITEMS: u64 = 1_000_000;
const LIMIT: usize = 100;
const QUEUE: &str = "asyncio.Queue(100) and 100 workers";
const GATHER: &str = "asyncio.gather under a Semaphore(100)";

async fn item(n: u64) -> u64 {
    yield_now().await;
    n % 7
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime for a benchmark")
}

pub(super) fn rows() -> [Row; 2] {
    let time = Row::new("stream/million-beside-asyncio", Metric::Wall)
        .target(0.1)
        .rounds(3)
        .fixed(ITEMS)
        .not_counted("its peer runs in Python; ours alone is `stream/par-map-yield`")
        .with_round(
            OURS,
            Box::new(|items| {
                let runtime = runtime();
                let map = futures::stream::iter(0..items).par_map(LIMIT, item);
                measured(|| black_box(runtime.block_on(map.fold(0, async |sum, n| sum + n))))
            }),
        )
        .with_python(QUEUE, Box::new(workers))
        .with_python(GATHER, Box::new(gather));
    let memory = Row::new("stream/million-memory-beside-asyncio", Metric::Bytes)
        .target(1.0)
        .rounds(3)
        .fixed(ITEMS)
        .with(OURS, half)
        .with_python(QUEUE, Box::new(workers))
        .with_python(GATHER, Box::new(gather));
    [time, memory]
}

/// Takes half of the results, and keeps the map with all that it holds.
fn half(items: u64) -> impl Sized {
    let runtime = runtime();
    let map = futures::stream::iter(0..items).par_map(LIMIT, item);
    let mut map = Box::pin(map);
    let half = usize::try_from(items / 2).unwrap_or(usize::MAX);
    runtime.block_on(async { black_box(map.as_mut().take(half).count().await) });
    (map, runtime)
}

#[derive(Deserialize)]
struct Cost {
    wall: f64,
    cpu: f64,
    bytes: i64,
}

fn workers(items: u64) -> Sample {
    python(include_str!("../../../python/queue_workers.py"), items)
}

fn gather(items: u64) -> Sample {
    python(include_str!("../../../python/gather.py"), items)
}

/// Runs in a process of its own, which measures itself without its start.
fn python(text: &str, items: u64) -> Sample {
    let output = python::script(text, &[&items.to_string(), &LIMIT.to_string()]);
    let cost: Cost =
        output.and_then(|output| Ok(serde_json::from_str(&output)?)).expect("a Python peer that works");
    let (wall, cpu) = (Duration::from_secs_f64(cost.wall), Duration::from_secs_f64(cost.cpu));
    Sample { wall, cpu, bytes: cost.bytes, ..Sample::default() }
}
