//! The costs of an observed task, permit and wait with each observer, beside the same without one.
//!
//! Each is marked so that the observer shows it with a name: ours by the names of the limiter and of the task, await-tree by a span
//! for each wait and around each hold, async-inspect by its semaphore and by `inspect` at each task.

use std::{hint::black_box, sync::Arc};

use async_inspect::{runtime::tokio::InspectExt as _, sync::Semaphore as InspectedSemaphore};
use await_tree::{Config, InstrumentAwait as _, Registry};
use evenkeel::{
    limit::ConcurrencyLimiter,
    task::{BoxError, group},
};
use tokio::{
    join,
    sync::Semaphore,
    task::{JoinSet, yield_now},
};

use crate::row::{AsyncRow, FLOOR, Metric, OURS, Row};

/// The number of tasks alive together.
const BATCH: u64 = 1000;

pub(super) fn rows() -> impl Iterator<Item = Row> {
    [spawn_join(), permit(), contended()].into_iter().flat_map(|row| row.everywhere().take(1))
}

fn batches(n: u64) -> impl Iterator<Item = u64> {
    (0..n).step_by(BATCH as usize).map(move |done| BATCH.min(n - done))
}

/// A task with a name that ends in its first poll.
fn spawn_join() -> AsyncRow {
    AsyncRow::new("inspect/beside-peers/spawn-join", Metric::Cpu)
        .with(OURS, |n| async move {
            for batch in batches(n) {
                let joined = group(async |g| {
                    (0..batch).for_each(|_| g.task("worker").spawn(async {}));
                    Ok::<_, BoxError>(())
                });
                black_box(joined.await).expect("all tasks end");
            }
        })
        .with("await-tree", |n| async move {
            let trees = Registry::new(Config::default());
            for batch in batches(n) {
                let mut set = JoinSet::new();
                for _ in 0..batch {
                    set.spawn(trees.register_anonymous("worker").instrument(async {}));
                }
                join_all(set).await;
            }
        })
        .with("async-inspect", |n| async move {
            for batch in batches(n) {
                let mut set = JoinSet::new();
                (0..batch).for_each(|_| drop(set.spawn(async {}.inspect("worker"))));
                join_all(set).await;
            }
        })
        .with(FLOOR, |n| async move {
            for batch in batches(n) {
                let mut set = JoinSet::new();
                (0..batch).for_each(|_| drop(set.spawn(async {})));
                join_all(set).await;
            }
        })
}

async fn join_all(mut set: JoinSet<()>) {
    while let Some(joined) = set.join_next().await {
        black_box(joined).expect("all tasks end");
    }
}

/// Runs each as a task with a name.
async fn in_group(tasks: impl IntoIterator<Item = impl Future<Output = ()> + Send + 'static>) {
    let ended = group(async |g| {
        tasks.into_iter().for_each(|task| g.task("worker").spawn(task));
        Ok::<_, BoxError>(())
    });
    black_box(ended.await).expect("all tasks end");
}

/// A permit that is free, whose holder is shown.
fn permit() -> AsyncRow {
    AsyncRow::new("inspect/beside-peers/permit", Metric::Cpu)
        .with(OURS, |n| async move {
            let limiter = ConcurrencyLimiter::new(10).named("calls");
            let work = async move {
                for _ in 0..n {
                    let permit = limiter.acquire().await;
                    async {}.await;
                    drop(black_box(permit));
                }
            };
            in_group([work]).await;
        })
        .with("await-tree", |n| async move {
            let trees = Registry::new(Config::default());
            let work = async {
                let calls = Semaphore::new(10);
                for _ in 0..n {
                    let permit = calls.acquire().instrument_await("waits for calls").await;
                    async {}.instrument_await("has calls").await;
                    drop(black_box(permit));
                }
            };
            trees.register_anonymous("main").instrument(work).await;
        })
        .with("async-inspect", |n| async move {
            let work = async {
                let calls = InspectedSemaphore::new(10, "calls");
                for _ in 0..n {
                    let permit = calls.acquire().await;
                    async {}.await;
                    drop(black_box(permit));
                }
            };
            work.inspect("main").await;
        })
        .with(FLOOR, |n| async move {
            let calls = Semaphore::new(10);
            for _ in 0..n {
                let permit = calls.acquire().await;
                async {}.await;
                drop(black_box(permit));
            }
        })
}

/// A permit that another task has at first: one wait, and one hold over an await, each shown.
fn contended() -> AsyncRow {
    AsyncRow::new("inspect/beside-peers/permit-that-is-waited-for", Metric::Cpu)
        .with(OURS, |n| async move {
            let limiter = Arc::new(ConcurrencyLimiter::new(1).named("calls"));
            let work = |n| {
                let limiter = limiter.clone();
                async move {
                    for _ in 0..n {
                        let permit = limiter.acquire().await;
                        yield_now().await;
                        drop(black_box(permit));
                    }
                }
            };
            in_group([work(n / 2), work(n / 2)]).await;
        })
        .with("await-tree", |n| async move {
            let trees = Registry::new(Config::default());
            let calls = Arc::new(Semaphore::new(1));
            let work = |n| {
                let calls = calls.clone();
                let work = async move {
                    for _ in 0..n {
                        let permit = calls.acquire().instrument_await("waits for calls").await;
                        yield_now().instrument_await("has calls").await;
                        drop(black_box(permit));
                    }
                };
                tokio::spawn(trees.register_anonymous("worker").instrument(work))
            };
            let (one, other) = join!(work(n / 2), work(n / 2));
            one.and(other).expect("all tasks end");
        })
        .with("async-inspect", |n| async move {
            let calls = Arc::new(InspectedSemaphore::new(1, "calls"));
            let work = |n| {
                let calls = calls.clone();
                let work = async move {
                    for _ in 0..n {
                        let permit = calls.acquire().await;
                        yield_now().await;
                        drop(black_box(permit));
                    }
                };
                tokio::spawn(work.inspect("worker"))
            };
            let (one, other) = join!(work(n / 2), work(n / 2));
            one.and(other).expect("all tasks end");
        })
        .with(FLOOR, |n| async move {
            let calls = Arc::new(Semaphore::new(1));
            let work = |n| {
                let calls = calls.clone();
                tokio::spawn(async move {
                    for _ in 0..n {
                        let permit = calls.acquire().await;
                        yield_now().await;
                        drop(black_box(permit));
                    }
                })
            };
            let (one, other) = join!(work(n / 2), work(n / 2));
            one.and(other).expect("all tasks end");
        })
}
