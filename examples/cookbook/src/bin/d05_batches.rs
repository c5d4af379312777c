//! How do I process items in batches? By number, bytes, time or a predicate; while a batch is stored, the next one fills.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::time::Duration;

use evenkeel_stream::{Batch, generate, prelude::*};
use futures::StreamExt as _;
use tokio::time::sleep;

async fn store(rows: Vec<String>) -> usize {
    sleep(Duration::from_millis(20)).await;
    rows.len()
}

pub(crate) async fn scenario() {
    let events = generate(|y| async move {
        for n in 0..40_usize {
            // Some come in a burst, some late.
            sleep(Duration::from_millis(if n % 10 == 0 { 40 } else { 1 })).await;
            y.yield_("x".repeat(n)).await;
        }
    });
    // A batch ends at the first of three bounds: 100 rows, 200 bytes, or 30 ms since the first row.
    let batch = Batch::items(100).max_bytes(200, |row: &String| row.len()).within(Duration::from_millis(30));
    // Two batches are stored at a time; there is no barrier between them.
    let mut stored = events.batch(batch).par_map(2, store).ordered();
    while let Some(rows) = stored.next().await {
        println!("stored {rows} rows");
    }

    // A program that stops takes the unfinished batch back.
    let mut batches = generate(|y| async move {
        for n in 0..5 {
            y.yield_(n).await;
        }
        std::future::pending().await
    })
    .batch(Batch::items(3));
    println!("{:?}", batches.next().await);
    let _ = tokio::time::timeout(Duration::from_millis(10), batches.next()).await;
    println!("left: {:?}", batches.into_rest());
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    scenario().await;
}
