//! The time from cancelling a hundred thousand sleeping tasks until all of them have ended.

use std::{
    future::poll_fn,
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
};

use evenkeel::task::{BoxError, group};
use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
    task::{JoinSet, yield_now},
    time::sleep,
};

use super::{LONG, runtime};
use crate::{
    measure::{Sample, measured},
    row::{Metric, OURS, Row},
};

pub(super) fn rows() -> [Row; 2] {
    [("current", runtime as fn() -> Runtime), ("multi", threads)].map(|(name, runtime)| {
        Row::new(format!("task/cancel-100k/{name}"), Metric::Wall)
            .target(1.2)
            .also(Metric::Cpu)
            .rounds(15)
            .fixed(100_000)
            .with_round(OURS, Box::new(move |n| ours(&runtime(), n)))
            .with_round("JoinSet", Box::new(move |n| join_set(&runtime(), n)))
    })
}

fn threads() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_time().build().expect("a runtime")
}

fn ours(runtime: &Runtime, n: u64) -> Sample {
    let (tell, told) = oneshot::channel::<()>();
    let begun = Arc::new(AtomicU64::new(0));
    let count = begun.clone();
    let mut run = Box::pin(group(async move |g| {
        (0..n).for_each(|_| g.spawn(sleeper(count.clone())));
        told.await.ok();
        Err::<(), BoxError>("enough".into())
    }));
    runtime.block_on(async {
        poll_fn(|cx| Poll::Ready(run.as_mut().poll(cx).is_ready())).await;
        all(&begun, n).await;
    });
    drop(tell);
    measured(|| runtime.block_on(async { black_box(run.await).ok() }))
}

fn join_set(runtime: &Runtime, n: u64) -> Sample {
    let mut set = JoinSet::new();
    let begun = Arc::new(AtomicU64::new(0));
    runtime.block_on(async {
        (0..n).for_each(|_| drop(set.spawn(sleeper(begun.clone()))));
        all(&begun, n).await;
    });
    measured(|| {
        runtime.block_on(async {
            set.abort_all();
            while let Some(joined) = set.join_next().await {
                black_box(joined).ok();
            }
        });
    })
}

async fn sleeper(begun: Arc<AtomicU64>) {
    begun.fetch_add(1, Ordering::Relaxed);
    sleep(LONG).await;
}

async fn all(begun: &AtomicU64, n: u64) {
    while begun.load(Ordering::Relaxed) < n {
        yield_now().await;
    }
}
