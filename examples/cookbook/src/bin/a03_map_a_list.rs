//! How do I run one function over a list? With `try_par_map`: a maximum at a time, results in the order of the list.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{io, time::Duration};

use evenkeel_stream::prelude::*;
use futures::{TryStreamExt as _, stream};
use tokio::time::{Instant, sleep};

async fn fetch(id: u64) -> io::Result<String> {
    sleep(Duration::from_millis(20 + id % 3 * 10)).await;
    Ok(format!("user-{id}"))
}

pub(crate) async fn scenario() -> io::Result<()> {
    let start = Instant::now();
    let users: Vec<_> =
        stream::iter((0..30).map(io::Result::Ok)).try_par_map(10, fetch).ordered().try_collect().await?;
    println!("{} … {} in {} ms, 10 at a time", users[0], users[29], start.elapsed().as_millis());
    Ok(())
}

#[tokio::main]
async fn main() -> io::Result<()> {
    scenario().await
}
