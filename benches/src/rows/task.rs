//! Task groups: spawning and joining tasks that do nothing, with their panics kept.

use std::{future::ready, hint::black_box};

use evenkeel::task::group;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use crate::row::{AsyncRow, Metric, OURS, Row};

/// Tasks that are alive together.
const BATCH: u64 = 1000;

pub(crate) fn rows() -> Vec<Row> {
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
        // Keeps neither results nor panics: faster, and no substitute.
        .with("TaskTracker", |n| async move {
            for batch in batches(n) {
                let tracker = TaskTracker::new();
                (0..batch).for_each(|_| drop(tracker.spawn(ready(()))));
                tracker.close();
                tracker.wait().await;
            }
        })
        .everywhere()
        .collect()
}

fn batches(n: u64) -> impl Iterator<Item = u64> + Send {
    std::iter::repeat_n(BATCH, usize::try_from(n / BATCH).unwrap_or(0))
        .chain(Some(n % BATCH).filter(|rest| *rest > 0))
}
