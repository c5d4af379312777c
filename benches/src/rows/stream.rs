//! Parallel maps: the overhead of an item that is ready at once, and of one that suspends once; timers in large numbers;
//! work on two cores; a million items beside asyncio.

mod asyncio;
mod cores;
mod timers;

use std::{future::ready, hint::black_box};

use evenkeel::stream::prelude::*;
use futures::StreamExt as _;
use tokio::task::{JoinSet, yield_now};

use crate::row::{AsyncRow, Metric, OURS, Row};

const LIMIT: usize = 64;

pub(crate) fn rows() -> Vec<Row> {
    let maps = trivial().target(0.5).everywhere().chain(yielding().target(0.6).everywhere());
    maps.chain(timers::rows()).chain(cores::rows()).chain(asyncio::rows()).collect()
}

/// Maps on separate tasks; peers that stay in one task are shown beside them as `buffer_unordered`.
fn trivial() -> AsyncRow {
    AsyncRow::new("stream/par-map-trivial", Metric::Cpu)
        .with(OURS, |n| async move {
            let sums = futures::stream::iter(0..n).par_map(LIMIT, async |x| black_box(x) + 1);
            black_box(sums.fold(0, async |sum, x| sum + x).await);
        })
        .with("JoinSet", |n| async move {
            let (mut set, mut sum) = (JoinSet::new(), 0);
            for x in 0..n {
                if set.len() == LIMIT
                    && let Some(Ok(x)) = set.join_next().await
                {
                    sum += x;
                }
                set.spawn(async move { black_box(x) + 1 });
            }
            while let Some(Ok(x)) = set.join_next().await {
                sum += x;
            }
            black_box(sum);
        })
        .with("buffer_unordered of spawn", |n| async move {
            let tasks = futures::stream::iter(0..n).map(|x| tokio::spawn(async move { black_box(x) + 1 }));
            let sums = tasks.buffer_unordered(LIMIT);
            black_box(sums.fold(0, |sum, x| ready(sum + x.unwrap_or(0))).await);
        })
}

fn yielding() -> AsyncRow {
    AsyncRow::new("stream/par-map-yield", Metric::Cpu)
        .with(OURS, |n| async move {
            let items = futures::stream::iter(0..n).par_map(LIMIT, async |x| {
                yield_now().await;
                x
            });
            black_box(items.count().await);
        })
        .with("JoinSet", |n| async move {
            let mut set = JoinSet::new();
            for x in 0..n {
                if set.len() == LIMIT {
                    set.join_next().await;
                }
                set.spawn(async move {
                    yield_now().await;
                    x
                });
            }
            while let Some(joined) = set.join_next().await {
                black_box(joined).ok();
            }
        })
        .with("buffer_unordered of spawn", |n| async move {
            let tasks = futures::stream::iter(0..n).map(|x| {
                tokio::spawn(async move {
                    yield_now().await;
                    x
                })
            });
            black_box(tasks.buffer_unordered(LIMIT).count().await);
        })
}
