//! How do I get results as they finish? From `par_map`, whose order is that of completion unless you ask for the other.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::time::Duration;

use evenkeel_stream::prelude::*;
use futures::{StreamExt as _, stream};
use tokio::time::{Instant, sleep};

pub(crate) async fn scenario() {
    let start = Instant::now();
    let mut naps = stream::iter([90, 10, 50, 30]).par_map(4, async |millis| {
        sleep(Duration::from_millis(millis)).await;
        millis
    });
    while let Some(millis) = naps.next().await {
        println!("{millis} ms: done after {} ms", start.elapsed().as_millis());
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    scenario().await;
}
