//! Items that keep a processor busy for some 20 µs: two cores beside one.

use std::hint::black_box;

use evenkeel::stream::prelude::*;
use futures::StreamExt as _;
use tokio::{runtime::Builder, task::JoinSet};

use super::LIMIT;
use crate::{
    measure::measured,
    row::{Metric, OURS, Round, Row},
};

const ITEMS: u64 = 100_000;

async fn busy(n: u64) -> u64 {
    (0..20_000).fold(n, |sum, step| black_box(sum.wrapping_mul(31).wrapping_add(step)))
}

async fn mapped(items: u64) {
    black_box(futures::stream::iter(0..items).par_map(LIMIT, busy).count().await);
}

async fn join_set(items: u64) {
    let mut set = JoinSet::new();
    for n in 0..items {
        if set.len() == LIMIT {
            black_box(set.join_next().await);
        }
        set.spawn(busy(n));
    }
    black_box(set.join_all().await);
}

fn spawned<F: Future<Output = ()> + Send + 'static>(threads: usize, work: fn(u64) -> F) -> Round {
    Box::new(move |items| {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(threads).build().expect("a runtime for a benchmark");
        measured(|| {
            runtime.block_on(async { tokio::spawn(work(items)).await.expect("a benchmark does not panic") })
        })
    })
}

pub(super) fn rows() -> [Row; 2] {
    let row = |id: &str| {
        let row = Row::new(id, Metric::Wall).rounds(5).fixed(ITEMS);
        row.not_counted("it needs two threads").with_round(OURS, spawned(2, mapped))
    };
    [
        row("stream/par-map-busy/beside-one-core")
            .target(1.0 / 1.9)
            .with_round("one core", spawned(1, mapped)),
        row("stream/par-map-busy/beside-join-set").target(1.0).with_round("JoinSet", spawned(2, join_set)),
    ]
}
