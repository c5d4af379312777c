//! How do I run a few things together? In one task with `try_join!`, which returns all results in order; on all
//! processors as tasks of a group.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::time::Duration;

use evenkeel_task::{BoxError, group};
use tokio::time::{Instant, sleep};

async fn load(what: &'static str, millis: u64) -> Result<String, BoxError> {
    sleep(Duration::from_millis(millis)).await;
    if what == "nothing" { Err("no connection".into()) } else { Ok(format!("{what} ({millis} ms)")) }
}

pub(crate) async fn scenario() -> Result<(), BoxError> {
    let start = Instant::now();
    let (user, orders, news) = tokio::try_join!(load("user", 60), load("orders", 20), load("news", 40))?;
    println!("{user}, {orders}, {news}: {} ms together", start.elapsed().as_millis());

    // The first error ends the others.
    let start = Instant::now();
    if let Err(error) = tokio::try_join!(load("user", 60_000), load("nothing", 10)) {
        println!("{error} after {} ms", start.elapsed().as_millis());
    }

    // Separate tasks, which run on all processors.
    group(async |g| {
        for what in ["a", "b", "c"] {
            g.task(what).spawn(async move { load(what, 30).await.map(|it| println!("{it} on a task")) });
        }
        Ok(())
    })
    .await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    scenario().await
}
