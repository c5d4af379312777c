//! Task groups: spawning and joining empty tasks, with their panics kept; ending tasks that wait; and the heap memory of a
//! sleeping task.

mod asyncio;
mod cancel;

use std::{
    future::{pending, poll_fn, ready},
    hint::black_box,
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use evenkeel::task::{BoxError, Group, GroupError, group};
use tokio::{
    runtime::{Builder, Runtime},
    sync::Semaphore,
    task::{JoinSet, yield_now},
    time::sleep,
};
use tokio_util::task::TaskTracker;

use crate::row::{AsyncRow, FLOOR, Metric, OURS, Row};

/// The number of tasks alive together, unless the row says otherwise.
const BATCH: u64 = 1000;

/// An hour, so that no task wakes up during the measurement.
const LONG: Duration = Duration::from_secs(3600);

pub(crate) fn rows() -> Vec<Row> {
    let spawn_join = spawn_join("task/spawn-join", BATCH).target(0.75);
    let mut rows: Vec<_> = spawn_join.everywhere().chain(spawn_cancel().everywhere()).collect();
    for (id, size) in [("task/spawn-join-4", 4), ("task/spawn-join-16", 16)] {
        rows.extend(self::spawn_join(id, size).everywhere().take(1));
    }
    rows.extend(spawn_join_value().everywhere());
    rows.push(memory_of_a_waiter());
    rows.extend(cancel::rows());
    rows.push(memory());
    rows.extend(asyncio::rows());
    rows
}

pub(super) async fn joined(n: u64, size: u64) {
    for batch in batches(n, size) {
        let joined = group(async |g| {
            (0..batch).for_each(|_| g.spawn(ready(())));
            Ok(())
        });
        black_box(joined.await).ok();
    }
}

/// Measures batches of this size: in smaller ones the cost of a group weighs more.
fn spawn_join(id: &'static str, size: u64) -> AsyncRow {
    AsyncRow::new(id, Metric::Cpu)
        .with(OURS, move |n| joined(n, size))
        .with("JoinSet", move |n| async move {
            for batch in batches(n, size) {
                let mut set = JoinSet::new();
                (0..batch).for_each(|_| drop(set.spawn(ready(()))));
                while let Some(joined) = set.join_next().await {
                    black_box(joined).ok();
                }
            }
        })
        // `TaskTracker` is left out, because it keeps neither results nor panics.
        .with(FLOOR, move |n| async move {
            for batch in batches(n, size) {
                let tracker = TaskTracker::new();
                (0..batch).for_each(|_| drop(tracker.spawn(ready(()))));
                tracker.close();
                tracker.wait().await;
            }
        })
}

/// Tasks that return a number each, to their handles in a group.
fn spawn_join_value() -> AsyncRow {
    AsyncRow::new("task/spawn-join-value", Metric::Cpu)
        .target(0.9)
        .with(OURS, |n| async move {
            for batch in batches(n, BATCH) {
                let joined = group(async |g| {
                    let spawn = |value| g.spawn_with_handle(ready(Ok::<_, BoxError>(value)));
                    let handles: Vec<_> = (0..batch).map(spawn).collect();
                    for handle in handles {
                        black_box(handle.await).ok();
                    }
                    Ok(())
                });
                black_box(joined.await).ok();
            }
        })
        .with("JoinSet", |n| async move {
            for batch in batches(n, BATCH) {
                let mut set = JoinSet::new();
                (0..batch).for_each(|value| drop(set.spawn(ready(value))));
                while let Some(joined) = set.join_next().await {
                    black_box(joined).ok();
                }
            }
        })
}

/// Measures the heap of tasks that wait for their turn in a group with a limit, beside tasks that wait for a semaphore.
fn memory_of_a_waiter() -> Row {
    Row::new("task/memory-per-waiting-child", Metric::Bytes)
        .fixed(100_000)
        .with(OURS, |n| {
            let runtime = runtime();
            let mut run: Running = Box::pin(Group::builder().limit(1).run(async move |g| {
                (0..n).for_each(|_| g.spawn(sleep(LONG)));
                Ok(())
            }));
            runtime.block_on(async {
                poll_fn(|cx| Poll::Ready(run.as_mut().poll(cx).is_ready())).await;
                polled().await;
            });
            (run, runtime)
        })
        .with("JoinSet, Semaphore", |n| {
            let runtime = runtime();
            let (mut set, turn) = (JoinSet::new(), Arc::new(Semaphore::new(1)));
            runtime.block_on(async {
                for _ in 0..n {
                    let turn = Arc::clone(&turn);
                    set.spawn(async move {
                        let _permit = turn.acquire_owned().await;
                        sleep(LONG).await;
                    });
                }
                polled().await;
            });
            (set, runtime)
        })
}

/// Spawns tasks that wait, aborts them together, and waits until all have ended.
fn spawn_cancel() -> AsyncRow {
    AsyncRow::new("task/spawn-cancel-join", Metric::Cpu)
        .target(1.2)
        .with(OURS, |n| async move {
            for batch in batches(n, BATCH) {
                let stopped = group(async |g| {
                    (0..batch).for_each(|_| g.spawn(pending::<()>()));
                    yield_now().await;
                    Err::<(), BoxError>("enough".into())
                });
                black_box(stopped.await).ok();
            }
        })
        .with("JoinSet", |n| async move {
            for batch in batches(n, BATCH) {
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

/// Measures the heap of sleeping tasks, including the spare capacity of growing lists.
fn memory() -> Row {
    Row::new("task/memory-per-sleeping-child", Metric::Bytes)
        .fixed(100_000)
        .target(1.1)
        .with(OURS, asleep)
        .with("JoinSet", |n| {
            let runtime = runtime();
            let mut set = JoinSet::new();
            runtime.block_on(async {
                (0..n).for_each(|_| drop(set.spawn(sleep(LONG))));
                polled().await;
            });
            (set, runtime)
        })
}

type Running = Pin<Box<dyn Future<Output = Result<(), GroupError>>>>;

/// A group whose tasks are all pending.
fn asleep(n: u64) -> (Running, Runtime) {
    let runtime = runtime();
    let mut run: Running = Box::pin(group(async move |g| {
        (0..n).for_each(|_| g.spawn(sleep(LONG)));
        Ok(())
    }));
    runtime.block_on(async {
        poll_fn(|cx| Poll::Ready(run.as_mut().poll(cx).is_ready())).await;
        polled().await;
    });
    (run, runtime)
}

/// Yields until every task spawned on this thread was polled: the queue is first in, first out.
async fn polled() {
    tokio::spawn(async {}).await.ok();
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().expect("a runtime")
}

fn batches(n: u64, size: u64) -> impl Iterator<Item = u64> + Send {
    std::iter::repeat_n(size, usize::try_from(n / size).unwrap_or(0))
        .chain(Some(n % size).filter(|rest| *rest > 0))
}
