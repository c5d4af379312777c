//! Task groups: spawning and joining tasks that do nothing, with their panics kept; ending tasks that wait; and what
//! a task that sleeps keeps on the heap.

use std::{
    future::{pending, poll_fn, ready},
    hint::black_box,
    task::Poll,
    time::Duration,
};

use evenkeel::task::{BoxError, group};
use tokio::{
    runtime::{Builder, Runtime},
    task::{JoinSet, yield_now},
    time::sleep,
};
use tokio_util::task::TaskTracker;

use crate::row::{AsyncRow, FLOOR, Metric, OURS, Row};

/// Tasks that are alive together.
const BATCH: u64 = 1000;

/// An hour: nobody wakes up while we look.
const LONG: Duration = Duration::from_secs(3600);

pub(crate) fn rows() -> Vec<Row> {
    spawn_join().everywhere().chain(spawn_cancel().everywhere()).chain([memory()]).collect()
}

fn spawn_join() -> AsyncRow {
    AsyncRow::new("task/spawn-join", Metric::Cpu)
        .target(0.75)
        .with(OURS, |n| async move {
            for batch in batches(n) {
                let joined = group(async |g| {
                    (0..batch).for_each(|_| g.spawn(ready(())));
                    Ok(())
                });
                black_box(joined.await).ok();
            }
        })
        .with("JoinSet", |n| async move {
            for batch in batches(n) {
                let mut set = JoinSet::new();
                (0..batch).for_each(|_| drop(set.spawn(ready(()))));
                while let Some(joined) = set.join_next().await {
                    black_box(joined).ok();
                }
            }
        })
        // `TaskTracker`, which keeps neither results nor panics, and so is no substitute.
        .with(FLOOR, |n| async move {
            for batch in batches(n) {
                let tracker = TaskTracker::new();
                (0..batch).for_each(|_| drop(tracker.spawn(ready(()))));
                tracker.close();
                tracker.wait().await;
            }
        })
}

/// Tasks that wait are spawned, and told to abort together until all have ended.
fn spawn_cancel() -> AsyncRow {
    AsyncRow::new("task/spawn-cancel-join", Metric::Cpu)
        .target(1.2)
        .with(OURS, |n| async move {
            for batch in batches(n) {
                let stopped = group(async |g| {
                    (0..batch).for_each(|_| g.spawn(pending::<()>()));
                    yield_now().await;
                    Err::<(), BoxError>("enough".into())
                });
                black_box(stopped.await).ok();
            }
        })
        .with("JoinSet", |n| async move {
            for batch in batches(n) {
                let mut set = JoinSet::new();
                (0..batch).for_each(|_| drop(set.spawn(pending::<()>())));
                yield_now().await;
                set.abort_all();
                while let Some(joined) = set.join_next().await {
                    black_box(joined).ok();
                }
            }
        })
}

/// As many as fit: what a growing list holds in reserve is counted too.
fn memory() -> Row {
    Row::new("task/memory-per-sleeping-child", Metric::Bytes)
        .fixed(100_000)
        .target(1.1)
        .with(OURS, |n| {
            let runtime = runtime();
            let mut run = Box::pin(group(async move |g| {
                (0..n).for_each(|_| g.spawn(sleep(LONG)));
                Ok(())
            }));
            runtime.block_on(async {
                poll_fn(|cx| Poll::Ready(run.as_mut().poll(cx).is_ready())).await;
                yield_now().await;
            });
            (run, runtime)
        })
        .with("JoinSet", |n| {
            let runtime = runtime();
            let set = runtime.block_on(async {
                let mut set = JoinSet::new();
                (0..n).for_each(|_| drop(set.spawn(sleep(LONG))));
                yield_now().await;
                set
            });
            (set, runtime)
        })
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().expect("a runtime")
}

fn batches(n: u64) -> impl Iterator<Item = u64> + Send {
    std::iter::repeat_n(BATCH, usize::try_from(n / BATCH).unwrap_or(0))
        .chain(Some(n % BATCH).filter(|rest| *rest > 0))
}
