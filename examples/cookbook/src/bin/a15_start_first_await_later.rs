//! How do I start a request first and wait for it later? As a task with a handle, which runs while the body goes on. The
//! handle returns the value; a failure stops the group, and `abort` ends this task alone.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{io, time::Duration};

use evenkeel_task::{GroupError, NoValue, group};
use tokio::time::{Instant, sleep};

async fn fetch(what: &'static str, millis: u64) -> io::Result<&'static str> {
    sleep(Duration::from_millis(millis)).await;
    Ok(what)
}

pub(crate) async fn scenario() -> Result<(), GroupError> {
    let start = Instant::now();
    let page = group(async |g| {
        let page = g.task("page").spawn_with_handle(fetch("the page", 60));
        let advert = g.task("advert").spawn_with_handle(fetch("an advert", 5000));
        for step in 1..=3 {
            sleep(Duration::from_millis(15)).await;
            println!("light work {step}");
        }
        let page = page.await?;
        // The group would wait for it.
        advert.abort();
        assert_eq!(advert.await, Err(NoValue::Cancelled));
        Ok(page)
    })
    .await?;
    println!("{page} after {} ms", start.elapsed().as_millis());
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), GroupError> {
    scenario().await
}
