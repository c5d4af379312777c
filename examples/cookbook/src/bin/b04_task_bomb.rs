//! How do I do a million things without a million tasks? By limiting the tasks that are started: a semaphore in
//! each of a million tasks limits the work, but keeps a million tasks in memory. `par_map` takes the next item when
//! there is room for it.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use evenkeel_stream::prelude::*;
use futures::{StreamExt as _, stream};

static RUNNING: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

async fn work(item: u64) -> u64 {
    PEAK.fetch_max(RUNNING.fetch_add(1, Relaxed) + 1, Relaxed);
    tokio::task::yield_now().await;
    RUNNING.fetch_sub(1, Relaxed);
    item % 7
}

pub(crate) async fn scenario(items: u64) {
    let sum = stream::iter(0..items).par_map(100, work).fold(0, async |sum, n| sum + n).await;
    println!("{sum}; never more than 100 at once: {}", PEAK.load(Relaxed) <= 100);
}

// One thread is enough for work that only waits, and spares each result the way from another thread.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    scenario(1_000_000).await;
}
