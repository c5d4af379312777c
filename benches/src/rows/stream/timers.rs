//! Items that sleep a millisecond, in large numbers: the cost of an item must not grow with the limit.

use std::{hint::black_box, time::Duration};

use evenkeel::stream::prelude::*;
use futures::StreamExt as _;
use futures_buffered::BufferedStreamExt as _;
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
    time::sleep,
};

use crate::{
    measure::measured,
    row::{FLOOR, Metric, OURS, Round, Row},
};

const ITEMS: u64 = 1_000_000;
const LIMIT: usize = 10_000;
const SLEEPS: &str = "its instructions are those of timers, and it waits";

async fn nap(n: u64) -> u64 {
    sleep(Duration::from_millis(1)).await;
    n
}

async fn mapped(items: u64, limit: usize) {
    black_box(futures::stream::iter(0..items).par_map(limit, nap).count().await);
}

/// As many tasks as items may be in flight, each with its share of the items: no item is handed over.
async fn shares(items: u64, limit: u64) {
    let mut tasks = JoinSet::new();
    for task in 0..limit {
        tasks.spawn(async move {
            for n in (task..items).step_by(usize::try_from(limit).unwrap_or(usize::MAX)) {
                black_box(nap(n).await);
            }
        });
    }
    tasks.join_all().await;
}

async fn buffered(items: u64) {
    black_box(futures::stream::iter(0..items).map(nap).buffered_unordered(LIMIT).count().await);
}

async fn join_set(items: u64) {
    let mut set = JoinSet::new();
    for n in 0..items {
        if set.len() == LIMIT {
            black_box(set.join_next().await);
        }
        set.spawn(nap(n));
    }
    black_box(set.join_all().await);
}

/// Runs the work as a task of a new runtime with two threads, or with one.
fn spawned<F: Future<Output = ()> + Send + 'static>(
    threads: usize,
    work: impl Fn(u64) -> F + 'static,
) -> Round {
    Box::new(move |items| {
        let runtime = runtime(threads);
        let work = work(items);
        measured(|| runtime.block_on(async { tokio::spawn(work).await.expect("a benchmark does not panic") }))
    })
}

fn runtime(threads: usize) -> Runtime {
    let mut builder = match threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.worker_threads(threads).enable_all().build().expect("a runtime for a benchmark")
}

pub(super) fn rows() -> Vec<Row> {
    let beside_peers = |threads: usize| {
        Row::new(format!("stream/par-map-timers/{threads}-threads"), Metric::Cpu)
            .target(0.7)
            .also(Metric::Wall)
            .target(0.7)
            .rounds(5)
            .fixed(ITEMS)
            .not_counted(SLEEPS)
            .with_round(OURS, spawned(threads, |items| mapped(items, LIMIT)))
            .with_round("futures-buffered", spawned(threads, buffered))
            .with_round("JoinSet", spawned(threads, join_set))
            .with_round(FLOOR, spawned(threads, |items| shares(items, LIMIT as u64)))
    };
    let flat = Row::new("stream/par-map-timers/limit-50000", Metric::Cpu)
        .target(1.3)
        .rounds(5)
        .fixed(ITEMS)
        .not_counted(SLEEPS)
        .with_round(OURS, spawned(2, |items| mapped(items, 50_000)))
        .with_round("the same at a limit of 1,000", spawned(2, |items| mapped(items, 1000)))
        .with_round(FLOOR, spawned(2, |items| shares(items, 50_000)));
    vec![beside_peers(1), beside_peers(2), flat]
}
